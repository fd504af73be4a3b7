"""How long and how often is measured: as is told, or briefly to see whether it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Windows of all benchmarks.

    Attributes:
        rounds: How often contestants are measured in turn.
        ramp_s: How long a load runs before it is measured.
        pace_s: How long a rate is measured.
        share: Of the readings, and of the seconds, of what is measured once.
    """

    rounds: int = 5
    ramp_s: float = 1.5
    pace_s: float = 2.5
    share: float = 1.0

    def count(self, whole: int) -> int:
        """So many readings, or fewer."""
        return max(1, int(whole * self.share))

    def seconds(self, whole: float) -> float:
        """So many seconds, or fewer."""
        return whole * self.share


FULL = Scale()
QUICK = Scale(rounds=2, ramp_s=1.0, pace_s=1.0, share=0.1)

"""A value whose crossing is foretold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value whose crossing is foretold.

    Attributes:
        feature: Name of a forecast feature.
        above: Crossed upwards, else downwards.
        value: In the feature's unit.
        within: Ticks ahead, as far as it is foretold.
    """

    feature: str
    above: bool
    value: float
    within: int

    @property
    def side(self) -> str:
        """`above` or `below`: where the value lies that counts as beyond."""
        return "above" if self.above else "below"

    @property
    def suffix(self) -> str:
        """What stands behind the topic of a stream's forecasts in that of this crossing."""
        return f"/crossing/{self.feature}/{self.side}/{self.value:.9g}"

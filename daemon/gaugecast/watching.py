"""What is configured of looking for anomalies, which is part of a fleet; and what is said of what is watched for."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

#: Features that anomalies are looked for in at most: the reference takes all of a stream together.
MOST_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class AnomalySettings:
    """How anomalies of a fleet's streams are looked for.

    Attributes:
        healthy: Steps at a stream's beginning that are known to be healthy; 0 = that is found out.
        hold: Steps that an anomaly lasts before it is told of.
        settle: Steps after a beginning, or a change of a set-point, that are not judged.
        tolerance: All limits are taken times this.
        mode: Feature that says in which state the machine is; empty = none does.
        off: Its values while the machine is off: nothing is judged then, nor learned.
        least: By feature, deviations that count for nothing are smaller, in its unit.
        sides: By feature, `above` or `below`, where only deviations to that side count.
    """

    healthy: int = 0
    hold: int = 5
    settle: int = 60
    tolerance: float = 1.0
    mode: str = ""
    off: tuple[float, ...] = ()
    least: tuple[tuple[str, float], ...] = ()
    sides: tuple[tuple[str, str], ...] = ()

    @property
    def suffix(self) -> str:
        """What stands behind the topic of a stream's forecasts in that of its anomalies."""
        return "/anomaly"


class ThresholdStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold of a fleet.

    Attributes:
        side: `above` or `below`.
        within: How far it looks, a duration.
        open: Streams of which a crossing is told now.
    """

    feature: str
    side: str
    value: float
    within: str
    open: int = 0


class AnomalyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Anomalies of a fleet's streams.

    Attributes:
        warning, critical: Streams of which an event is open, by severity.
        judged: Streams whose detectors have seen enough to judge.
    """

    warning: int = 0
    critical: int = 0
    judged: int = 0

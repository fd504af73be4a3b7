"""How a fleet is watched for anomalies, as it is configured; it bears on results, and is part of a fleet."""

from __future__ import annotations

from dataclasses import dataclass

#: Features that anomalies are looked for in at most: the reference takes all of a stream together.
MOST_TOGETHER = 16
#: Steps of the first stretch that is looked at, where none is given; and of one at which a reference is fitted anew, at
#: least: of less its limits would be a guess.
SHORTEST = 256


@dataclass(frozen=True, slots=True)
class AnomalySettings:
    """How anomalies of a fleet's streams are looked for.

    Attributes:
        healthy: Steps at a stream's beginning that are known to be healthy; 0 = that is found out.
        hold: Steps that an anomaly lasts before it is told of.
        settle: Steps after a beginning, or a change of a set-point, that are not judged.
        tolerance: All limits are taken times this.
        mode: Feature that says in which state the machine is, each of which has limits of its own; empty = none does.
        off: Its values while the machine is off: nothing is judged then, nor learned.
        refit: Steps without an event after which a frozen reference is fitted anew; 0 = never.
        least: By feature, deviations that count for nothing are smaller, in its unit.
        sides: By feature, `above` or `below`, where only deviations to that side count.
    """

    healthy: int = 0
    hold: int = 5
    settle: int = 60
    tolerance: float = 1.0
    mode: str = ""
    off: tuple[float, ...] = ()
    refit: int = 0
    least: tuple[tuple[str, float], ...] = ()
    sides: tuple[tuple[str, str], ...] = ()

    @property
    def suffix(self) -> str:
        """What stands behind the topic of a stream's forecasts in that of its anomalies."""
        return "/anomaly"

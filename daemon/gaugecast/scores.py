"""How well it forecasts, and what it foretells, in figures: part of the daemon's status."""

from __future__ import annotations

import msgspec


class ExpertStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One expert for one horizon of a feature, over all streams of the fleet, discounted.

    Attributes:
        weight: Mean share of what is published.
        skill: Its own, over persistence; null where nothing moves.
    """

    weight: float
    skill: float | None = None


class FeatureStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How well one feature is forecast, over all streams of the fleet, discounted.

    Attributes:
        absolute_error: Mean absolute residual, in `unit`.
        skill: Over persistence: 1 is perfect, 0 no better.
        shadow_skill: The same of the model in shadow.
        coverage: By horizon and level, the share of intervals that held what they promised, of those that are due.
        experts: By horizon and expert, how it stands; without horizons of which too few errors have come due.
    """

    unit: str = ""
    absolute_error: float | None = None
    skill: float | None = None
    shadow_skill: float | None = None
    coverage: dict[str, dict[str, float]] = {}
    experts: dict[str, dict[str, ExpertStatus]] = {}


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
        warning, critical, silenced: Streams of which an event is open, by severity.
        judged: Streams whose detectors have seen enough to judge.
    """

    warning: int = 0
    critical: int = 0
    silenced: int = 0
    judged: int = 0

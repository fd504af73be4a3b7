"""Where the values of some metrics stand in the status, of those that are more than one number of a fleet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gaugecast.lessons import LEARNING_MODES
from gaugecast.status import DEGRADED_REASONS, VERBS, ExpertStatus, FleetStatus, Status, StreamCounts

Sample = tuple[tuple[str, ...], float]

#: Series of experts at most, a metric: fleets with many features list many horizons, too.
MOST_EXPERTS = 2000
_LAST = "persistence"  # its skill is 0 by definition


def lesson(fleet: FleetStatus, _streams: StreamCounts) -> float | None:
    """1 once it has gone into shadow, whatever became of it then."""
    learner = fleet.learner
    if learner is None or learner.updates_wanted is None:
        return None if fleet.shadow is None and fleet.model is None else 1.0
    return min(1.0, learner.updates_total / max(1, learner.updates_wanted))


def trial(fleet: FleetStatus, _streams: StreamCounts) -> float | None:
    """Share of the steps that a trial needs."""
    return None if fleet.shadow is None else fleet.shadow.steps / max(1, fleet.shadow.promote_after)


def eta(fleet: FleetStatus, _streams: StreamCounts) -> float | None:
    """Seconds until lesson or trial is over."""
    if fleet.shadow is not None:
        return fleet.shadow.eta_s
    return None if fleet.learner is None or fleet.model is not None else fleet.learner.eta_s


def coverage(status: Status) -> Iterator[Sample]:
    """Share of intervals that held."""
    yield from _intervals(status)


def nominal(status: Status) -> Iterator[Sample]:
    """What that share should be."""
    for labels, _ in _intervals(status):
        yield labels, float(labels[-1])


def _intervals(status: Status) -> Iterator[Sample]:
    for name, fleet, _ in status.at_work():
        for feature, score in fleet.features.items():
            for horizon, by_level in score.coverage.items():
                for level, share in by_level.items():
                    yield (name, feature, horizon, level), share


def expert_weights(status: Status) -> Iterator[Sample]:
    """Share that each expert has in what is published."""
    return ((labels, one.weight) for labels, one in _experts(status))


def expert_skills(status: Status) -> Iterator[Sample]:
    """What each alone gains over persistence."""
    return ((labels, one.skill) for labels, one in _experts(status) if one.skill is not None and labels[-1] != _LAST)


def _experts(status: Status) -> Iterator[tuple[tuple[str, ...], ExpertStatus]]:
    found = (
        ((name, feature, horizon, expert), one)
        for name, fleet, _ in status.at_work()
        for feature, score in fleet.features.items()
        for horizon, by_expert in score.experts.items()
        for expert, one in by_expert.items()
    )
    return islice(found, MOST_EXPERTS)


def crossings(status: Status) -> Iterator[Sample]:
    """Streams of which a crossing is told now."""
    for name, fleet, _ in status.at_work():
        for one in fleet.crossings:
            yield (name, one.feature, one.side, f"{one.value:g}"), float(one.open)


def anomalies(status: Status) -> Iterator[Sample]:
    """Streams of which an anomaly is told now, by severity."""
    for name, fleet, _ in status.at_work():
        if fleet.anomalies is not None:
            yield (name, "warning"), float(fleet.anomalies.warning)
            yield (name, "critical"), float(fleet.anomalies.critical)
            yield (name, "silenced"), float(fleet.anomalies.silenced)


def doing(status: Status) -> Iterator[Sample]:
    """1 for what it does."""
    for verb in VERBS:
        yield (verb,), float(verb == status.doing.verb)


def learning(status: Status) -> Iterator[Sample]:
    """1 for who learns."""
    for mode in LEARNING_MODES:
        yield (mode,), float(mode == status.learning.mode)


def degraded(status: Status) -> Iterator[Sample]:
    """1 for each reason that holds."""
    for reason in DEGRADED_REASONS:
        yield (reason,), float(reason in status.degraded)

"""What columns of a fleet's streams mean: whether those filled under one configuration are of use under another."""

from __future__ import annotations

from gaugecast import events
from gaugecast.fleet import Feature, Fleet

#: Events after which a copy in the making is still that of the moment at which it began.
KEEPS_A_SNAPSHOT = (
    events.SessionLost, events.StreamUnparked, events.ModelInstalled, events.ShadowWarmed, events.HistoryLoaded,
    events.ReferenceFrozen,
)  # fmt: skip


def goes_on(old: Fleet, new: Fleet) -> bool:
    """Whether columns filled under one configuration mean the same under the other."""
    return meaning_of(old) == meaning_of(new)


def meaning_of(fleet: Fleet) -> tuple[object, ...]:
    """What the columns of a fleet's streams mean: of which features, in which period, by which keys."""
    return tuple(map(_of_feature, fleet.features)), keyed(fleet), fleet.period_ns


def _of_feature(feature: Feature) -> tuple[object, ...]:
    """Of a counter the columns have rates."""
    counted = ("counter", feature.per_ns) if feature.counter else ()
    return (feature.name, feature.role, feature.aggregate, *counted)


def keyed(fleet: Fleet) -> tuple[bool, bool]:
    """What tells one reading of the fleet from the next."""
    return fleet.timed, fleet.sequence_path is None

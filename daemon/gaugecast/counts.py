"""What a process has counted of readings and forecasts: a part of its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec


class FleetCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What this process has counted of one fleet: received + held_at_start = stepped + held + late + duplicate +
    rejected + not_ours + same_period, exactly.

    Attributes:
        held: Readings that wait in an open tick now.
        held_at_start: Those of an earlier process that waited when this one began.
        late_ns: By how much the late ones were late, summed up.
        rejects: Refused readings or messages, by reason.
        not_ours: What came on the fleet's topics and names none of its features, or says that there is no value.
        same_period: Of a period that has had its step.
        bridged_steps, fallback_steps: Ticks rolled through in closed loop; steps answered by persistence.
        unchanged_steps: Steps in which silence counted as the same value (`hold`).
        anomalies: Events that have begun.
    """

    received: int = 0
    stepped: int = 0
    held: int = 0
    held_at_start: int = 0
    late: int = 0
    late_ns: int = 0
    duplicate: int = 0
    same_period: int = 0
    rejects: dict[str, int] = {}
    not_ours: int = 0
    forecasts: int = 0
    gaps: int = 0
    bridged_steps: int = 0
    partial_steps: int = 0
    fallback_steps: int = 0
    unchanged_steps: int = 0
    resets: int = 0
    reanchored: int = 0
    broken_states: int = 0
    anomalies: int = 0

    @property
    def rejected(self) -> int:
        """Refused for any reason."""
        return sum(self.rejects.values())


def add_up(counts: Iterable[FleetCounts]) -> FleetCounts:
    """The sum, count by count."""
    parts = list(counts)
    rejects = sum((Counter(part.rejects) for part in parts), Counter[str]())
    numbers = [name for name in FleetCounts.__struct_fields__ if name != "rejects"]
    return FleetCounts(rejects=dict(rejects), **{name: sum(getattr(part, name) for part in parts) for name in numbers})

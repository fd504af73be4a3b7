"""When readings came: what is remembered of that when the machine's clock takes a step."""

from __future__ import annotations

import numpy as np

from gaugecast.pipeline.fleet_pipeline import FleetPipeline


def shift_arrivals(part: FleetPipeline, step_ns: int, *, ticks: bool) -> None:
    """Move remembered arrival times by a step of the machine's clock; with `ticks` what they are dated by, too."""
    slots, dated = part.table.live_slots(), ticks and not part.fleet.timed
    for name in ("received", "open_received", "late_received"):
        known = part.table[name][slots]
        part.table[name][slots] = np.where(known >= 0, np.maximum(known + step_ns, 0), known)
    if dated:
        periods = (step_ns + part.fleet.period_ns // 2) // part.fleet.period_ns
        # Windows of aggregates stay on the clock: they move by whole periods.
        part.table["phase"][slots] += periods * part.fleet.period_ns if part.fleet.aggregated else step_ns
    if part.holding is not None:
        part.holding.shift(slots, step_ns, dated=dated)
    if part.room is not None:
        part.room.shift(slots, step_ns)
    if part.anomalies is not None:
        until = part.anomalies.events["silenced"][slots]
        part.anomalies.events["silenced"][slots] = np.where(until > 0, np.maximum(until + step_ns, 0), until)

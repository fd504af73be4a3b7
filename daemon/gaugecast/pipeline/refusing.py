"""What becomes of readings that the gate does not let through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gaugecast.align import gates
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.records import Bool, Refused, Verdict

if TYPE_CHECKING:
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline


def refuse(part: FleetPipeline, r: gates.Round, judged: gates.Judged, rows: Bool, result: Outcome) -> None:
    """Count readings, and note their verdicts; of those that say what is so from now on, note that, too.

    Args:
        part: The fleet.
        r: A round (N).
        judged: What the gate says of it.
        rows: Those that it refuses (N,).
        result: Takes the verdicts, and rows for the quarantine.
    """
    verdict, totals = judged.verdict, part.totals
    for index, each in zip(r.cause[rows].tolist(), verdict[rows].tolist(), strict=True):
        result.verdicts[index] = each
    is_late, same_period, rejected = (verdict == each for each in (Verdict.LATE, Verdict.SAME_PERIOD, Verdict.REJECTED))
    late = int(is_late.sum())
    totals.late += late
    totals.same_period += int(same_period.sum())
    totals.duplicate += int((rows & ~is_late & ~same_period & ~rejected).sum())
    for row in np.flatnonzero(rejected).tolist():
        result.refused.append(_too_far_ahead(part, r, row))
    if late:  # summed as Python's integers: a thousand readings a year late do not fit into 64 bits
        totals.late_ns += sum(gates.lateness(part.table, part.fleet, r)[is_late].tolist())
    if part.fleet.tolerant:
        _note_that_it_comes(part, r, is_late | same_period)
    if part.holding is not None:  # it has missed its tick, but it says what is so from now on
        news = is_late | same_period
        part.holding.note(gates.take_rows(r, news), np.zeros(int(news.sum()), bool))


def _note_that_it_comes(part: FleetPipeline, r: gates.Round, rows: Bool) -> None:
    """A feature that had not come until now, and comes too late for its tick, is waited for from here on."""
    if np.count_nonzero(rows):
        slots, values = r.slots[rows], r.values[rows]
        x, counters = part.table["x"][slots], [feature.counter for feature in part.fleet.features]
        part.table["x"][slots] = np.where(np.isnan(x) & ~np.array(counters), values, x)


def _too_far_ahead(part: FleetPipeline, r: gates.Round, row: int) -> Refused:
    at, received, stream = int(r.at[row]), int(r.received[row]), part.table.names[r.slots[row]] or ""
    detail = (
        f"{(at - received) / 1e9:.0f} s ahead of its arrival, and ahead of the stream's other readings; "
        f"{gates.REANCHOR_AHEAD_AFTER} in order are believed"
    )
    return Refused(received, part.fleet.name, stream, "", "far_future", detail, b"")

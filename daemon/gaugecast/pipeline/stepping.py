"""One step of a fleet's streams: what stands in for what did not come, the models, the scores, the message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gaugecast.forecast.body import BRIDGED, PARTIAL, UNCHANGED
from gaugecast.forecast.expert import Steps
from gaugecast.forecast.skill import LARGEST, add_terms
from gaugecast.pipeline.batch_result import Closed, Outcome
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.table import SCORES

if TYPE_CHECKING:
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline

#: A feature that has not come in so many steps of a stream is not waited for.
NOT_WAITED_FOR = 10


def step(part: FleetPipeline, closed: Closed, result: Outcome) -> None:
    """Step streams, no two alike, and say what is forecast of them."""
    table, slots = part.table, closed.slots
    closed, quality = _as_modelled(part, closed)
    started, last = table["started"][slots], table["x"][slots]
    gap = np.where(started, closed.tick - table["tick"][slots] - 1, 0)
    jumped, too_long, absent = gap > 0, gap > part.fleet.bridge, np.isnan(closed.values)
    missed = absent
    if part.fleet.tolerant and np.count_nonzero(absent):
        missed = absent & ~np.isnan(last)
    fresh = ~started | too_long
    part.ages.step(slots, closed.at, fresh=fresh, gap=gap)
    steps = Steps(slots, closed.values, last, table["seen"][slots], closed.at, table["at"][slots], gap, fresh)
    own = {role: e.columns["next"][slots] for role, e in part.experts.items()}
    predicted = np.where((fresh | jumped)[:, None], np.nan, table["published"][slots])
    x = _run_experts(part, steps, result)
    _score(part, steps, predicted, own)
    bridged, partial = jumped & ~fresh, missed.any(axis=1)
    part.totals.partial_steps += int(np.count_nonzero(partial))
    if np.count_nonzero(jumped):
        part.totals.gaps += int(np.count_nonzero(jumped))
        part.totals.bridged_steps += int(gap[bridged].sum())
        part.totals.resets += int(np.count_nonzero(too_long))
    table["started"][slots] = True
    table["tick"][slots] = closed.tick
    table["at"][slots] = closed.at
    table["x"][slots] = x
    table["seen"][slots] = ~absent
    quality = quality | bridged * BRIDGED | partial * PARTIAL
    look = None if part.mute else part.look_ahead
    ahead = None if look is None else look.step(steps, x, part.in_force)
    scores = _judged(part, steps, x, predicted)
    part.writer.publish(
        closed,
        steps,
        part.in_force,
        x=x,
        predicted=predicted,
        quality=quality,
        ahead=ahead,
        scores=scores,
        result=result,
    )
    if part.home is not None and not part.mute:
        part.home.note(slots, closed.cause, table, result)
    if look is not None and look.crossings is not None:
        look.crossings.tell(closed, part.table, part.writer.lineage, result)
    if scores is not None and part.anomalies is not None:
        part.totals.anomalies += part.anomalies.tell(closed, part.table, part.writer.lineage, result)


def _judged(part: FleetPipeline, steps: Steps, x: Float64, predicted: Float64) -> Float64 | None:
    """How strange the values are; `None` where nobody looks."""
    if part.anomalies is None or part.mute:
        return None
    return part.anomalies.step(steps, x, predicted, received=part.table["received"][steps.slots])


def _as_modelled(part: FleetPipeline, closed: Closed) -> tuple[Closed, Int64 | int]:
    """The steps with what goes on to hold, and with rates in place of totals; and the flags that this means."""
    quality: Int64 | int = 0
    if part.holding is not None:
        values, holds = part.holding.fill(closed.slots, closed.at, closed.values)
        part.totals.unchanged_steps += int(np.count_nonzero(holds))
        closed, quality = closed._replace(values=values), holds * UNCHANGED
    if part.rates is not None:
        rates, totals = part.rates.take(closed.slots, closed.at, closed.values)
        closed = closed._replace(values=rates, totals=totals)
    return closed, quality


def not_waited_for(part: FleetPipeline, slots: Int64) -> Bool:
    """Features of streams (N, F) that have never come, often as the streams have spoken: the others go on.

    Args:
        part: The fleet.
        slots: Streams (N,).
    """
    table = part.table
    if not part.fleet.tolerant:
        return np.zeros((len(slots), len(part.fleet.features)), bool)
    return np.asarray(np.isnan(table["x"][slots]) & (table["step"][slots] >= NOT_WAITED_FOR)[:, None])


def hold(part: FleetPipeline, slots: Int64, until: Int64, cause: Int64, result: Outcome) -> None:
    """Step the ticks at which nothing came, one after the other, with what goes on to hold.

    Args:
        part: Of a fleet with `hold`.
        slots: Streams (N,) that have been stepped and have no open tick.
        until: The last tick of each (N,); cut to how long silence means the same.
        cause: The input (N,) that says that they are over.
        result: Takes the outputs.
    """
    assert part.holding is not None
    table = part.table
    tick, phase = table["tick"][slots], table["phase"][slots]
    until = np.minimum(until, part.holding.last_tick(slots, phase))
    for ahead in range(1, int((until - tick).max(initial=0)) + 1):
        rows = tick + ahead <= until
        now = tick[rows] + ahead
        nothing = np.full((len(now), table["x"].shape[1]), np.nan)
        step(part, Closed(slots[rows], cause[rows], nothing, phase[rows] + now * part.fleet.period_ns, now), result)


def _run_experts(part: FleetPipeline, steps: Steps, result: Outcome) -> Float64:
    """Step every expert; the values as the model in force was fed them, (N, F)."""
    fed = steps.values if part.in_force else np.where(np.isnan(steps.values), steps.last, steps.values)
    for role, expert in part.experts.items():
        before = expert.broken_total
        x, trace = expert.step(steps)
        part.totals.broken_states += expert.broken_total - before
        if role == "in_force":
            fed = x
            if part.traced:
                result.traces.append((part.fleet.name, trace))
    return fed


def _score(part: FleetPipeline, steps: Steps, predicted: Float64, own: dict[str, Float64]) -> None:
    """Hold what was forecast for this tick, by us and by each expert, against what came."""
    table, g, slots = part.table, part.writer.forecast, steps.slots
    values, measured = steps.values[:, g], steps.seen[:, g] & (~steps.fresh & (steps.gap == 0))[:, None]
    moved, error = values - steps.last[:, g], values - predicted
    counts = measured & ~np.isnan(error) & ~np.isnan(moved)
    terms = np.ones((len(slots), len(SCORES), len(g)))  # in the order of the columns
    np.minimum(error * error, LARGEST, out=terms[:, 0])
    np.minimum(moved * moved, LARGEST, out=terms[:, 1])
    np.minimum(np.abs(error), LARGEST, out=terms[:, 2])
    add_terms(table.columns.block("scores"), slots, terms, counts, part.decay)
    for role, expert in part.experts.items():
        ready = expert.columns["warm"][slots] > expert.model.manifest.warmup_steps
        expert.score(slots, np.where(ready[:, None] & counts, values - own[role], np.nan), moved, part.decay)

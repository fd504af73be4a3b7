"""The gate before a tick: which readings are new, which came twice, which came too late.

A reading counts once by its key (event time or sequence number), which must rise with each feature of a
stream. That bounds what must be remembered to one number a feature, and makes redelivery harmless.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.align.ticks import follow_phase, phase_at, tick_of
from gaugecast.fleet import Fleet
from gaugecast.records import Bool, Float64, Int64, Verdict
from gaugecast.streams.table import NEVER, StreamTable

#: So many late readings in order, in real time, mean that the sensor's clock was set back.
REANCHOR_AFTER = 20

#: The same where the two times at odds cannot both be right: one of them lies ahead of now.
REANCHOR_AHEAD_AFTER = 3

#: A sequence that falls to so little, by so much, has begun anew.
SEQUENCE_BEGINS, SEQUENCE_FALLS = 5, 20

#: A tick that is taken gives way to the next up to so far before it, in hundredths of a period.
_GIVES_WAY = 60

#: More than this does not count as lateness: a single reading dated 1830 would otherwise outweigh all others.
MOST_LATE_NS = 365 * 86_400 * 10**9

#: In `Judged.verdict`: nothing against this reading.
ACCEPTED = -1


class Round(NamedTuple):
    """Readings of different streams of one fleet, all arrays with N rows.

    Attributes:
        slots: Each stream's slot; no two alike.
        cause: Position of each reading in the batch that `advance` was given.
        values: (N, F), NaN = absent.
        again: The delivery itself was seen before (payloads without time and sequence only).
        marks: Of the sequences that readings name, of a fleet with `begins`.
    """

    slots: Int64
    cause: Int64
    at: Int64
    received: Int64
    key: Int64
    values: Float64
    dup: Bool
    again: Bool
    marks: Int64 | None = None


def take_rows(r: Round, rows: Int64 | Bool | slice) -> Round:
    """Some rows of a round, by position, mask or slice."""
    at, received, key = r.at[rows], r.received[rows], r.key[rows]
    marks = None if r.marks is None else r.marks[rows]
    return Round(r.slots[rows], r.cause[rows], at, received, key, r.values[rows], r.dup[rows], r.again[rows], marks)


class Judged(NamedTuple):
    """What the gate says of a `Round`, row by row; features that came twice are NaN in `values`."""

    verdict: Int64
    values: Float64
    tick: Int64
    phase: Int64
    reanchored: Bool


def judge(table: StreamTable, fleet: Fleet, r: Round) -> Judged:
    """Verdict and tick of each reading. Writes nothing but the columns `late_*`."""
    verdict, values = _by_key(table, fleet, r)
    started, is_open = table["started"][r.slots], table["open"][r.slots]
    spoken = started | is_open
    phase = np.where(spoken, table["phase"][r.slots], r.at if _learns_phase(fleet) else 0)
    tick = own_tick = tick_of(r.at, phase, fleet.period_ns)
    closed = np.where(spoken, np.where(started, table["tick"][r.slots], NEVER), own_tick - 1)
    if fleet.timed:
        verdict, tick = _by_tick(table, fleet, r, (closed, phase, tick, verdict))
    elif fleet.on_arrival and not fleet.aggregated:
        verdict, tick = _on_arrival(table, fleet, r, (closed, phase, tick, verdict))
    else:
        tick = np.maximum(tick, _next_tick(table, fleet, r, closed))
    anchored = _reanchor(table, fleet, r, verdict)
    follows = spoken
    if np.count_nonzero(anchored):
        verdict = np.where(anchored, ACCEPTED, verdict)
        values = np.where(anchored[:, None], r.values, values)
        newest = np.maximum(closed, np.where(is_open, table["open_tick"][r.slots], closed))
        tick = np.where(anchored, newest + fleet.unbridged_ticks, tick)
    moved = tick != own_tick
    forced = anchored if fleet.timed or (fleet.on_arrival and not fleet.aggregated) else anchored | moved
    if np.count_nonzero(forced):
        phase = np.where(forced, phase_at(r.at, tick, fleet.period_ns), phase)
        follows = spoken & ~forced
    if _learns_phase(fleet):
        if fleet.on_arrival or fleet.timed:  # a tick that was taken early says nothing of the sensor's phase
            follows = follows & ~moved
        if fleet.timed:
            follows = follows & (r.key - table["key"][r.slots].max(axis=1) > fleet.period_ns // 2)
        phase = follow_phase(r.at, tick, phase, fleet.period_ns, follows)
    return Judged(verdict, values, tick, phase, anchored)


def lateness(table: StreamTable, fleet: Fleet, r: Round) -> Int64:
    """How far the event time of each reading lies behind the newest that was taken of its stream, ns (N,).

    From 0, which it is where payloads bring no event time, to `MOST_LATE_NS`.
    """
    if not fleet.timed:
        return np.zeros(len(r.at), np.int64)
    newest = table["key"][r.slots].max(axis=1)  # the key is the event time here
    return np.where(newest > r.at, np.minimum(newest - r.at, MOST_LATE_NS), 0)


def _learns_phase(fleet: Fleet) -> bool:
    """Whether ticks follow the sensor's own clock."""
    return not fleet.on_clock


def _by_key(table: StreamTable, fleet: Fleet, r: Round) -> tuple[Int64, Float64]:
    """Refuse features whose key does not rise, and readings of which nothing is left."""
    verdict = np.where(r.again, int(Verdict.DUPLICATE), ACCEPTED)
    if not fleet.timed and fleet.sequence_path is None:
        return verdict, r.values
    taken = table["key"][r.slots]
    present = ~np.isnan(r.values)
    old = present & (r.key[:, None] <= taken)
    if not np.count_nonzero(old):
        return verdict, r.values
    values = np.where(old, np.nan, r.values)
    nothing_left = old.any(axis=1) & (old == present).all(axis=1)
    newest = np.where(present, taken, NEVER).max(axis=1)
    why = np.where(r.key == newest, int(Verdict.DUPLICATE), int(Verdict.LATE))
    if fleet.tolerant and not fleet.timed:
        begins = nothing_left & ~r.dup & ~r.again & (r.key >= 0) & (r.key <= SEQUENCE_BEGINS)
        begins &= newest - r.key > SEQUENCE_FALLS
        nothing_left, values = nothing_left & ~begins, np.where(begins[:, None], r.values, values)
    return np.where(nothing_left, why, verdict), values


def _by_tick(
    table: StreamTable, fleet: Fleet, r: Round, at_tick: tuple[Int64, Int64, Int64, Int64]
) -> tuple[Int64, Int64]:
    """Verdicts and ticks of readings that bring their event time.

    A fleet that is tolerant lets a reading whose tick is taken have the next, where that is not much farther away; one
    that comes sooner is one too many. What says that it was measured in the future, and runs ahead of its stream, does
    not count: else nothing would count until its time comes.
    """
    closed, phase, tick, verdict = at_tick
    is_open = table["open"][r.slots]
    oldest = np.where(is_open, table["open_tick"][r.slots], closed + 1)
    late = (verdict == ACCEPTED) & (tick < oldest)
    if not fleet.tolerant:
        return np.where(late, int(Verdict.LATE), verdict), tick
    ahead = ahead_of_now(table, fleet, r)
    if np.count_nonzero(ahead):
        ahead &= verdict == ACCEPTED
        verdict, late = np.where(ahead, int(Verdict.REJECTED), verdict), late & ~ahead
    if np.count_nonzero(late):
        taken = late & (tick == closed) & ~is_open
        if not fleet.aggregated:
            gives_way = taken & (phase + oldest * fleet.period_ns - r.at < fleet.period_ns * _GIVES_WAY // 100)
            late, tick = late & ~gives_way, np.where(gives_way, oldest, tick)
            verdict = np.where(late & taken, int(Verdict.SAME_PERIOD), verdict)
        verdict = np.where(late & (verdict == ACCEPTED), int(Verdict.LATE), verdict)
    return verdict, tick


def ahead_of_now(table: StreamTable, fleet: Fleet, r: Round) -> Bool:
    """Whose stamp lies ahead of now, and of where its stream can be by now."""
    future: Bool = r.at > r.received
    if not np.count_nonzero(future):
        return future
    spoken = table["started"][r.slots] | table["open"][r.slots]
    newest = np.where(spoken, table["key"][r.slots].max(axis=1), r.at)
    passed = np.maximum(r.received - table["received"][r.slots], 0)
    return np.asarray(future & spoken & (r.at - newest - passed > 2 * fleet.period_ns))


def _next_tick(table: StreamTable, fleet: Fleet, r: Round, closed: Int64) -> Int64:
    """Oldest tick that a reading without event time may take: each reading of a feature is a tick of its own."""
    is_open = table["open"][r.slots]
    if not _learns_phase(fleet):
        return np.where(is_open, table["open_tick"][r.slots], closed + 1)
    spoken = (~np.isnan(r.values) & (table["cell_n"][r.slots] > 0)).any(axis=1)
    return np.where(is_open, table["open_tick"][r.slots] + spoken, closed + 1)


def _on_arrival(
    table: StreamTable, fleet: Fleet, r: Round, at_tick: tuple[Int64, Int64, Int64, Int64]
) -> tuple[Int64, Int64]:
    """Verdicts and ticks of readings that take the tick of their arrival.

    One whose tick is closed takes the next where that is no more than three quarters of a period away: sensors and
    networks are not even. One that comes sooner is one too many. Who sends many a period gets one step a period.
    """
    closed, phase, tick, verdict = at_tick
    oldest = np.where(table["open"][r.slots], table["open_tick"][r.slots], closed + 1)
    ahead = phase + oldest * fleet.period_ns - r.at
    too_many = (verdict == ACCEPTED) & (tick < oldest) & (ahead > fleet.period_ns * 3 // 4)
    return np.where(too_many, int(Verdict.SAME_PERIOD), verdict), np.maximum(tick, oldest)


def _reanchor(table: StreamTable, fleet: Fleet, r: Round, verdict: Int64) -> Bool:
    """Whether a stream has been late so long, and so regularly, that its clock must have been set back.

    Redelivered messages (DUP) never count, and the run must have taken at least half the time that its own
    event times claim: a gateway that sends its buffer again does so in a burst.
    """
    refused: Bool = (verdict != ACCEPTED) & (verdict != Verdict.SAME_PERIOD)
    before = table["late_run"][r.slots]
    if not np.count_nonzero(refused) and not np.count_nonzero(before):
        return refused
    counts = ~r.dup & ~r.again
    refused &= counts
    changes = refused | (counts & (before > 0))  # of other rows nothing is written: what travels along must not matter
    late_at = table["late_at"][r.slots]
    goes_on: Bool = refused & (before > 0) & (r.key >= late_at)
    # Features in separate messages share their event time: such a tick counts once.
    run = np.where(goes_on, before + (r.key > late_at), np.where(refused, 1, 0))
    begins = refused & ~goes_on
    first_at = np.where(begins, r.key, table["late_first_at"][r.slots])
    first_received = np.where(begins, r.received, table["late_received"][r.slots])
    claimed = r.key - first_at if fleet.timed else np.full_like(r.key, (REANCHOR_AFTER - 1) * fleet.period_ns)
    enough = _run_wanted(table, fleet, r, verdict)
    anchored: Bool = refused & (run >= enough) & (r.received - first_received >= claimed // 2)
    rows = r.slots[changes]
    table["late_run"][rows] = np.where(anchored, 0, run)[changes]
    table["late_at"][rows] = r.key[changes]
    table["late_first_at"][rows] = first_at[changes]
    table["late_received"][rows] = first_received[changes]
    return anchored


def _run_wanted(table: StreamTable, fleet: Fleet, r: Round, verdict: Int64) -> Int64 | int:
    """So many refused readings in order mean that the stream's clock was set."""
    if not (fleet.tolerant and fleet.timed):
        return REANCHOR_AFTER
    newest, ahead = table["key"][r.slots].max(axis=1), verdict == Verdict.REJECTED
    behind = (newest > r.received) & (r.at <= r.received)  # what it is late against was itself ahead of now
    return np.where(
        ahead | (behind & (newest - r.received > 2 * fleet.period_ns)), REANCHOR_AHEAD_AFTER, REANCHOR_AFTER
    )

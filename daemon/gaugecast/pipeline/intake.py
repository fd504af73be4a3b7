"""Sorting a batch's readings into rounds: in each round a stream has at most one reading."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaugecast.align.gates import Round, take_rows
from gaugecast.batch import Inputs
from gaugecast.fleet import Fleet
from gaugecast.pipeline.beginnings import mark_of
from gaugecast.records import Int64, Kind, Verdict

#: So many deliveries without time and sequence are remembered: more than can be read and not acked (mosquitto 2.0
#: sends a backlog at once, whatever our Receive Maximum; the link reads on up to 8,192).
DELIVERIES = 16_384
_POINTS = (Kind.TIMER, Kind.EVENT, Kind.CUT)


class Deliveries:
    """The last deliveries of payloads that carry neither time nor sequence, by hash. Bounded."""

    def __init__(self, known: Sequence[int] = ()) -> None:
        self._known = OrderedDict.fromkeys(known)

    def seen(self, delivery: int, dup: bool) -> bool:
        """Whether this is a redelivery of one of them; remembers it if not."""
        if dup and delivery in self._known:
            return True
        self._known[delivery] = None
        self._known.move_to_end(delivery)
        if len(self._known) > DELIVERIES:
            self._known.popitem(last=False)
        return False

    def seen_again(self, rows: Inputs, begin: int, end: int, verdicts: Sequence[int]) -> list[bool]:
        """Of each input whether it is a delivery that was seen before; those that were rejected already do not count.

        Args:
            verdicts: Of each input, so far.
        """
        again = [False] * len(rows)
        if any(rows.delivery[begin:end]):
            for i in places_of(rows.kind, Kind.READING, begin, end):
                if rows.delivery[i] and verdicts[i] != Verdict.REJECTED:
                    again[i] = self.seen(rows.delivery[i], rows.dup[i])
        return again

    def clear(self) -> None:
        """Forget all: packet ids have begun anew."""
        self._known.clear()

    def as_list(self) -> list[int]:
        """Oldest first, for a checkpoint."""
        return list(self._known)


def places_of(kinds: Sequence[Kind], wanted: Kind, begin: int, end: int) -> list[int]:
    """Where inputs of one kind stand between two places, rising."""
    return [i for i in range(begin, end) if kinds[i] == wanted] if wanted in kinds else []


def points_of(rows: Inputs) -> list[int]:
    """Where timers, events and cuts stand, which part the readings; rising."""
    if rows.kind.count(Kind.READING) == len(rows):  # as nearly always
        return []
    return [place for place, kind in enumerate(rows.kind) if kind in _POINTS]


def places_by_fleet(rows: Inputs, begin: int, end: int) -> dict[str, Sequence[int]]:
    """Where the readings of each fleet stand between two places, rising."""
    fleets = rows.fleet[begin:end]
    if rows.kind[begin:end].count(Kind.READING) == fleets.count(fleets[0]) == end - begin:
        return {fleets[0]: range(begin, end)}
    found: dict[str, list[int]] = {}
    for i in places_of(rows.kind, Kind.READING, begin, end):
        found.setdefault(rows.fleet[i], []).append(i)
    return dict(found)


def at_places(column: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    """What stands there; places one after another, which is what a batch of one fleet has, are cut out at once."""
    if isinstance(places, range):
        return column[places.start : places.stop]
    return [column[place] for place in places]


def gather(
    rows: Inputs, places: Sequence[int], slots: Sequence[int | None], again: Sequence[bool], fleet: Fleet
) -> Round:
    """Readings of one fleet, which stand at `places` among the inputs; a stream may come twice.

    Args:
        slots: Of each of them; `None` where it was refused, and is left out.
        again: Of each input whether its delivery was seen before.
        fleet: Whose they are.
    """
    if None in slots:
        places = [place for place, slot in zip(places, slots, strict=True) if slot is not None]
        slots = [slot for slot in slots if slot is not None]
    columns: list[Sequence[Any]] = [rows.at_ns, rows.received_at_ns, rows.key, rows.values, rows.dup, again]
    if len(places) < len(rows):
        columns = [at_places(column, places) for column in columns]
    at, received, key, values, dup, again = columns
    return Round(
        slots=np.array(slots, np.int64),
        cause=np.array(places, np.int64),
        at=np.array(at, np.int64),
        received=np.array(received, np.int64),
        key=np.array(key, np.int64),
        values=np.frombuffer(b"".join(values), "<f8").reshape(-1, len(fleet.features)),
        dup=np.array(dup, bool),
        again=np.array(again, bool),
        marks=_marks(rows, places) if fleet.has_sequences else None,
    )


def _marks(rows: Inputs, places: Sequence[int]) -> Int64:
    return np.array([mark_of(rows.reason[place]) for place in places], np.int64)


def rounds_of(whole: Round) -> list[Round]:
    """The same readings as rounds in which no stream comes twice, each stream's in their order."""
    if not len(whole.slots):
        return []
    slots = whole.slots.tolist()
    if len(set(slots)) == len(slots):
        return [whole]
    turns: list[int] = []
    count: dict[int, int] = {}
    for slot in slots:
        turns.append(count.get(slot, 0))
        count[slot] = turns[-1] + 1
    turn = np.array(turns)
    order = np.argsort(turn, kind="stable")
    ends = np.bincount(turn).cumsum().tolist()
    sorted_rows = take_rows(whole, order)
    return [take_rows(sorted_rows, slice(start, end)) for start, end in zip([0, *ends], ends, strict=False)]

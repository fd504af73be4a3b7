"""Sorting a batch's readings into rounds: in each round a stream has at most one reading."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from gaugecast.align.gates import Round, take_rows
from gaugecast.records import Input

#: So many deliveries without time and sequence are remembered: more than can be read and not acked (mosquitto 2.0
#: sends a backlog at once, whatever our Receive Maximum; the link reads on up to 8,192).
DELIVERIES = 16_384


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

    def clear(self) -> None:
        """Forget all: packet ids have begun anew."""
        self._known.clear()

    def as_list(self) -> list[int]:
        """Oldest first, for a checkpoint."""
        return list(self._known)


class Intake:
    """Readings of one fleet in one batch, gathered in order."""

    def __init__(self, features: int) -> None:
        self._features = features
        self._slots: list[int] = []
        self._cause: list[int] = []
        self._readings: list[Input] = []
        self._again: list[bool] = []
        self._round: list[int] = []
        self._turns: dict[int, int] = {}

    def add(self, slot: int, index: int, reading: Input, again: bool) -> None:
        """Take the next reading of the stream at `slot`."""
        turn = self._turns.get(slot, 0)
        self._turns[slot] = turn + 1
        self._slots.append(slot)
        self._cause.append(index)
        self._readings.append(reading)
        self._again.append(again)
        self._round.append(turn)

    def rounds(self) -> list[Round]:
        """All readings, as rounds in which no stream comes twice."""
        _, _, _, at, received, values, key, _, dup, _, _ = zip(*self._readings, strict=True)
        rows = np.frombuffer(b"".join(values), "<f8").reshape(-1, self._features)
        whole = Round(
            slots=np.array(self._slots, np.int64),
            cause=np.array(self._cause, np.int64),
            at=np.array(at, np.int64),
            received=np.array(received, np.int64),
            key=np.array(key, np.int64),
            values=rows,
            dup=np.array(dup, bool),
            again=np.array(self._again, bool),
        )
        turns = max(self._turns.values())
        if turns == 1:
            return [whole]
        turn = np.array(self._round)
        order = np.argsort(turn, kind="stable")
        borders = np.searchsorted(turn[order], np.arange(1, turns))
        return [take_rows(whole, rows) for rows in np.split(order, borders)]

    def slots(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Each stream's slot once."""
        return np.fromiter(self._turns, np.int64, len(self._turns))

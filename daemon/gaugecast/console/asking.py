"""What the console asks the daemon: through the control socket, each question at most so often, whoever looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from gaugecast.control.answers import StreamsAnswer, TableAnswer
from gaugecast.control.client import call
from gaugecast.control.requests import ModelsQuery, StatusQuery, StreamsQuery, TableQuery
from gaugecast.errors import GaugecastError, Unreachable
from gaugecast.status import Status

_Answer = TypeVar("_Answer")

STATUS_S, ROWS_S, TABLE_S = 0.5, 0.08, 2.0
#: Streams of which the newest rows are remembered.
_MOST_WATCHED = 64
#: The table is asked for so much more seldom than it takes.
_SHARE = 50.0


class Kept(Generic[_Answer]):
    """An answer that is asked for again when it is too old; one asker at a time, the others wait for it."""

    def __init__(self, ask: Callable[[], _Answer], every_s: float, *, clock: Callable[[], float]) -> None:
        self._ask, self.every_s, self._clock = ask, every_s, clock
        self._lock = threading.Lock()
        self._at_s = float("-inf")
        self._answer: _Answer | None = None
        self._fault: GaugecastError | None = None

    def forget(self) -> None:
        """Ask again next time."""
        with self._lock:
            self._at_s = float("-inf")

    def get(self) -> _Answer:
        """The answer. Raises what asking raises."""
        with self._lock:
            if self._clock() - self._at_s >= self.every_s:
                try:
                    self._answer, self._fault = self._ask(), None
                except GaugecastError as exc:
                    self._fault = exc
                self._at_s = self._clock()
            if self._fault is not None:
                raise self._fault
            assert self._answer is not None
            return self._answer


class Asking:
    """The daemon at the other end of a control socket. Any thread.

    Attributes:
        last_status: What it said last, and when.
    """

    def __init__(self, socket: Path, *, timeout_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket, self._timeout_s, self._clock = socket, timeout_s, clock
        self.last_status: tuple[Status, float] | None = None
        self._status = Kept(self._ask_status, STATUS_S, clock=clock)
        self._table = Kept(self._ask_table, TABLE_S, clock=clock)
        self._rows: dict[tuple[str, str], Kept[StreamsAnswer]] = {}
        self._lock = threading.Lock()

    def status(self) -> Status:
        """How the daemon is.

        Raises:
            Unreachable, CommandRefused: As `call`; so from all questions.
        """
        return self._status.get()

    def models(self) -> dict[str, Any]:
        """What is in force and in shadow, by fleet."""
        fleets: dict[str, Any] = self._call(ModelsQuery())["fleets"]
        return fleets

    def stream(self, fleet: str, stream: str) -> StreamsAnswer:
        """One stream's rows, with the path ahead."""
        with self._lock:
            kept = self._rows.pop((fleet, stream), None)
            if kept is None:
                query = StreamsQuery(fleet=fleet, stream=stream, limit=1, ahead=True)
                kept = Kept(lambda: self._convert(query, StreamsAnswer), ROWS_S, clock=self._clock)
            self._rows[fleet, stream] = kept
            if len(self._rows) > _MOST_WATCHED:
                del self._rows[next(iter(self._rows))]
        return kept.get()

    def table(self) -> tuple[TableAnswer, ...]:
        """All streams by column, in parts."""
        return self._table.get()

    def order(self, request: msgspec.Struct, *, timeout_s: float | None = None) -> None:
        """Have the daemon change something; what is told of it afterwards is asked anew."""
        call(self._socket, request, timeout_s or self._timeout_s)
        for kept in (self._status, self._table):
            kept.forget()

    def _ask_status(self) -> Status:
        status = self._convert(StatusQuery(), Status)
        self.last_status = status, time.time()
        return status

    def _ask_table(self) -> tuple[TableAnswer, ...]:
        begun, parts, offset = self._clock(), [], 0
        while True:
            part = self._convert(TableQuery(offset=offset), TableAnswer)
            parts.append(part)
            offset += sum(len(fleet.streams) for fleet in part.fleets)
            if not part.fleets or offset >= part.total:
                break
        self._table.every_s = max(TABLE_S, _SHARE * (self._clock() - begun)) if offset > 1000 else TABLE_S / 2
        return tuple(parts)

    def _convert(self, query: msgspec.Struct, kind: type[_Answer]) -> _Answer:
        answer = self._call(query)
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as exc:
            raise Unreachable(f"{self._socket}: expected a daemon of this version, got: {exc}") from exc

    def _call(self, query: msgspec.Struct) -> dict[str, Any]:
        return call(self._socket, query, self._timeout_s)

"""What the console reads of the state directory: the ledger in short transactions, and the weights. Never writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from gaugecast.console.event_shapes import EventRow
from gaugecast.console.happened import Happened
from gaugecast.console.series import Made, Readings
from gaugecast.errors import StorageError, WrongUse
from gaugecast.events import FleetConfigured
from gaugecast.fleet import Fleet
from gaugecast.ledger.ports import PastReader
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.rows import HistoryPage, Quarantined
from gaugecast.records import Float64, Int64

#: Readings that one view goes through at most.
MOST_READINGS = 200_000
_PAGE = 20_000
_RENEW_S = 1.0


class Past:
    """The ledger of a state directory. Any thread: one at a time reads, and no transaction outlasts a page.

    Args:
        directory: The state directory.
        open_reader: Opens the ledger of one, wherever it lies.
    """

    def __init__(self, directory: Path, open_reader: Callable[[Path], PastReader] = LedgerReader) -> None:
        self.directory = directory
        self._open = open_reader
        self._reader: PastReader | None = None
        self._renewed_at_s = 0.0
        self._lock = threading.Lock()
        self._fleets: dict[str, Fleet] = {}
        self._events_seq = 0
        self.happened = Happened()

    @contextmanager
    def _reading(self) -> Iterator[PastReader]:
        with self._lock:
            if self._reader is None:
                self._reader = self._open(self.directory)
            elif time.monotonic() - self._renewed_at_s > _RENEW_S:
                self._renewed_at_s = time.monotonic()
                if self._reader.renew():
                    self._fleets, self._events_seq = {}, 0
                    self.happened.begin_anew()
            try:
                yield self._reader
            except StorageError:
                self._reader.close()  # the next question opens it again
                self._reader = None
                raise

    def close(self) -> None:
        """Close the ledger; the next question opens it again."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def fault(self) -> str | None:
        """Why the ledger cannot be read; `None` where it can."""
        try:
            with self._reading() as reader:
                reader.last_seq  # noqa: B018
        except StorageError as exc:
            return str(exc)
        return None

    def last_seq(self) -> int:
        """The newest durable input. Raises `StorageError`, as all questions."""
        with self._reading() as reader:
            return reader.last_seq

    def fleets(self) -> dict[str, Fleet]:
        """Each fleet as it was configured last."""
        with self._reading() as reader:
            last = reader.last_seq
            if last < self._events_seq:
                self._fleets, self._events_seq = {}, 0
            for seq, name, event in reader.events(self._events_seq):
                self._events_seq = seq
                if isinstance(event, FleetConfigured):
                    self._fleets[name] = Fleet.from_json(event.spec)
            return dict(self._fleets)

    def fleet(self, name: str) -> Fleet:
        """One of them.

        Raises:
            WrongUse: There is none of that name.
        """
        found = self.fleets().get(name)
        if found is None:
            raise WrongUse(f"no fleet {name!r} is in the ledger")
        return found

    def streams(self, fleet: str) -> list[str]:
        """All streams of which the ledger has something, in order."""
        with self._reading() as reader:
            return [stream for name, stream in reader.stream_names() if name == fleet and stream]

    def history(
        self, fleet: str, stream: str, *, from_ns: int | None, to_ns: int | None, most: int,
        only: tuple[int, int] | None = None,
    ) -> tuple[Readings, Made, bool]:  # fmt: skip
        """Readings and forecasts, oldest first, the newest `most` of them, and whether there are older ones.

        Args:
            only: Of the readings and of the forecasts this column alone: a long stretch with all is many megabytes.
        """
        pages: list[HistoryPage] = []
        count, more = 0, False
        with self._reading() as reader:
            for page in reader.history(fleet, stream, from_ns=from_ns, to_ns=to_ns, most=min(most, _PAGE)):
                if count >= most:
                    more = True
                    break
                pages.append(page if only is None else _narrow(page, *only))
                count += len(page.readings)
        return *_joined(pages, most), more or count > most

    def events(self) -> list[EventRow]:
        """All that happened, as far as it is kept; only what is new is read."""
        more = True
        while more:
            with self._reading() as reader:
                told = reader.told(self.happened.after)
                self.happened.take(told)
                more = bool(told)
        return self.happened.rows()

    def quarantined(self, most: int, reason: str | None) -> list[Quarantined]:
        """The newest refused messages."""
        with self._reading() as reader:
            return reader.quarantined(most, reason=reason)

    def size_bytes(self) -> int:
        """What the ledger takes on the disk."""
        with self._reading() as reader:
            return reader.size_bytes


def _narrow(page: HistoryPage, place: int, column: int) -> HistoryPage:
    """One column of the readings and one of the forecasts; a row that has it not has NaN, or nothing."""
    values, forecasts = page.readings.values, page.outputs.forecasts
    return HistoryPage(
        replace(page.readings, values=values[:, place : place + 1].copy()),
        replace(page.outputs, forecasts=forecasts[:, column : column + 1].copy()),
    )


def _joined(pages: list[HistoryPage], most: int) -> tuple[Readings, Made]:
    """Newest first by page and within, as one, oldest first."""
    readings = Readings(
        _column(pages, lambda page: page.readings.seqs),
        _column(pages, lambda page: page.readings.at_ns),
        _wide(page.readings.values for page in pages),
        _column(pages, lambda page: page.readings.verdicts),
    )
    kinds = _column(pages, lambda page: page.outputs.kinds)
    made = Made(
        _column(pages, lambda page: page.outputs.seqs)[kinds == 0],
        _wide(page.outputs.forecasts for page in pages)[kinds == 0],
    )
    return Readings._make(column[-most:] for column in readings), made


def _column(pages: list[HistoryPage], column: Callable[[HistoryPage], Int64]) -> Int64:
    found = [column(page) for page in pages]
    return np.concatenate(found)[::-1] if found else np.empty(0, np.int64)


def _wide(tables: Iterable[Float64]) -> Float64:
    """Of tables of different widths one, NaN where a row has fewer."""
    found = list(tables)
    width = max((table.shape[1] for table in found), default=0)
    padded = [np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=np.nan) for table in found]
    return np.concatenate(padded)[::-1] if padded else np.empty((0, 0))

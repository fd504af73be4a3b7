"""A forecast of a history that is sent along: in this process, by the code and the weights that the daemon uses."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from gaugecast.console.asked import Instant, Name
from gaugecast.control.answers import StreamRow
from gaugecast.errors import CommandRefused, WrongUse
from gaugecast.fleet import Fleet
from gaugecast.records import Input, Verdict

MOST_POINTS = 2000
STREAM = "asked"
_NAN = float("nan")


class ForecastBody(msgspec.Struct, frozen=True, kw_only=True):
    """A history, oldest first, as one stream of a fleet; nothing of it reaches the daemon or its ledger.

    Attributes:
        at_s: Event times of the readings, Unix seconds UTC.
        values: By feature of the fleet, a value a reading; null = absent. Features that are left out are absent.
    """

    fleet: Name
    at_s: Annotated[list[Instant], Meta(min_length=1, max_length=MOST_POINTS)]
    values: dict[Name, Annotated[list[float | None], Meta(max_length=MOST_POINTS)]]


class ForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """What would be forecast behind that history.

    Attributes:
        rows: A row a feature, with the path ahead and its intervals; intervals need some hundred steps.
        model: Version of the weights; null = none are in force.
        verdicts: What became of the readings: `stepped`, `late`, `duplicate`, `held`, `same_period`.
    """

    rows: list[StreamRow]
    model: str | None = None
    verdicts: dict[str, int] = {}


class Made(NamedTuple):
    """Rows, weights, and a verdict a reading."""

    rows: list[StreamRow]
    model: str | None
    verdicts: Sequence[int]


#: Steps a new stream of a fleet over these readings.
Forecaster = Callable[[Fleet, list[Input]], Made]


class Forecasting:
    """One forecast at a time, and as many that wait for it. Any thread."""

    def __init__(self, forecaster: Forecaster | None) -> None:
        self._forecaster = forecaster
        self._room = threading.Semaphore(4)
        self._turn = threading.Lock()

    def of(self, fleet: Fleet, body: ForecastBody) -> ForecastView:
        """The answer.

        Raises:
            WrongUse: A feature is none of the fleet's, or has more or fewer values than there are times.
            CommandRefused: Too many wait for one already.
        """
        if self._forecaster is None:
            raise WrongUse("this console cannot forecast")
        readings = readings_of(fleet, body)
        if not self._room.acquire(blocking=False):
            raise CommandRefused("too many forecasts are being made; ask again")
        try:
            with self._turn:
                made = self._forecaster(fleet, readings)
        finally:
            self._room.release()
        counts = Counter(Verdict(one).name.lower() for one in made.verdicts)
        return ForecastView(rows=made.rows, model=made.model, verdicts=dict(counts))


def readings_of(fleet: Fleet, body: ForecastBody) -> list[Input]:
    """The history as the decoder would have read it, each taken when it was measured, or after the one before.

    Raises:
        WrongUse: As `Forecasting.of`.
    """
    names = [feature.name for feature in fleet.features]
    unknown = sorted(set(body.values) - set(names))
    if unknown:
        raise WrongUse(f"values: expected features of {', '.join(names)}, got {unknown[0]!r}")
    for name, values in body.values.items():
        if len(values) != len(body.at_s):
            raise WrongUse(f"values.{name}: expected {len(body.at_s)} values, as many as times, got {len(values)}")
    columns = [body.values.get(name) or [None] * len(body.at_s) for name in names]
    readings: list[Input] = []
    received_ns = 0
    for at_s, *row in zip(body.at_s, *columns, strict=True):
        if all(value is None for value in row):
            continue
        at_ns = round(at_s * 1e9)
        received_ns = max(received_ns, at_ns)
        packed = struct.pack(f"<{len(row)}d", *(_NAN if value is None else value for value in row))
        readings.append(Input.reading(fleet.name, STREAM, at_ns, received_ns, packed))
    return readings

"""What a message says of the listed horizons: the values of its keys `horizons` and `experts`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from gaugecast.config.duration import duration_text
from gaugecast.fleet import Fleet
from gaugecast.forecast.body import AheadTexts
from gaugecast.forecast.horizons.experts import Ahead
from gaugecast.forecast.horizons.rows import EXPERTS, LEADS
from gaugecast.forecast.message import Bounds, Horizon
from gaugecast.forecast.templates import HOLE, by_column, encode, filled, pieces_of, round_digits, texts_of
from gaugecast.records import Int64

#: Of a stream that has fallen silent nothing is said of what is ahead.
_SILENT = b"[]", b"null"
_LEADS = tuple(map(encode, LEADS))


class AheadWriter:
    """Writes for one fleet, a batch at a time."""

    def __init__(self, fleet: Fleet) -> None:
        self._names = [feature.name for feature in fleet.forecast_features]
        self._levels = [f"{level:g}" for level in fleet.intervals]
        self._after_ns = [h * fleet.period_ns for h in fleet.horizons]
        whole: Bounds = dict.fromkeys(self._levels, (HOLE, HOLE))
        self._known = self._pieces(whole)
        self._partly = self._pieces(HOLE)
        self._interval = pieces_of(whole)
        self._experts = pieces_of({expert: dict.fromkeys(self._names, HOLE) for expert in EXPERTS})

    def _pieces(self, interval: Bounds) -> list[bytes]:
        """Of the template of `horizons`, with this in place of each interval."""
        holes = dict.fromkeys(self._names, HOLE)
        intervals: dict[str, Bounds | None] = dict.fromkeys(self._names, interval)
        spans = map(duration_text, self._after_ns)
        return pieces_of(
            [Horizon(span=span, instant=HOLE, forecast=holes, intervals=intervals, leads=holes) for span in spans]
        )

    def texts(self, rounds: Sequence[tuple[Ahead | None, Int64]]) -> AheadTexts:
        """What the messages of rounds of steps say, one after the other.

        Args:
            rounds: What is said, `None` = nothing, and when each was (N,).
        """
        horizons: list[bytes] = []
        experts: list[bytes] = []
        for ahead, at_ns in rounds:
            if ahead is None:
                horizons += [_SILENT[0]] * len(at_ns)
                experts += [_SILENT[1]] * len(at_ns)
            elif len(at_ns):
                horizons += self._horizons(ahead, at_ns)
                experts += filled(self._experts, _columns_of(ahead.experts[:, 0].swapaxes(1, 2)))
        return AheadTexts(horizons, experts)

    def _horizons(self, ahead: Ahead, at_ns: Int64) -> list[bytes]:
        whole = not ahead.warming.any()
        return filled(self._known if whole else self._partly, self._columns(ahead, at_ns, whole=whole))

    def _columns(self, ahead: Ahead, at_ns: Int64, *, whole: bool) -> Iterator[Sequence[bytes]]:
        """By horizon: the instant, forecasts, intervals and leads by feature."""
        width, levels, instants = len(self._names), len(self._levels), at_ns.tolist()
        forecast = _columns_of(ahead.forecast)
        bounds = _columns_of(np.stack([ahead.lower, ahead.upper], axis=-1)) if levels else iter(())
        leads, warming = ahead.leads.transpose(1, 2, 0).tolist(), ahead.warming.transpose(1, 2, 0).tolist()
        for h, after in enumerate(self._after_ns):
            yield texts_of([(at + after) / 1_000_000_000 for at in instants])
            yield from islice(forecast, width)
            for g in range(width):
                interval = islice(bounds, 2 * levels)
                if whole:
                    yield from interval
                else:
                    yield self._intervals(list(interval), warming[h][g])
            for g in range(width):
                yield [_LEADS[k] for k in leads[h][g]]

    def _intervals(self, bounds: list[list[bytes]], warming: list[bool]) -> list[bytes]:
        """The bounds by level, `null` while too little is known."""
        if not bounds:
            return [b"null"] * len(warming)
        texts = filled(self._interval, bounds)
        return [b"null" if unknown else text for text, unknown in zip(texts, warming, strict=True)]


def _columns_of(values: np.ndarray) -> Iterator[list[bytes]]:
    """Texts of values (N, …), a list of N for each of the rest, in their order."""
    count = len(values)
    return by_column(texts_of(round_digits(values.reshape(count, -1)).T.ravel().tolist()), count)

"""Writes messages of forecasts: one JSON object each, keys always in the same order.

What they say is typed in `forecast.message`; their JSON Schema is `forecast.schema.json` beside this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET

from gaugecast.config.duration import duration_text
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import FIRST_SCHEMA, QUALITY, SCHEMA, Age, Forecast, Horizon
from gaugecast.records import Float64
from gaugecast.topics import output_topic

WARMING, BRIDGED, PARTIAL, FALLBACK, STALE, UNCHANGED = (1 << i for i in range(len(QUALITY)))

_DIGITS = 9
_SCORE_DIGITS, _MOST_SCORE = 3, 1e6
_HOLE: Any = "\0"  # in a template; no name has one
_encoder = msgspec.json.Encoder()
_FLAGS = tuple(
    _encoder.encode([name for i, name in enumerate(QUALITY) if bits >> i & 1]) for bits in range(1 << len(QUALITY))
)


class AheadTexts(NamedTuple):
    """JSON of N messages of a fleet that lists horizons: the values of `horizons` and of `experts`."""

    horizons: Sequence[bytes]
    experts: Sequence[bytes]


def round_digits(values: Float64, digits: int = _DIGITS) -> Float64:
    """Round to so many significant decimal digits: shorter to send, and finer than any sensor."""
    size = np.abs(values)
    size = np.where((size > 1e-200) & (size < 1e200), size, 1.0)
    factor = 10.0 ** (digits - 1 - np.floor(np.log10(size)))
    out: Float64 = np.where(np.abs(values) < 1e200, np.rint(values * factor) / factor, values)
    return out


class BodyWriter:
    """Makes the messages of one fleet, a batch at a time: texts of numbers by the column, put into one template.

    Args:
        lineage: Named in each message; empty where the ledger has none yet.
        schema: Version of their shape: ledgers begin with the first where their events say no other.
    """

    def __init__(self, fleet: Fleet, lineage: str = "", *, schema: int = SCHEMA) -> None:
        self.fleet, self._names = fleet, [feature.name for feature in fleet.forecast_features]
        self.schema, self._first = schema, schema == FIRST_SCHEMA
        template = _first_template(fleet, lineage) if self._first else _template(fleet, lineage)
        self._between = _encoder.encode(template).split(_encoder.encode(_HOLE))
        self._topic = output_topic(fleet.output, fleet.name, _HOLE).split(_HOLE)

    def topics(self, streams: Iterable[str]) -> list[str]:
        """Where each stream's forecasts go."""
        return [stream.join(self._topic) for stream in streams]

    def bodies(
        self,
        streams: Sequence[str],
        steps: Sequence[int],
        at_ns: Sequence[int],
        *,
        forecast: Float64,
        observed: Float64,
        predicted: Float64,
        model: str | None,
        quality: Sequence[int],
        age: Age,
        ahead: AheadTexts | None = None,
    ) -> list[bytes]:
        """N messages, at least one.

        Args:
            streams, steps: Name each message for ever, within the lineage.
            at_ns: Event time of the step that the forecast was made at.
            forecast: (N, H, G) for 1…H ticks ahead, in the sensors' units.
            observed: (N, G) what was measured; NaN, printed as null, where nothing was.
            predicted: (N, G) what had been forecast for it.
            model: Version of the model that made the forecasts without the flag `fallback`; those are persistence.
            quality: Flags, see `QUALITY`.
            age: Of the streams' states.
            ahead: What is said at the listed horizons, of a fleet that lists any.
        """
        width, count = len(self._names), len(streams)
        rounded = round_digits(np.concatenate([forecast.reshape(count, -1), predicted, observed - predicted], axis=1))
        texts = _by_column(_numbers(np.concatenate([rounded, observed], axis=1).T.ravel().tolist()), count)
        by_horizon = [list(islice(texts, width)) for _ in range(forecast.shape[1])]
        said, residual, seen = (list(islice(texts, width)) for _ in range(3))
        models = _encoder.encode(model), b"null"
        columns = [
            _strings(streams),
            _numbers(steps),
            self._seconds(at_ns, 0),
            self._seconds(at_ns, 1),
            *by_horizon[0],
            *self._horizons(at_ns, by_horizon, ahead),
            *seen,
            *said,
            *residual,
            [models[flags & FALLBACK > 0] for flags in quality],
            [_FLAGS[flags] for flags in quality],
            *([] if self._first else _of_state(at_ns, age, ahead)),
        ]
        pieces = chain.from_iterable(zip(map(repeat, self._between), columns, strict=False))
        return list(map(b"".join, zip(*pieces, repeat(self._between[-1]), strict=False)))

    def _horizons(
        self, at_ns: Sequence[int], by_horizon: Sequence[list[list[bytes]]], ahead: AheadTexts | None
    ) -> Iterator[Sequence[bytes]]:
        """The columns of `horizons`."""
        if self._first:  # there a feature that is called `for` stands in place of the instant
            for h, values in enumerate(by_horizon[1:], 2):
                yield from {"for": self._seconds(at_ns, h), **dict(zip(self._names, values, strict=True))}.values()
        elif ahead is not None:
            yield ahead.horizons
        elif self.fleet.horizon > 1:
            for h, values in enumerate(by_horizon, 1):
                yield from (self._seconds(at_ns, h), *values)

    def _seconds(self, at_ns: Sequence[int], ticks: int) -> list[bytes]:
        """Unix seconds of instants some ticks later, correctly rounded to a double."""
        shift = ticks * self.fleet.period_ns
        return _numbers([(at + shift) / 1_000_000_000 for at in at_ns])


def _template(fleet: Fleet, lineage: str) -> Forecast:
    """A message with holes."""
    named = dict.fromkeys((feature.name for feature in fleet.forecast_features), _HOLE)
    spans = [duration_text(h * fleet.period_ns) for h in range(1, fleet.horizon + 1)] if fleet.horizon > 1 else []
    horizons = [Horizon(span=span, instant=_HOLE, forecast=named) for span in spans]
    return Forecast(
        schema=SCHEMA, fleet=fleet.name, stream=_HOLE, lineage=lineage or UNSET, step=_HOLE, at=_HOLE, instant=_HOLE,
        forecast=named, horizons=_HOLE if fleet.horizons else horizons, observed=named, predicted=named,
        residual=named, model=_HOLE, quality=_HOLE, steps_since_reset=_HOLE, bridged=_HOLE, state_age=_HOLE,
        experts=_HOLE if fleet.horizons else UNSET,
    )  # fmt: skip


def _first_template(fleet: Fleet, lineage: str) -> dict[str, object]:
    """The same as versions before schema 2 wrote it, for what lies in their ledgers."""
    named = dict.fromkeys((feature.name for feature in fleet.forecast_features), _HOLE)
    return {
        "fleet": fleet.name,
        "stream": _HOLE,
        **({"lineage": lineage} if lineage else {}),
        "step": _HOLE,
        "at": _HOLE,
        "for": _HOLE,
        "forecast": named,
        "horizons": [{"for": _HOLE, **named} for _ in range(1, fleet.horizon)],
        "observed": named,
        "predicted": named,
        "residual": named,
        "model": _HOLE,
        "quality": _HOLE,
    }


def _of_state(at_ns: Sequence[int], age: Age, ahead: AheadTexts | None) -> Iterator[Sequence[bytes]]:
    """The columns behind `quality`."""
    yield _numbers(age.steps.tolist())
    yield _numbers(age.bridged.tolist())
    yield _numbers([(at - began) / 1_000_000_000 for at, began in zip(at_ns, age.began.tolist(), strict=True)])
    if ahead is not None:
        yield ahead.experts


def _numbers(numbers: Sequence[float]) -> list[bytes]:
    """The text of each; `null` for NaN."""
    return _encoder.encode(numbers)[1:-1].split(b",")


def _strings(texts: Sequence[str]) -> list[bytes]:
    """Each in quotes. A line break in a text is escaped, so lines part them."""
    return _encoder.encode_lines(texts).split(b"\n")[:-1]


def _by_column(texts: list[bytes], count: int) -> Iterator[list[bytes]]:
    return (texts[at : at + count] for at in range(0, len(texts), count))


def score_tails(names: Sequence[str], scores: Float64) -> list[bytes]:
    """What N messages end with that say scores (N, G), null where a stream's are not known (NaN)."""
    rounded = np.round(np.minimum(scores, _MOST_SCORE), _SCORE_DIGITS)
    highest = _numbers(rounded.max(axis=1).tolist())
    heads = [b"," + _encoder.encode(name) + b":" for name in names]
    heads[0] = heads[0][1:]
    by_feature = _by_column(_numbers(rounded.T.ravel().tolist()), len(scores))
    pieces = chain.from_iterable((repeat(head), texts) for head, texts in zip(heads, by_feature, strict=True))
    said = map(b"".join, zip(*pieces, strict=False))
    return [
        b',"score":null}' if top == b"null" else b',"score":{"value":%b,"features":{%b}}}' % (top, one)
        for top, one in zip(highest, said, strict=True)
    ]


def totals_tails(names: Sequence[str], totals: Float64) -> Iterator[bytes]:
    """What N messages end with that say counters' totals (N, C), null where one was absent."""
    for row in totals.tolist():
        said = {name: None if total != total else total for name, total in zip(names, row, strict=True)}
        yield b',"totals":' + _encoder.encode(said) + b"}"

"""Writes messages of forecasts: one JSON object each, keys always in the same order.

What they say is typed in `forecast.message`; their JSON Schema is `forecast.schema.json` beside this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from msgspec import UNSET

from gaugecast.config.duration import duration_text
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import FIRST_SCHEMA, QUALITY, SCHEMA, Age, Forecast, Horizon
from gaugecast.forecast.templates import HOLE, by_column, encode, filled, pieces_of, quoted, round_digits, texts_of
from gaugecast.records import Float64
from gaugecast.topics import output_topic

WARMING, BRIDGED, PARTIAL, FALLBACK, STALE, UNCHANGED = (1 << i for i in range(len(QUALITY)))

_FLAGS = tuple(encode([name for i, name in enumerate(QUALITY) if bits >> i & 1]) for bits in range(1 << len(QUALITY)))
_SCORE_DIGITS, _MOST_SCORE = 3, 1e6
#: What a message ends with that is not judged.
NO_SCORE = b',"score":null}'
#: And what because its machine is off.
OFF_SCORE = b',"score":{"value":null,"features":{},"reason":"MACHINE_OFF"}}'


class AheadTexts(NamedTuple):
    """JSON of N messages of a fleet that lists horizons: the values of `horizons` and of `experts`."""

    horizons: Sequence[bytes]
    experts: Sequence[bytes]


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
        self._between = pieces_of(template)
        self._topic = output_topic(fleet.output, fleet.name, HOLE).split(HOLE)

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
        texts = by_column(texts_of(np.concatenate([rounded, observed], axis=1).T.ravel().tolist()), count)
        by_horizon = [list(islice(texts, width)) for _ in range(forecast.shape[1])]
        said, residual, seen = (list(islice(texts, width)) for _ in range(3))
        models = encode(model), b"null"
        columns = [
            quoted(streams),
            texts_of(steps),
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
        return filled(self._between, columns)

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
        return texts_of([(at + shift) / 1_000_000_000 for at in at_ns])


def _template(fleet: Fleet, lineage: str) -> Forecast:
    """A message with holes."""
    named = dict.fromkeys((feature.name for feature in fleet.forecast_features), HOLE)
    spans = [duration_text(h * fleet.period_ns) for h in range(1, fleet.horizon + 1)] if fleet.horizon > 1 else []
    horizons = [Horizon(span=span, instant=HOLE, forecast=named) for span in spans]
    return Forecast(
        schema=SCHEMA, fleet=fleet.name, stream=HOLE, lineage=lineage or UNSET, step=HOLE, at=HOLE, instant=HOLE,
        forecast=named, horizons=HOLE if fleet.horizons else horizons, observed=named, predicted=named,
        residual=named, model=HOLE, quality=HOLE, steps_since_reset=HOLE, bridged=HOLE, state_age=HOLE,
        experts=HOLE if fleet.horizons else UNSET,
    )  # fmt: skip


def _first_template(fleet: Fleet, lineage: str) -> dict[str, object]:
    """The same as versions before schema 2 wrote it, for what lies in their ledgers."""
    named = dict.fromkeys((feature.name for feature in fleet.forecast_features), HOLE)
    return {
        "fleet": fleet.name,
        "stream": HOLE,
        **({"lineage": lineage} if lineage else {}),
        "step": HOLE,
        "at": HOLE,
        "for": HOLE,
        "forecast": named,
        "horizons": [{"for": HOLE, **named} for _ in range(1, fleet.horizon)],
        "observed": named,
        "predicted": named,
        "residual": named,
        "model": HOLE,
        "quality": HOLE,
    }


def _of_state(at_ns: Sequence[int], age: Age, ahead: AheadTexts | None) -> Iterator[Sequence[bytes]]:
    """The columns behind `quality`."""
    yield texts_of(age.steps.tolist())
    yield texts_of(age.bridged.tolist())
    yield texts_of([(at - began) / 1_000_000_000 for at, began in zip(at_ns, age.began.tolist(), strict=True)])
    if ahead is not None:
        yield ahead.experts


def rounded_scores(scores: Float64) -> Float64:
    """As they are said: (N, G), NaN where a stream's are not known, or its machine is off."""
    double = np.minimum(scores, _MOST_SCORE).astype(np.float64)  # kept in single precision
    rounded: Float64 = double.round(_SCORE_DIGITS)
    rounded[scores == -np.inf] = np.nan
    return rounded


def score_tails(names: Sequence[str], scores: Float64) -> list[bytes]:
    """What N messages end with that say scores (N, G), null where a stream's are not known (NaN, −∞: it is off)."""
    rounded = rounded_scores(scores)
    count = len(scores)
    texts = texts_of(rounded.T.ravel().tolist())
    highest = [texts[place] for place in (rounded.argmax(axis=1) * count + np.arange(count)).tolist()]
    first, *between = pieces_of({"score": {"value": HOLE, "features": dict.fromkeys(names, HOLE)}})
    tails = filled([b"," + first[1:], *between], [highest, *by_column(texts, count)])
    unknown = np.isnan(rounded)
    if not np.count_nonzero(unknown):
        return tails
    for row in np.flatnonzero(unknown.any(axis=1)).tolist():
        tails[row] = OFF_SCORE if scores[row, 0] == -np.inf else NO_SCORE
    return tails


def totals_tails(names: Sequence[str], totals: Float64) -> Iterator[bytes]:
    """What N messages end with that say counters' totals (N, C), null where one was absent."""
    for row in totals.tolist():
        said = {name: None if total != total else total for name, total in zip(names, row, strict=True)}
        yield b',"totals":' + encode(said) + b"}"

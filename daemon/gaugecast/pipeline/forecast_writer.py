"""From stepped streams to messages: which forecast is published, with what flags, in what bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from gaugecast.batch import Outputs
from gaugecast.fleet import Fleet
from gaugecast.forecast.body import FALLBACK, NO_SCORE, STALE, WARMING, score_tails, totals_tails
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.forecast.horizons.experts import Ahead
from gaugecast.forecast.horizons.message import AheadWriter
from gaugecast.forecast.horizons.rows import PERSISTENCE
from gaugecast.forecast.message import FIRST_SCHEMA, SCHEMA, Age
from gaugecast.outputs.told import Told
from gaugecast.pipeline.ages import Ages
from gaugecast.pipeline.batch_result import Closed, Outcome, Said, Totals
from gaugecast.pipeline.shaping import Batches, Voice, shaped
from gaugecast.records import Float64, Int64
from gaugecast.streams.table import StreamTable


class ForecastWriter:
    """Publishes for one fleet; writes the table's `published` and `step`. Owned by the loop's thread.

    Where it is `mute` it does no more than that, and looks no further than the next step.
    """

    def __init__(
        self, fleet: Fleet, table: StreamTable, totals: Totals, *, ages: Ages, lineage: str = "", schema: int = SCHEMA,
        mute: bool = False,
    ) -> None:  # fmt: skip
        self.fleet, self.mute = fleet, mute
        self.forecast = np.array(fleet.forecast_places, np.int64)
        self._table = table
        self._totals = totals
        self._ages = ages
        self.write_as(lineage, schema)

    def write_as(self, lineage: str, schema: int) -> None:
        """From here on messages have this lineage and shape; what is said already, and not yet written, has not."""
        self.lineage, self.schema = lineage, schema
        self._writer = Voice(self.fleet, lineage, schema=schema)

    def publish(
        self,
        closed: Closed,
        steps: Steps,
        expert: Expert | None,
        *,
        x: Float64,
        predicted: Float64,
        quality: Int64,
        ahead: Ahead | None,
        scores: Float64 | None,
        result: Outcome,
    ) -> None:
        """One message a step: the expert's forecast where it is ready, else persistence (`fallback`).

        Args:
            closed: The steps (N).
            steps: The same, as the experts took them.
            expert: The model in force.
            x: Values as fed to it (N, F).
            predicted: What was said one step earlier of these values (N, G), NaN = nothing.
            quality: Flags known so far (N,).
            ahead: What is said at the listed horizons, the next step among them; that is what is published then.
            scores: How strange the values are (N, G), NaN = not judged; `None` = nobody looks.
            result: Takes the outputs.
        """
        slots, horizon = closed.slots, 1 if self.mute else self.fleet.horizon
        quality = quality | steps.fresh * WARMING
        forecast = np.repeat(x[:, None, self.forecast], horizon, axis=1)
        ready = np.zeros(len(slots), bool) if expert is None else expert.ready(slots, x)
        count = int(np.count_nonzero(ready))
        if expert is not None and count:
            rows = slice(None) if count == len(slots) else ready
            last = np.where(steps.fresh[:, None], np.nan, steps.last) if horizon > 1 else steps.last
            forecast[rows] = expert.peek(slots[rows], x[rows], last[rows], closed.at[rows], horizon)
        if count < len(slots):
            quality |= ~ready * (FALLBACK if expert is None else FALLBACK | WARMING)
        if ahead is not None:
            forecast, ready = ahead.forecast, (ahead.leads[:, 0] != PERSISTENCE).any(axis=1)
            count, quality = int(np.count_nonzero(ready)), quality & ~FALLBACK | ~ready * FALLBACK
        self._table["published"][slots] = forecast[:, 0]
        self._table["predicted"][slots] = predicted
        self._totals.fallback_steps += len(slots) - count
        version = None if expert is None else expert.version
        self._say(
            closed, version, forecast=forecast, predicted=predicted, quality=quality, result=result, ahead=ahead,
            scores=scores,
        )  # fmt: skip

    def mark_stale(self, slots: Int64, cause: int, result: Outcome) -> None:
        """Tell the consumers once that streams have fallen silent: the last forecast again, marked `stale`."""
        table, count = self._table, len(slots)
        table["stale"][slots] = True
        self._totals.stale += count
        forecast = np.repeat(table["published"][slots][:, None, :], len(self.fleet.ahead), axis=1)
        nothing = np.full((count, table["x"].shape[1]), np.nan)
        closed = Closed(slots, np.full(count, cause), nothing, table["at"][slots], table["tick"][slots])
        quality = np.full(count, STALE | FALLBACK)
        predicted = nothing[:, self.forecast]
        self._say(closed, None, forecast=forecast, predicted=predicted, quality=quality, result=result)

    def _say(
        self, closed: Closed, model: str | None, *, forecast: Float64, predicted: Float64, quality: Int64,
        result: Outcome, ahead: Ahead | None = None, scores: Float64 | None = None,
    ) -> None:  # fmt: skip
        table, names, slots = self._table, self._table.names, closed.slots
        table["quality"][slots] = quality
        step = table["step"][slots] + 1
        table["step"][slots] = step
        if self.mute:
            return
        streams = [names[slot] or "" for slot in slots.tolist()]
        observed = closed.values[:, self.forecast]
        self._totals.forecasts += len(slots)
        numbers = (closed.cause, step, closed.at, forecast, observed, predicted, quality)
        age = self._ages.of(slots)
        result.said.append(Said(self._writer, model, streams, *numbers, age, closed.totals, ahead, scores))


def write_outputs(result: Outcome, batches: Batches) -> None:
    """Make messages of what was said, in the order of the inputs that made them; notices behind forecasts."""
    outputs = Outputs()
    for _, alike in groupby(result.said, key=lambda one: (id(one.writer), one.model)):
        outputs.extend(_written(list(alike), batches))
    if batches:
        outputs.extend(batches.end(result.cuts))
    outputs.extend(result.notices)
    places = sorted(range(len(outputs)), key=outputs.cause.__getitem__)
    result.outputs = outputs if places == list(range(len(outputs))) else outputs.reordered(places)
    result.said, result.notices, result.cuts = [], [], []


def _written(said: Sequence[Said], batches: Batches) -> Outputs:
    """Messages of one fleet and model; rounds are put together first, since a call costs as much as ten messages."""
    writer, model, fleet = said[0].writer, said[0].model, said[0].writer.fleet
    streams = [stream for one in said for stream in one.streams]
    columns = zip(*(one[3:-4] for one in said), strict=True)
    cause, step, at, forecast, observed, predicted, quality = (np.concatenate(column) for column in columns)
    steps, count, size = step.tolist(), len(streams), forecast[0].nbytes
    packed = np.ascontiguousarray(forecast, "<f8").tobytes()
    forecasts = [packed[place : place + size] for place in range(0, len(packed), size)]

    def bodies() -> list[bytes]:
        ahead = AheadWriter(fleet).texts([(one.ahead, one.at) for one in said]) if fleet.horizons else None
        made = writer.bodies(
            streams, steps, at.tolist(), forecast=forecast[:, : fleet.horizon], observed=observed, predicted=predicted,
            model=model, quality=quality.tolist(), ahead=ahead,
            age=Age(*(np.concatenate(column) for column in zip(*(one.age for one in said), strict=True))),
        )  # fmt: skip
        if any(feature.counter for feature in fleet.features):
            made = [body[:-1] + tail for body, tail in zip(made, _totals(said), strict=True)]
        if fleet.anomaly is not None and writer.schema != FIRST_SCHEMA:
            made = [body[:-1] + tail for body, tail in zip(made, _scores(said), strict=True)]
        return made

    causes = cause.tolist()
    if writer.shapes:
        told = Told(streams, steps, at.tolist(), forecast, observed, predicted, *_bounds(said), _judged(said), bodies)
        return shaped(writer, told, causes=causes, forecasts=forecasts, batches=batches)
    flags = [fleet.retain] * count, [fleet.output_qos] * count
    return Outputs(causes, [fleet.name] * count, streams, steps, forecasts, writer.topics(streams), bodies(), *flags)


def _bounds(said: Sequence[Said]) -> tuple[Float64 | None, Float64 | None]:
    """Bounds of the intervals (N, H, G, L), where the fleet has any; those of silence are not known."""
    fleet = said[0].writer.fleet
    if not fleet.intervals:
        return None, None
    shape = len(fleet.ahead), len(fleet.forecast_places), len(fleet.intervals)
    pairs = [
        (np.full((len(one.streams), *shape), np.nan),) * 2 if one.ahead is None else (one.ahead.lower, one.ahead.upper)
        for one in said
    ]
    return np.concatenate([lower for lower, _ in pairs]), np.concatenate([upper for _, upper in pairs])


def _judged(said: Sequence[Said]) -> Float64 | None:
    """Scores (N, G), where the fleet has any; those of silence are not known."""
    fleet = said[0].writer.fleet
    if fleet.anomaly is None:
        return None
    width = len(fleet.forecast_places)
    return np.concatenate(
        [np.full((len(one.streams), width), np.nan) if one.scores is None else one.scores for one in said]
    )


def _totals(said: Sequence[Said]) -> Iterator[bytes]:
    """What the messages of a fleet with counters say of their totals; those of silence say nothing."""
    names = [feature.name for feature in said[0].writer.fleet.features if feature.counter]
    for one in said:
        yield from [b"}"] * len(one.streams) if one.totals is None else totals_tails(names, one.totals)


def _scores(said: Sequence[Said]) -> Iterator[bytes]:
    """What the messages of a fleet that looks for anomalies say of them; those of silence say nothing."""
    names = [feature.name for feature in said[0].writer.fleet.forecast_features]
    for one in said:
        yield from [NO_SCORE] * len(one.streams) if one.scores is None else score_tails(names, one.scores)

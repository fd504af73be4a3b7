"""From stepped streams to messages: which forecast is published, with what flags, in what bytes."""

from __future__ import annotations

import itertools

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.body import FALLBACK, STALE, WARMING, BodyWriter, round_digits
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.forecast.horizons.experts import Ahead
from gaugecast.forecast.horizons.message import AheadWriter
from gaugecast.forecast.horizons.rows import PERSISTENCE
from gaugecast.pipeline.batch_result import Closed, Outcome, Totals
from gaugecast.records import Float64, Int64, Output
from gaugecast.streams.table import StreamTable


class ForecastWriter:
    """Publishes for one fleet; writes the table's `published` and `step`. Owned by the loop's thread."""

    def __init__(self, fleet: Fleet, table: StreamTable, totals: Totals) -> None:
        self.fleet = fleet
        self.forecast = np.array(fleet.forecast_places, np.int64)
        self._table = table
        self._totals = totals
        self._writer = BodyWriter(fleet)
        self._ahead_writer = AheadWriter(fleet)

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
            result: Takes the outputs.
        """
        slots, horizon = closed.slots, self.fleet.horizon
        forecast = np.repeat(x[:, None, self.forecast], horizon, axis=1)
        fallback = np.ones(len(slots), bool)
        quality = quality | steps.fresh * WARMING
        if expert is not None:
            ready = expert.ready(slots)
            fallback = ~ready
            quality = quality | fallback * WARMING
            if ready.any():
                last = np.where(steps.fresh[:, None], np.nan, steps.last)
                forecast[ready] = expert.peek(slots[ready], x[ready], last[ready], closed.at[ready], horizon)
        models = [None if alone or expert is None else expert.version for alone in fallback.tolist()]
        if ahead is not None:
            forecast, fallback = ahead.forecast, (ahead.leads[:, 0] == PERSISTENCE).all(axis=1)
        self._table["published"][slots] = forecast[:, 0]
        self._table["predicted"][slots] = predicted
        self._table["step"][slots] += 1
        self._totals.fallback_steps += int(fallback.sum())
        observed = closed.values[:, self.forecast]
        quality = quality | fallback * FALLBACK
        self._write(
            closed, models, forecast=forecast, observed=observed, predicted=predicted, quality=quality, ahead=ahead,
            result=result,
        )  # fmt: skip

    def mark_stale(self, slots: Int64, cause: int, result: Outcome) -> None:
        """Tell the consumers once that streams have fallen silent: the last forecast again, marked `stale`."""
        table, count = self._table, len(slots)
        table["stale"][slots] = True
        table["step"][slots] += 1
        self._totals.stale += count
        forecast = np.repeat(table["published"][slots][:, None, :], len(self.fleet.ahead), axis=1)
        nothing = np.full((count, len(self.forecast)), np.nan)
        closed = Closed(slots, np.full(count, cause), nothing, table["at"][slots], table["tick"][slots])
        self._write(
            closed,
            [None] * count,
            forecast=forecast,
            observed=nothing,
            predicted=nothing,
            quality=np.full(count, STALE | FALLBACK),
            ahead=None,
            result=result,
        )

    def _write(
        self,
        closed: Closed,
        models: list[str | None],
        *,
        forecast: Float64,
        observed: Float64,
        predicted: Float64,
        quality: Int64,
        ahead: Ahead | None,
        result: Outcome,
    ) -> None:
        fleet, names, writer = self.fleet, self._table.names, self._writer
        self._table["quality"][closed.slots] = quality
        rows = zip(
            closed.cause.tolist(),
            closed.slots.tolist(),
            self._table["step"][closed.slots].tolist(),
            closed.at.tolist(),
            round_digits(forecast[:, : fleet.horizon]).tolist(),
            observed.tolist(),
            round_digits(predicted).tolist(),
            round_digits(observed - predicted).tolist(),
            models,
            quality.tolist(),
            strict=True,
        )
        packed, size = np.ascontiguousarray(forecast, "<f8").tobytes(), forecast[0].nbytes
        tails = itertools.repeat(b"}") if ahead is None else self._ahead_writer.tails(ahead, closed.at)
        for i, ((cause, slot, step, *content), tail) in enumerate(zip(rows, tails, strict=False)):
            stream = names[slot] or ""
            body = writer.body(stream, step, *content)[:-1] + tail
            values = packed[i * size : (i + 1) * size]
            output = (
                cause,
                fleet.name,
                stream,
                step,
                values,
                writer.topic(stream),
                body,
                fleet.retain,
                fleet.output_qos,
            )
            result.outputs.append(Output._make(output))
        self._totals.forecasts += len(closed.slots)

"""What status, metrics, `watch` and `events` read of anomalies."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from gaugecast.cli.anomalies import render_events
from gaugecast.cli.foretold import anomaly_words, foretold_lines
from gaugecast.cli.silence import render_silenced, silenced_rows
from gaugecast.control import Acknowledge, Silence, StreamsQuery
from gaugecast.errors import ModelError
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input
from gaugecast.service import anomalies
from gaugecast.service.reports import stream_columns, stream_rows
from gaugecast.testing import T0, feed
from test_pipeline_anomalies import BREAKS, FLEET, new_pipeline, saw


def fed(inputs: list[Input]) -> Pipeline:
    """A pipeline that has taken these."""
    pipeline = new_pipeline(model=False)
    feed(pipeline, inputs, 9)
    return pipeline


def broken(**settings: object) -> Pipeline:
    """A pipeline whose only stream has an open event."""
    pipeline = new_pipeline(replace(FLEET, **settings), model=False)  # type: ignore[arg-type]
    feed(pipeline, saw(0, BREAKS + 20), 9)
    return pipeline


def test_an_open_event_is_in_status_series_and_rows() -> None:
    """Of the same stream, with the same shares."""
    pipeline = broken()
    part = pipeline.parts["tanks"]
    told = anomalies.status_of(part)
    assert told is not None
    assert (told.warning + told.critical, told.judged) == (1, 1)
    assert part.totals.anomalies == 1
    columns = stream_columns(part, 10)
    assert columns.score is not None
    assert columns.score[0, 0] >= 1.0
    rows, total = stream_rows(pipeline, StreamsQuery())
    assert total == 1
    assert rows[0].anomaly is not None
    assert rows[0].anomaly == rows[1].anomaly
    assert abs(sum(rows[0].anomaly.shares.values()) - 1.0) < 1e-9
    assert next(iter(rows[0].anomaly.shares)) == "p"
    assert anomaly_words(rows[0]).startswith("p ")
    assert list(foretold_lines(rows)) == [f"a {anomaly_words(rows[0])}"]
    text = io.StringIO()
    Console(file=text, width=200).print(render_events(rows[:1], rows[0].anomaly.began_s + 90))
    assert "tanks" in text.getvalue()
    assert anomaly_words(rows[0]) in text.getvalue()


def test_a_fleet_that_does_not_look_has_nothing_to_tell() -> None:
    """Neither status nor scores."""
    pipeline = broken(anomaly=None)
    part = pipeline.parts["tanks"]
    assert anomalies.status_of(part) is None
    assert anomalies.scores_of(part, np.array([0])) is None
    rows, _ = stream_rows(pipeline, StreamsQuery())
    assert (rows[0].anomaly, rows[0].score, anomaly_words(rows[0])) == (None, None, "")
    assert str(render_events([], 0.0)) == "nothing is wrong"


def test_a_fleet_that_nobody_has_spoken_of_has_a_status() -> None:
    """Nothing is judged, nothing is wrong."""
    told = anomalies.status_of(new_pipeline().parts["tanks"])
    assert told is not None
    assert (told.judged, told.warning) == (0, 0)


def test_a_silenced_stream_is_counted_apart_and_says_until_when() -> None:
    """With the severity of its event; a stream on which nobody looks cannot be silenced."""
    pipeline = broken()
    part = pipeline.parts["tanks"]
    order = anomalies.order_of(part, Silence(fleet="tanks", stream="a", for_s=3600.0))
    outputs = list(pipeline.advance([order.stamped(T0 + BREAKS * 10**9)]).outputs)
    assert b"silenced" in outputs[0].body
    told = anomalies.status_of(part)
    assert told is not None
    assert (told.warning, told.critical, told.silenced) == (0, 0, 1)
    (row, *_), _ = stream_rows(pipeline, StreamsQuery())
    assert row.silenced_until_s == T0 / 1e9 + BREAKS + 3600
    assert row.anomaly is not None
    assert row.anomaly.severity == "silenced"
    assert silenced_rows([row, row]) == [row]
    text = io.StringIO()
    Console(file=text, width=100).print(render_silenced([row], T0 / 1e9 + BREAKS))
    assert "1 h" in text.getvalue()
    assert str(render_silenced([], 0.0)) == "no stream is silenced"


def test_who_acknowledges_an_anomaly_is_heard_where_one_is_open() -> None:
    """And is told why not, where none is, the stream is away, or nobody looks."""
    pipeline = broken()
    part = pipeline.parts["tanks"]
    order = anomalies.order_of(part, Acknowledge(fleet="tanks", stream="a"))
    pipeline.advance([order.stamped(T0)])
    (row, *_), _ = stream_rows(pipeline, StreamsQuery())
    assert row.anomaly is not None
    assert row.anomaly.acknowledged
    text = io.StringIO()
    Console(file=text, width=200).print(render_events([row], 0.0))
    assert "critical, acknowledged" in text.getvalue()
    for pipe, stream, why in (
        (pipeline, "gone", "no active stream 'gone'"),
        (broken(anomaly=None), "a", "does not look for anomalies"),
        (fed(saw(0, BREAKS)), "a", "nothing is wrong with 'a'"),
    ):
        with pytest.raises(ModelError, match=why):
            anomalies.order_of(pipe.parts["tanks"], Acknowledge(fleet="tanks", stream=stream))

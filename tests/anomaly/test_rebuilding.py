"""The trained autoencoder at work in the pipeline: what it scores, and what it tells."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from anomaly.rebuilding import (
    BREAKS,
    FLEET,
    HOLD,
    WINDOW,
    at_work,
    autoencoder_for,
    company,
    keys,
    saw,
    scores,
    told,
    usual,
    watching,
    with_stride,
)
from gaugecast.engine import NumpyEngine
from gaugecast.forecast.anomaly.autoencoder import AUTOENCODER, Rebuilder
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input
from gaugecast.testing import feed, fleet_of, outputs_of, reading
from gaugecast.watching import AnomalySettings


def test_what_it_cannot_rebuild_is_an_event_with_the_feature_that_is_missed() -> None:
    """It begins when windows were above the threshold for long enough, and ends when all is as usual again."""
    outputs = outputs_of(feed(watching(), saw()))
    begin, *_, end = told(outputs)
    features = begin["features"]
    assert isinstance(features, dict)
    assert (begin["event"], end["event"]) == ("begin", "end")
    assert (next(iter(features)), features["p"]["detector"]) == ("p", AUTOENCODER)
    assert features["p"]["expected"] == pytest.approx(10.0, abs=1.0)
    assert "that the autoencoder makes of the values" in str(begin["reason"])
    assert sum(one["share"] for one in features.values()) == pytest.approx(1.0)
    assert told(outputs_of(feed(watching(in_force=False), saw()))) == []


def test_scores_are_errors_over_the_threshold_of_the_feature_that_is_missed_most() -> None:
    """As the command's own scoring has them, but for the last bits; others have theirs in proportion."""
    model, values = autoencoder_for(hold=1), usual(30)
    pipeline = watching(FLEET, model)
    feed(pipeline, [reading(i, *pair) for i, pair in enumerate(values)])
    z = ((np.array(values) - (10.0, 50.0)) / (1.0, 2.0)).astype(np.float32)[None, -WINDOW:]
    missed = np.abs(Rebuilder.of(model).rebuild(z) - z)[0].mean(axis=0)
    expected = missed.mean() / 1.5 * missed / missed.max()
    np.testing.assert_allclose(scores(pipeline), expected, rtol=1e-5)


def test_two_stacks_rebuild_what_one_engine_does() -> None:
    """A decoder within the engine is run at each step of the encoder; ours once, with the same bits."""
    model = autoencoder_for()
    windows = np.random.default_rng(1).normal(size=(11, WINDOW, 2)).astype(np.float32)
    engine = NumpyEngine(replace(model, manifest=replace(model.manifest, detection=None)))
    theirs, _ = engine.sequence(np.ascontiguousarray(windows.swapaxes(0, 1)), engine.initial_state(11))
    assert Rebuilder.of(model).rebuild(windows).tobytes() == theirs[-1].reshape(11, WINDOW, 2).tobytes()


@pytest.mark.parametrize("stride", [1, 4])
def test_a_stream_alone_is_told_what_it_is_told_in_company(stride: int) -> None:
    """Byte for byte, however inputs are cut."""
    model = with_stride(autoencoder_for(), stride)
    crowd = outputs_of(feed(watching(FLEET, model), company(), 37))
    alone = outputs_of(feed(watching(FLEET, model), saw()))
    assert keys(crowd) == keys(alone)
    assert [one["event"] for one in told(alone)][:1] == ["begin"]


def test_it_has_its_say_once_its_window_is_full_and_after_a_gap_anew() -> None:
    """Until then nobody knows; a gap that forecasts bridge is one, too."""
    pipeline = watching()
    rows = [*saw(20), *saw(50, begin=22)]
    known = [json_of(pipeline, one)["score"] is not None for one in rows]
    assert known == [False] * (WINDOW - 1) + [True] * (21 - WINDOW) + [False] * (WINDOW - 1) + [True] * (29 - WINDOW)


def json_of(pipeline: Pipeline, one: Input) -> dict[str, object]:
    """The forecast that comes of a reading."""
    (said,) = [out for out in pipeline.advance([one]).outputs if out.forecast]
    found: dict[str, object] = msgspec.json.decode(said.body)
    return found


def test_a_lone_outlier_is_no_alarm() -> None:
    """Windows above the threshold count once there were as many in a row as is asked for."""
    model = autoencoder_for(hold=WINDOW + 1)
    pipeline = watching(FLEET, model)
    feed(pipeline, saw(30))
    highest = []
    for i in range(30, 45):
        feed(pipeline, [reading(i, 90.0 if i == 30 else 10.0, 50.0)])
        highest.append(float(scores(pipeline).max()))
    assert max(highest) == pytest.approx(0.99)
    assert highest[-1] < 0.5
    feed(pipeline, [reading(i, 30.0, 50.0) for i in range(45, 60)])
    assert float(scores(pipeline).max()) > 1.0


def test_with_a_stride_windows_are_rebuilt_less_often() -> None:
    """In between the score stays what it was; how long windows were above the threshold is counted in steps."""
    pipeline = watching(FLEET, with_stride(autoencoder_for(), 4))
    found = []
    for one in saw(30):
        feed(pipeline, [one])
        found.append(scores(pipeline).tobytes())
    changes = [i for i in range(1, 30) if found[i] != found[i - 1]]
    assert changes == [i for i in range(WINDOW - 1, 30) if (i - WINDOW + 1) % 4 == 0]
    feed(pipeline, saw(BREAKS + 10, begin=30))
    assert int(at_work(pipeline).columns["over"][0]) == HOLD


def test_it_need_not_be_fed_all_features_and_set_points_only_explain() -> None:
    """What is no forecast feature has no score, however much it is missed."""
    fleet = fleet_of("pq", inputs="q", anomaly=AnomalySettings(settle=0))
    pipeline = watching(fleet, autoencoder_for(fleet, hold=1))
    feed(pipeline, [reading(i, 10.0, 90.0) for i in range(20)])
    assert scores(pipeline)[1] == 0.0
    assert scores(pipeline)[0] < 1.0
    alone = watching(FLEET, autoencoder_for(fed="q", hold=1))
    feed(alone, [reading(i, 90.0, 60.0) for i in range(20)])
    assert (scores(alone)[0], scores(alone)[1] > 1.0) == (0.0, True)


def test_deviations_that_do_not_count_do_not_here_either() -> None:
    """`least` and `side` are in the sensor's unit, of the last step; `tolerance` is of all limits."""
    for settings in (
        AnomalySettings(settle=0, least=(("p", 30.0),)),
        AnomalySettings(settle=0, sides=(("p", "below"),)),
        AnomalySettings(settle=0, tolerance=9.0),
    ):
        fleet = fleet_of("pq", anomaly=settings)
        pipeline = watching(fleet, autoencoder_for(fleet, hold=1))
        feed(pipeline, saw(BREAKS + 10))
        assert float(scores(pipeline).max()) < 1.0
    pipeline = watching(FLEET, autoencoder_for(hold=1))
    feed(pipeline, saw(BREAKS + 10))
    assert float(scores(pipeline).max()) > 1.0


def test_nothing_is_judged_while_a_stream_settles() -> None:
    """The window fills meanwhile."""
    fleet = fleet_of("pq", anomaly=AnomalySettings(settle=30))
    pipeline = watching(fleet, autoencoder_for(fleet, hold=1))
    feed(pipeline, [reading(i, 30.0, 50.0) for i in range(25)])
    assert not scores(pipeline).any()
    feed(pipeline, [reading(i, 30.0, 50.0) for i in range(25, 40)])
    assert float(scores(pipeline).max()) > 1.0


def test_hostile_values_leave_numbers() -> None:
    """However large they are, and where a feature has never come."""
    pipeline = watching(FLEET, autoencoder_for(hold=1, error="squared"))
    feed(pipeline, [reading(i, 1e300 * (-1) ** i, float("nan")) for i in range(20)])
    assert np.isfinite(scores(pipeline)).all()

"""The trained autoencoder at work in the pipeline: what it scores, tells and remembers, and who puts it in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from anomaly.rebuilding import (
    FLEET,
    HOLD,
    TOPIC,
    WINDOW,
    at_work,
    autoencoder_for,
    looks,
    promoted,
    scores,
    taken_away,
    usual,
    watching,
    with_stride,
)
from gaugecast import events
from gaugecast.engine import NumpyEngine
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly.autoencoder import AUTOENCODER, Rebuilder
from gaugecast.model import Model
from gaugecast.model.manifest import decode_manifest, encode_manifest
from gaugecast.pipeline import Pipeline, state
from gaugecast.pipeline.fits import check_fits, check_meaning
from gaugecast.pipeline.looking import version_of
from gaugecast.records import Input, Order, Output
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, feed, fleet_of, model_for, outputs_of, pipeline_of, reading, timer
from gaugecast.watching import AnomalySettings
from support.state_bytes import differences

#: From here on the first feature lies 8 higher, for so many steps.
BREAKS, LASTS = 40, 30


def saw(count: int = 120, *, stream: str = "a", seed: int = 0, begin: int = 0, breaks: int = BREAKS) -> list[Input]:
    """Readings of ticks from `begin` to `count`, a shift among them."""
    values = usual(count, seed)
    return [
        reading(i, p + 8.0 * (breaks <= i < breaks + LASTS), q, stream=stream)
        for i, (p, q) in enumerate(values)
        if i >= begin
    ]


def company() -> list[Input]:
    """Twenty streams, tick by tick."""
    streams = [saw(stream=name, seed=seed) for seed, name in enumerate("abcdefghijklmnopqrst")]
    return [one for tick in zip(*streams, strict=True) for one in tick]


def keys(outputs: Sequence[Output], stream: str = "a") -> list[tuple[int, str, bytes]]:
    """What names and makes each output of a stream."""
    return [(one.step, one.topic, one.body) for one in outputs if one.stream == stream]


def told(outputs: Sequence[Output]) -> list[dict[str, object]]:
    """Messages of the anomalies of stream `a`."""
    return [msgspec.json.decode(one.body) for one in outputs if one.topic == TOPIC and one.body]


def checkpointed(pipeline: Pipeline, fresh: Pipeline) -> Pipeline:
    """What a checkpoint of it leads to."""
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    loader = fresh.load_model
    empty = pipeline_of(max_streams=500)
    empty.load_model = loader
    state.restore(empty, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    return empty


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
    whole = watching(FLEET, model)
    assert keys(outputs_of(feed(whole, company(), 5000)), "t") == keys(crowd, "t")


@pytest.mark.parametrize("stops", [3, BREAKS + 12])
def test_a_checkpoint_leads_to_the_same_scores_and_events(stops: int) -> None:
    """Taken while the window fills, and while an event is open."""
    pipeline = watching(FLEET, with_stride(autoencoder_for(), 2))
    feed(pipeline, saw(stops))
    restored = checkpointed(pipeline, pipeline)
    rest = saw(begin=stops)
    assert keys(outputs_of(feed(restored, rest))) == keys(outputs_of(feed(pipeline, rest)))
    assert version_of(restored.parts["tanks"]) == version_of(pipeline.parts["tanks"]) != ""
    assert differences(restored, pipeline) == []


def test_a_replay_puts_it_in_force_and_takes_it_away_at_the_same_places() -> None:
    """Events are inputs: in batches that are cut otherwise the same is said."""
    inputs = [*saw(60), taken_away(), *saw(70, begin=60), promoted(autoencoder_for()), *saw(begin=70)]
    one, other = watching(), watching()
    assert keys(outputs_of(feed(one, inputs, 1))) == keys(outputs_of(feed(other, inputs, 50)))
    assert differences(one, other) == []


def test_a_checkpoint_of_before_goes_on_without_it() -> None:
    """It names none, and has no window; what was put in force later is there from its event on."""
    before, model = watching(in_force=False), autoencoder_for()
    feed(before, saw(20))
    restored = checkpointed(before, before)
    assert version_of(restored.parts["tanks"]) == ""
    feed(restored, [promoted(model), *saw(begin=20)])
    assert version_of(restored.parts["tanks"]) == model.manifest.version


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


def parked_after(seconds: int, fleet: Fleet = FLEET) -> Fleet:
    """The same, with streams that are parked."""
    return replace(fleet, park_after_ns=seconds * 1_000_000_000)


@pytest.mark.parametrize("meanwhile", ["nothing", "away", "another"])
def test_a_parked_stream_comes_back_whoever_looks_by_then(meanwhile: str) -> None:
    """The same autoencoder has its window again, which a gap ends; another begins with an empty one."""
    fleet, other = parked_after(60), autoencoder_for(seed=5)
    pipeline = watching(fleet, autoencoder_for(), other)
    feed(pipeline, saw(30))
    (aside,) = pipeline.advance([timer(400)]).parked
    pipeline.advance({"nothing": [], "away": [taken_away()], "another": [promoted(other)]}[meanwhile])
    pipeline.advance([Order(events.StreamUnparked(), "tanks", "a", state=aside.state).stamped(T0)])
    rebuilding, slot = looks(pipeline).rebuilding, pipeline.parts["tanks"].table.slots["a"]
    filled = None if rebuilding is None else int(rebuilding.columns["filled"][slot])
    assert filled == {"nothing": WINDOW, "away": None, "another": 0}[meanwhile]
    assert len(outputs_of(feed(pipeline, [reading(500 + i, 10.0, 50.0) for i in range(10)]))) == 10


def test_a_renamed_stream_goes_on_with_its_window() -> None:
    """With all else that is remembered of it."""
    pipeline = watching()
    feed(pipeline, [*saw(30), Order(events.StreamRenamed("z"), "tanks", "a").stamped(T0)])
    feed(pipeline, [reading(30, 10.0, 50.0, stream="z")])
    slot = pipeline.parts["tanks"].table.slots["z"]
    assert int(at_work(pipeline).columns["filled"][slot]) == WINDOW


def test_an_open_event_ends_after_it_was_taken_away() -> None:
    """Nobody finds anything strange any more; how things were is no matter."""
    pipeline = watching()
    opened = outputs_of(feed(pipeline, saw(BREAKS + 20)))
    assert told(opened)[0]["event"] == "begin"
    later = outputs_of(feed(pipeline, [taken_away(), *saw(begin=BREAKS + 20)]))
    assert told(later)[-1]["event"] == "end"
    assert looks(pipeline).detectors == looks(watching(in_force=False)).detectors


def test_what_is_asked_between_two_steps_knows_of_a_change() -> None:
    """The reason of the last step, where another number of detectors looked at it."""
    pipeline = watching(in_force=False)
    feed(pipeline, [*saw(BREAKS + 10), promoted(autoencoder_for())])
    part = pipeline.parts["tanks"]
    assert looks(pipeline).reason(part.table.slots["a"], part.table) == ""


def test_it_stays_with_the_fleet_and_leaves_with_its_table() -> None:
    """A fleet that is configured otherwise goes on with it; one that looks for no anomalies has none, nor later."""
    pipeline = watching()
    feed(pipeline, saw(20))
    for fleet, stays in (
        (replace(FLEET, anomaly=AnomalySettings(settle=0, hold=9)), True),
        (replace(FLEET, anomaly=None), False),
        (FLEET, False),
    ):
        pipeline.advance([Order.configuring(fleet).stamped(T0)])
        assert bool(version_of(pipeline.parts["tanks"])) is stays
    pipeline.advance([Order.configuring(replace(FLEET, anomaly=None)).stamped(T0), promoted(autoencoder_for())])
    assert version_of(pipeline.parts["tanks"]) == ""


def test_weights_that_are_lost_leave_their_role_empty() -> None:
    """The others look on."""
    pipeline = watching()
    feed(pipeline, saw(20))
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    restored = pipeline_of(max_streams=500)
    restored.load_model = lambda _fleet, _version: None
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    assert version_of(restored.parts["tanks"]) == ""
    assert restored.parts["tanks"].anomalies is not None


def refusal(model: Model, fleet: Fleet = FLEET) -> str:
    """Why an autoencoder cannot look at a fleet."""
    with pytest.raises(ModelError) as found:
        check_meaning(model, fleet, detects=True)
    return str(found.value)


def test_what_does_not_fit_is_refused_with_what_was_expected() -> None:
    """Another period, a feature that is not there, a fleet that looks for no anomalies; and each for the other."""
    check_meaning(autoencoder_for(), FLEET, detects=True)
    assert "period_s 2.0 expected" in refusal(autoencoder_for(), replace(FLEET, period_ns=2_000_000_000))
    assert "got 'q'" in refusal(autoencoder_for(), fleet_of("p", anomaly=AnomalySettings()))
    assert "[fleet.tanks.anomaly]" in refusal(autoencoder_for(), replace(FLEET, anomaly=None))
    assert "got a forecaster" in refusal(model_for(FLEET))
    with pytest.raises(ModelError, match="got an autoencoder"):
        check_fits(autoencoder_for(), FLEET)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"threshold": 0.0}, "detection.threshold: expected a positive number"),
        ({"hold": 0}, "detection.hold: expected 1 to"),
        ({"stride": 0}, "detection.stride: expected 1 to"),
    ],
)
def test_bounds_of_a_detection_are_held(wrong: dict[str, float], complaint: str) -> None:
    """Before any weights are looked at."""
    with pytest.raises(ModelError, match=complaint):
        autoencoder_for(**wrong)


def test_layers_that_the_engine_lacks_are_named() -> None:
    """A manifest that somebody wrote by hand."""
    manifest = autoencoder_for().manifest
    text = encode_manifest(manifest).replace(b'"cell": "lstm"', b'"cell": "gru"', 1)
    with pytest.raises(ModelError, match=r"layers\.cell: expected 'lstm' for the engine 'numpy', got 'gru'"):
        decode_manifest(text)
    with pytest.raises(ModelError, match="decoder: expected layers that rebuild the window"):
        decode_manifest(encode_manifest(replace(manifest, decoder=(), decode_steps=1)))


def test_manifests_of_forecasters_are_written_as_versions_before_read_them() -> None:
    """They refuse keys that they do not know; and no version of today changes its name."""
    assert b"detection" not in encode_manifest(model_for(FLEET).manifest)
    detects = autoencoder_for().manifest
    assert decode_manifest(encode_manifest(detects)) == detects

"""Learning from what is recorded: it finds what is there to find, keeps the best pass, and crosses no reset."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from accuracy.windowed import warm_windows
from gaugecast.engine import NumpyEngine
from gaugecast.learn import Lesson, warm_up
from gaugecast.learn.fit.warm_up import PATIENCE, Caution, WarmUp, warm_up_for_good
from gaugecast.model import Model
from gaugecast.testing import random_model

pytestmark = pytest.mark.keras

ROWS = 2


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of eight steps: that of 24 takes longer to build than all that is learned here."""
    monkeypatch.setattr(importlib.import_module("gaugecast.learn.fit.warm_up"), "BPTT", 8)


@pytest.fixture(scope="module")
def model() -> Model:
    """A small model of two rows a stream."""
    return random_model(units=(8,), gain=0.1)


def echo_of(model: Model, steps: int, seed: int = 0, learned: float = 0.8) -> Lesson:
    """A stream whose target is its first input three steps ago: only a state can know it."""
    rng = np.random.default_rng(seed)
    x = np.zeros((steps, ROWS, model.manifest.input_size), np.float32)
    x[:, :, 0] = rng.choice([-1.0, 1.0], size=(steps, ROWS))
    target = np.roll(x[:, :, :1], 3, axis=0)
    target[:3] = np.nan
    return Lesson(x, target, round(learned * steps))


def error_of(model: Model, trace: Lesson) -> float:
    """Mean square error over a trace, stepped by the engine."""
    engine = NumpyEngine(model)
    y, _ = engine.sequence(trace.x, engine.initial_state(ROWS))
    return float(np.nanmean((y - trace.target) ** 2))


@pytest.mark.long
def test_a_stream_with_memory_is_learned(model: Model) -> None:
    """What was three steps ago is known afterwards, on a stream that was not shown."""
    trained = warm_up(model, [echo_of(model, 1500)], learning_rate=0.02, passes=12, compiled=False)
    unseen = echo_of(model, 500, seed=9)
    assert error_of(model, unseen) > 0.9
    assert error_of(trained.model, unseen) < 0.2
    assert trained.errors[0] > 0.9 > 0.2 > min(trained.errors)


def test_the_best_pass_is_kept(model: Model) -> None:
    """The model that comes back has the least error that was seen on what was held out, as the engine sees it."""
    trace = echo_of(model, 240)
    trained = warm_up(model, [trace], learning_rate=0.05, passes=6, compiled=False)
    tail = Lesson(trace.x, trace.target.copy(), 0)
    tail.target[:192] = np.nan
    assert error_of(trained.model, tail) == pytest.approx(min(trained.errors), rel=1e-3)


def test_training_that_never_helps_changes_nothing(model: Model) -> None:
    """Noise cannot be learned: after some passes without a better one the weights are those begun with."""
    trace, rng = echo_of(model, 200), np.random.default_rng(5)
    target = np.where(np.arange(200)[:, None, None] < 160, 8.0, 0.01 * rng.normal(size=(200, ROWS, 1)))
    noise = Lesson(trace.x, target.astype(np.float32), 160)
    trained = warm_up(model, [noise], learning_rate=0.05, passes=12, compiled=False)
    assert len(trained.errors) == 1 + PATIENCE
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(trained.model.weights[name], weight)


def test_the_state_begins_anew_with_each_trace(model: Model) -> None:
    """Errors are those of each trace from the initial state, however many share a lane, padding not counted."""
    traces = [echo_of(model, steps, seed=steps, learned=0.0) for steps in (50, 31, 24, 90, 7)]
    trained = warm_up(model, traces, passes=1, lanes=2, compiled=False)
    engine = NumpyEngine(model)
    errors = [engine.sequence(t.x, engine.initial_state(ROWS))[0] - t.target for t in traces]
    expected = np.nanmean(np.concatenate([e.ravel() for e in errors]) ** 2)
    assert trained.errors[0] == pytest.approx(expected, rel=1e-4)


def test_what_is_held_out_is_not_learned(model: Model) -> None:
    """With everything held out no pass moves a weight."""
    trained = warm_up(model, [echo_of(model, 100, learned=0.0)], passes=2, compiled=False)
    assert trained.errors[0] == trained.errors[1] == trained.errors[2]


@pytest.mark.long
def test_windows_hold_out_what_the_stream_holds_out(model: Model) -> None:
    """No window of held-out steps moves a weight; one that lies before them does."""
    trace = echo_of(model, 96, learned=0.0)
    still = warm_windows(model, [trace], look_back=24)
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(still.weights[name], weight)
    moved = warm_windows(model, [Lesson(trace.x, trace.target, 24)], look_back=24)
    assert any((moved.weights[name] != weight).any() for name, weight in model.weights.items())


@pytest.mark.long
def test_caution_draws_by_the_seed(model: Model) -> None:
    """The same seed gives the same bits; another gives others."""
    first, again, other = (
        warm_up(model, [echo_of(model, 240)], caution=Caution(), passes=2, seed=seed, compiled=False).model.weights[
            "lstm0/kernel"
        ]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_weights_for_good_are_careful_unless_a_pattern_is_worth_knowing_by_heart(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the careful error decides; and what luck can do on few rows leaves the first weights in force."""
    trace = echo_of(model, 100, learned=0.5)  # 100 errors held out: a tenth better may be luck

    def chosen(careful: float, plain: float) -> float:
        by_caution = {True: WarmUp(model, (1.0, careful)), False: WarmUp(model, (1.0, plain))}
        module = importlib.import_module("gaugecast.learn.fit.warm_up")
        monkeypatch.setattr(module, "warm_up", lambda *_, caution=None, **__: by_caution[caution is not None])
        return warm_up_for_good(model, [trace]).errors[1]

    assert chosen(careful=0.8, plain=0.41) == 0.8
    assert chosen(careful=0.8, plain=0.39) == 0.39


def test_weights_for_good_are_those_begun_with_where_chance_explains_the_gain(model: Model) -> None:
    """A walk cannot be forecast; twenty held-out rows that happen to agree change nothing."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(100, ROWS, model.manifest.input_size)).astype(np.float32)
    noise = Lesson(x, rng.normal(size=(100, ROWS, 1)).astype(np.float32), 80)
    kept = warm_up_for_good(model, [noise], compiled=False).model
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(kept.weights[name], weight)

"""Learning while serving: what an update is, what it leaves alone, and that it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gaugecast.engine import NumpyEngine
from gaugecast.learn import OnlineLearner
from gaugecast.model import Model
from gaugecast.records import Float32
from gaugecast.testing import random_model

pytestmark = pytest.mark.keras

ROWS = 2
Step = tuple[Float32, Float32, Float32]
Shown = tuple[Float32, Float32, Float32 | None]
NAMES = ("lstm0/kernel", "lstm0/recurrent", "lstm0/bias", "dense/kernel", "dense/bias")


@pytest.fixture(scope="module")
def model() -> Model:
    """A small model of two rows a stream, its outputs not zero."""
    return random_model(units=(8,), gain=0.1)


def steps_of(model: Model, n: int, seed: int = 0) -> list[Step]:
    """Inputs, states before each step, and targets of one stream of so many steps."""
    engine, rng = NumpyEngine(model), np.random.default_rng(seed)
    x = rng.normal(size=(n, ROWS, engine.input_size)).astype(np.float32)
    target = rng.normal(size=(n, ROWS, engine.output_size)).astype(np.float32)
    states = [engine.initial_state(ROWS)]
    for t in range(n):
        states.append(engine.step(x[t], states[-1])[1])
    return list(zip(x, states, target, strict=False))


def learner_of(model: Model, **changed: Any) -> OnlineLearner:
    """A learner of short windows, not compiled: that would take longer than all its steps."""
    return OnlineLearner(model, **({"compiled": False, "every": 2, "window": 4} | changed))


def show(learner: OnlineLearner, steps: Sequence[Shown], **told: Any) -> list[Model]:
    """Show all steps, updating whenever it is due; the models that came of it."""
    made = []
    for x, state, target in steps:
        learner.observe(x, state, target, **told)
        found = learner.update()
        if found is not None:
            made.append(found)
    return made


def difference(one: Model | None, other: Model) -> float:
    """The largest difference of any weight."""
    assert one is not None
    return max(float(np.abs(one.weights[name] - other.weights[name]).max()) for name in one.weights)


def test_updates_come_every_so_many_steps_once_a_window_is_full(model: Model) -> None:
    """Steps 4, 6, 8 and 10 of ten, with a window of four and an update every two."""
    assert len(show(learner_of(model), steps_of(model, 10))) == 4


def test_an_update_is_one_step_of_adam_on_the_window(model: Model) -> None:
    """The same weights as a literal Keras LSTM, unrolled over the window from its state, and Keras's own Adam."""
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    steps = [(x, state, target * (5 + t)) for t, (x, state, target) in enumerate(steps_of(model, 8))]  # to be clipped
    learner = learner_of(model, segments=1, window=6, learning_rate=0.01)
    learned = show(learner, steps)
    layer = keras.layers.LSTM(8, return_sequences=True)
    head = keras.layers.Dense(1)
    layer.build((None, None, model.manifest.input_size))
    head.build((None, None, 8))
    layer.set_weights([model.weights[f"lstm0/{part}"] for part in ("kernel", "recurrent", "bias")])
    head.set_weights([model.weights["dense/kernel"], model.weights["dense/bias"]])
    adam = keras.optimizers.Adam(0.01, global_clipnorm=1.0)
    variables = layer.trainable_variables + head.trainable_variables
    for start in (0, 2):
        x, _, target = (np.stack([step[k] for step in steps[start : start + 6]], axis=1) for k in range(3))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.square(head(layer(x, initial_state=list(np.split(steps[start][1], 2, axis=1)))) - target)
            )
        adam.apply(tape.gradient(loss, variables), variables)
    for name, variable in zip(NAMES, variables, strict=True):
        np.testing.assert_allclose(learned[-1].weights[name], variable.numpy(), atol=1e-5, err_msg=name)


def test_states_and_inputs_that_were_shown_are_left_alone(model: Model) -> None:
    """The live state goes on as it was, wherever the window ends."""
    steps = steps_of(model, 12)
    kept = [tuple(array.copy() for array in step) for step in steps]
    show(learner_of(model), steps)
    for now, then in zip(steps, kept, strict=True):
        for a, b in zip(now, then, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_model_given_is_left_alone(model: Model) -> None:
    """New weights are a new model; the old one may be in force for long yet."""
    before = {name: weight.copy() for name, weight in model.weights.items()}
    made = show(learner_of(model), steps_of(model, 8))
    assert difference(made[-1], model) > 0.0
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(weight, before[name])


def test_same_seed_same_weights(model: Model) -> None:
    """The same steps with the same seed give the same weights to the bit; another seed replays other windows."""
    steps = steps_of(model, 40)
    last = [show(learner_of(model, seed=seed), steps)[-1] for seed in (1, 1, 2)]
    assert difference(last[0], last[1]) == 0.0
    assert difference(last[0], last[2]) > 0.0


def test_compiled_is_the_same_as_plain(model: Model) -> None:
    """XLA rounds differently, and that is all."""
    steps = steps_of(model, 12)
    plain, compiled = (show(learner_of(model, compiled=c), steps)[-1] for c in (False, True))
    assert difference(plain, compiled) < 1e-4


def test_targets_that_are_not_known_teach_nothing(model: Model) -> None:
    """A window without targets moves no weight; one target alone does."""
    steps = [(x, state, None) for x, state, _ in steps_of(model, 6)]
    learner = learner_of(model)
    assert difference(show(learner, steps)[-1], model) == 0.0
    partly = steps_of(model, 6)[5][2].copy()
    partly[1] = np.nan
    learner.observe(*steps[0][:2], partly)
    learner.observe(*steps[0][:2], None)
    assert difference(learner.update(), model) > 0.0


def test_a_gradient_that_is_not_finite_moves_nothing(model: Model) -> None:
    """Inputs that are infinite poison neither the weights nor what is learned later."""
    learner = learner_of(model, span=0, segments=1)
    steps = steps_of(model, 30)
    poisoned = [(np.full_like(x, np.inf), state, target) for x, state, target in steps[:6]]
    made = show(learner, poisoned)
    assert difference(made[-1], model) == 0.0
    later = show(learner, steps[6:])
    assert 0.0 < difference(later[-1], model) < 1.0


def test_streams_take_turns(model: Model) -> None:
    """Three streams with news are learned one an update, in the order in which they had it, each once."""
    learner = learner_of(model, segments=2)
    for stream in "abc":
        for x, state, target in steps_of(model, 4, seed=ord(stream)):
            learner.observe(x, state, target, stream=stream)
    assert [learner.update() is not None for _ in range(4)] == [True, True, True, False]
    assert not learner.due


@pytest.mark.parametrize("breaks", [1, 40])
def test_a_break_after_the_newest_window_puts_the_update_off(model: Model, breaks: int) -> None:
    """Steps that do not follow may come before the update: a window that they cut is passed over."""
    learner = learner_of(model)
    for x, state, target in steps_of(model, 4):
        learner.observe(x, state, target, stream="a")
    for t, (x, state, target) in enumerate(steps_of(model, 1 + breaks, seed=1)):
        learner.observe(x, state, target, stream="a", fresh=t < breaks)
    assert learner.update() is None
    assert not learner.due
    for x, state, target in steps_of(model, 4, seed=2):
        learner.observe(x, state, target, stream="b")
    assert learner.update() is not None


def test_several_new_windows_go_in_one_batch(model: Model) -> None:
    """With room for two new ones, four streams take two updates."""
    learner = learner_of(model, segments=4, newest=2)
    for stream in "abcd":
        for x, state, target in steps_of(model, 4, seed=ord(stream)):
            learner.observe(x, state, target, stream=stream)
    assert [learner.update() is not None for _ in range(3)] == [True, True, False]


def test_a_forgotten_stream_is_not_learned(model: Model) -> None:
    """What waited for its turn is dropped with it."""
    learner = learner_of(model)
    for x, state, target in steps_of(model, 4):
        learner.observe(x, state, target, stream="a")
    learner.forget("a")
    assert learner.update() is None


def test_no_window_reaches_over_a_reset(model: Model) -> None:
    """Steps after a reset are learned once they fill a window of their own."""
    learner = learner_of(model)
    steps = steps_of(model, 8)
    assert len(show(learner, steps[:4])) == 1
    learner.observe(*steps[4], fresh=True)
    assert len(show(learner, steps[5:7])) == 0
    assert len(show(learner, steps[7:])) == 1


def test_the_rate_can_be_changed(model: Model) -> None:
    """A rate of zero stands still."""
    learner = learner_of(model)
    learner.learning_rate = 0.0
    assert difference(show(learner, steps_of(model, 8))[-1], model) == 0.0
    assert learner.learning_rate == 0.0


def test_a_window_is_a_multiple_of_the_stride(model: Model) -> None:
    """States are kept at every second step: a window of five could not begin at one."""
    with pytest.raises(ValueError, match="multiple of every = 2, got 5"):
        learner_of(model, window=5)

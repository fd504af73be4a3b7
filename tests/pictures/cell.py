"""The LSTM cell: how it is wired, and what its gates did while a tank was forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gaugecast.model import Model
from gaugecast.records import Float32
from pictures.paper import BAD, DIM, EXPECTED, GOOD, INK, OBSERVED, blank, picture
from pictures.run import run_tanks, shipped_model

SLOT, ROW, FIRST, SHOWN = 0, 0, 300, 120  # the first tank's pressure, long after its beginning


class Inner(NamedTuple):
    """What one row of the network did at T steps.

    Attributes:
        forget, write, show: The gates f, i and o (T, U), 0 to 1.
        memory: c after the step (T, U).
        output: h after the step (T, U).
    """

    forget: Float32
    write: Float32
    show: Float32
    memory: Float32
    output: Float32


def look_into(model: Model, x: Float32, state: Float32) -> Inner:
    """The equations of the page, step by step, from x (T, I) and the states before the steps (T, 2U)."""
    weights, units = model.weights, model.manifest.layers[0].units
    h, c = state[:, :units], state[:, units:]
    z = x @ weights["lstm0/kernel"] + h @ weights["lstm0/recurrent"] + weights["lstm0/bias"]
    i, f, g, o = np.split(z, 4, axis=1)  # as Keras has them
    memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return Inner(sigmoid(f), sigmoid(i), sigmoid(o), memory, sigmoid(o) * np.tanh(memory))


def sigmoid(z: Float32) -> Float32:
    """Between 0 and 1."""
    return np.asarray(1 / (1 + np.exp(-z)), np.float32)


def traced(steps: int) -> tuple[Float32, Float32, list[float]]:
    """Inputs (T, I) and states before the steps (T, 2U) of one row, and what had come."""
    run = run_tanks(tanks=2, steps=steps, plain=True, trace=True)
    rows = [(trace, trace.slots.tolist().index(SLOT)) for trace in run.traces if SLOT in trace.slots]
    x = np.array([trace.inputs[at, ROW] for trace, at in rows])
    state = np.array([trace.state[at, ROW] for trace, at in rows])
    return x, state, [float(trace.steps.values[at, 0]) for trace, at in rows]


def draw(folder: Path) -> None:
    """Both pictures."""
    draw_wiring(folder / "cell.svg")
    model = shipped_model()
    x, state, observed = traced(FIRST + SHOWN)
    inner = look_into(model, x, state)
    units = inner.memory.shape[1]
    np.testing.assert_allclose(inner.memory[:-1], state[1:, units:], atol=1e-5)  # as the engine has it
    np.testing.assert_allclose(inner.output[:-1], state[1:, :units], atol=1e-5)
    draw_gates(inner, observed, folder / "gates.svg")


def draw_gates(inner: Inner, observed: list[float], place: Path) -> None:
    """A tank's pressure, the gates' means, and the memory of all units."""
    at = np.arange(SHOWN)
    with picture(place, 3, sharex=True, size=(7.4, 4.6), height_ratios=(2, 2, 3)) as (top, middle, bottom):
        top.plot(at, observed[FIRST:], color=OBSERVED)
        top.set_title("Pressure of a tank, bar")
        for gate, color, name in (
            (inner.forget, GOOD, "f, kept"), (inner.write, EXPECTED, "i, written"), (inner.show, BAD, "o, shown")
        ):  # fmt: skip
            middle.plot(at, gate[FIRST:].mean(axis=1), color=color, label=name)
        middle.set_title("The three gates, mean of 32 units")
        middle.set_ylim(0, 1)
        middle.legend(loc="lower right", ncols=3)
        memory = inner.memory[FIRST:]
        order = np.argsort(np.corrcoef(memory.T, np.array(observed[FIRST:]))[-1, :-1])
        bottom.imshow(memory[:, order].T, aspect="auto", cmap="RdBu_r", vmin=-2, vmax=2, interpolation="nearest",
                      extent=(0, SHOWN, 0, memory.shape[1]))  # fmt: skip
        bottom.set_title("The memory c: 32 numbers, blue below and red above zero")
        bottom.set_ylabel("unit")
        bottom.set_xlabel("steps")
        bottom.grid(visible=False)


def draw_wiring(place: Path) -> None:
    """Boxes and arrows."""
    with picture(place, size=(7.4, 3.1)) as axes:
        blank(axes)
        axes.set(xlim=(0, 10), ylim=(0, 4.2))
        axes.plot([0.3, 9.7], [3.5, 3.5], color=INK, linewidth=2)
        for x, text, color in ((2.2, "× f", GOOD), (5.0, "+", INK)):
            box(axes, x, 3.5, text, color=color, width=0.8)
        for x, text, color, note in (
            (2.2, "f = σ", GOOD, "how much is kept"), (4.2, "i = σ", EXPECTED, "how much is written"),
            (5.8, "g = tanh", EXPECTED, "what is written"), (7.6, "o = σ", BAD, "how much is shown"),
        ):  # fmt: skip
            box(axes, x, 1.4, text, color=color)
            axes.text(x, 0.92, note, ha="center", fontsize=7, color=DIM)
            arrow(axes, (x, 0.45), (x, 0.85))
        arrow(axes, (2.2, 1.7), (2.2, 3.2))
        box(axes, 5.0, 2.4, "×", color=EXPECTED, width=0.6)
        arrow(axes, (4.2, 1.7), (4.8, 2.15))
        arrow(axes, (5.8, 1.7), (5.2, 2.15))
        arrow(axes, (5.0, 2.7), (5.0, 3.2))
        box(axes, 8.6, 2.4, "× tanh", color=BAD, width=1.1)
        arrow(axes, (7.6, 1.7), (8.3, 2.15))
        arrow(axes, (8.6, 3.5), (8.6, 2.75))
        arrow(axes, (9.15, 2.4), (9.8, 2.4))
        axes.plot([1.2, 8.6], [0.45, 0.45], color=DIM, linewidth=1.2)
        for x, y, text, ha in (
            (0.25, 3.72, "c, memory of before", "left"), (9.75, 3.72, "c′, memory now", "right"),
            (9.8, 2.08, "h′, to the next step\nand to the forecast", "right"),
            (1.15, 0.3, "x, the reading, with h, the output of before", "left"),
        ):  # fmt: skip
            axes.text(x, y, text, ha=ha, va="top" if "h′" in text or "x," in text else "bottom", fontsize=8)


def box(axes: Any, x: float, y: float, text: str, *, color: str, width: float = 1.2) -> None:
    """A box with a word."""
    axes.text(x, y, text.center(int(width * 6)), ha="center", va="center", color=color, fontsize=9, weight="bold",
              bbox={"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": color})  # fmt: skip


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From here to there."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": DIM, "linewidth": 1.1})

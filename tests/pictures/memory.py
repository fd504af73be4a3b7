"""What carried state is worth: the same network on the same readings, allowed to remember so many steps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gaugecast.engine import engine_for
from gaugecast.records import Float32, Float64
from pictures.paper import DIM, EXPECTED, GOOD, headroom, picture
from pictures.run import run_tanks, shipped_model

TANKS, STEPS, FIRST = 24, 400, 128
LOOK_BACKS = (1, 2, 4, 8, 16, 32, 64, 128)


class Fed(NamedTuple):
    """What the network was fed, N rows (tanks and features) side by side.

    Attributes:
        inputs: (T, N, I).
        state: Before each step, as it was carried (T, N, S).
        move: The move that came after each step, in the network's own scale; the last value forecasts 0 (T, N).
    """

    inputs: Float32
    state: Float32
    move: Float64


def gather() -> Fed:
    """From a run of the pipeline."""
    run = run_tanks(tanks=TANKS, steps=STEPS, plain=True, trace=True)
    rows = [trace for trace in run.traces if len(trace.slots) == TANKS]
    inputs = np.array([trace.inputs.reshape(-1, trace.inputs.shape[-1]) for trace in rows])
    state = np.array([trace.state.reshape(-1, trace.state.shape[-1]) for trace in rows])
    value = np.array([trace.steps.values for trace in rows])
    scale = np.array([trace.scale for trace in rows])
    with np.errstate(divide="ignore", invalid="ignore"):  # the first steps know no scale; they are not looked at
        move = (value[1:] - value[:-1]) / scale[:-1]
    return Fed(inputs[:-1], state[:-1], move.reshape(len(move), -1))


def draw(folder: Path) -> dict[str, float]:
    """Skill by how far the network may look back; the figures of the page."""
    fed, engine = gather(), engine_for(shipped_model())
    by_look_back = {n: skill_of(fed, n) for n in LOOK_BACKS}
    y, _ = engine.step(
        fed.inputs[FIRST:].reshape(-1, fed.inputs.shape[2]), fed.state[FIRST:].reshape(-1, fed.state.shape[2])
    )
    carried = skill_from(y.reshape(fed.move[FIRST:].shape), fed.move[FIRST:])
    with picture(folder / "memory.svg", size=(7.4, 2.8)) as axes:
        at = range(len(LOOK_BACKS))
        axes.bar(at, [100 * by_look_back[n] for n in LOOK_BACKS], color=EXPECTED, width=0.6)
        axes.axhline(100 * carried, color=GOOD, label=f"state carried on: {carried:.0%}")
        axes.axhline(0, color=DIM, linewidth=0.8)
        axes.set_xticks(at, [str(n) for n in LOOK_BACKS])
        axes.set_xlabel("steps that the network may look back, each time from an empty memory")
        axes.set_ylabel("skill, %")
        axes.set_title("The same network, the same tanks: what it knows is what it has seen")
        axes.legend(loc="upper left")
        headroom(axes)
    return {"carried": carried} | {f"look_back_{n}": by_look_back[n] for n in LOOK_BACKS}


def skill_of(fed: Fed, look_back: int) -> float:
    """Each forecast from an empty memory, over the last `look_back` readings."""
    engine = engine_for(shipped_model())
    ends = range(FIRST, len(fed.inputs))
    windows = np.concatenate([fed.inputs[end + 1 - look_back : end + 1] for end in ends], axis=1)
    y, _ = engine.sequence(np.ascontiguousarray(windows), engine.initial_state(windows.shape[1]))
    return skill_from(y[-1].reshape(len(ends), -1), fed.move[FIRST:])


def skill_from(y: Float32, move: Float64) -> float:
    """1 − squared error / that of the last value."""
    return float(1 - ((y - move) ** 2).sum() / (move**2).sum())

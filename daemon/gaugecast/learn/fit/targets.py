"""What a model should have given: from the steps that a pipeline traced to what it is to learn from them.

Everybody who learns from traces takes targets from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Steps, Trace
from gaugecast.forecast.scaling import InputLayout, to_target
from gaugecast.model import Manifest
from gaugecast.records import Float32, Float64


@dataclass(frozen=True, slots=True)
class Lesson:
    """One unbroken stretch of one stream: what the model was fed, and what it should have given.

    Attributes:
        x: Inputs (T, R, I).
        target: (T, R, O), NaN where there is none.
        learned: First steps whose targets are learned; those after them decide which pass was best.
    """

    x: Float32
    target: Float32
    learned: int


class Targets:
    """Makes targets of the values that came, for one model of a fleet."""

    def __init__(self, fleet: Fleet, manifest: Manifest) -> None:
        self.layout = InputLayout.of(fleet.features, manifest.rows, manifest.recipe)
        self._recipe = manifest.recipe

    def of(self, values: Float64, origin: Float64, scale: Float64) -> Float32:
        """(N, R, O), NaN where there is none.

        Args:
            values: Those that came a tick later (N, F).
            origin: What an output of 0 forecasts (N, F), as `forecast.expert.Trace.x`.
            scale: What an output of 1 adds to it (N, F), as `Trace.scale`.
        """
        return to_target(values, origin, scale, self.layout, self._recipe)

    def after(self, before: Trace, then: Trace) -> Float32 | None:
        """Of the step `before` (R, O), the next traced step of the same stream being `then`; `None` after a break."""
        if breaks(then):
            return None
        target: Float32 = self.of(then.steps.values, before.x, before.scale)[0]
        return target

    def lessons(self, steps: Sequence[Trace], learned: int) -> list[Lesson]:
        """One stream's steps, a row each, as stretches that follow each other.

        Targets up to step `learned` are to be learned, those after it are held out.
        """
        edges = [*(i for i, step in enumerate(steps) if breaks(step)), len(steps)]
        out = []
        for begin, end in pairwise(edges):
            if end - begin < 2:
                continue
            before, then = steps[begin : end - 1], steps[begin + 1 : end]
            target = self.of(
                np.concatenate([step.steps.values for step in then]),
                np.concatenate([step.x for step in before]),
                np.concatenate([step.scale for step in before]),
            )
            x = np.concatenate([step.inputs for step in before])
            out.append(Lesson(x, target, max(0, learned - begin - 1)))
        return out


def breaks(step: Trace) -> bool:
    """Whether a step, of one stream, does not follow the one before it."""
    return bool(step.steps.fresh[0]) or bool(step.steps.gap[0])


def row_of(trace: Trace, row: int) -> Trace:
    """One row of a trace, as a trace."""
    at, s = slice(row, row + 1), trace.steps
    steps = Steps(s.slots[at], s.values[at], s.last[at], s.seen[at], s.at[at], s.last_at[at], s.gap[at], s.fresh[at])
    return Trace(trace.slots[at], trace.inputs[at], trace.state[at], trace.x[at], trace.scale[at], steps)

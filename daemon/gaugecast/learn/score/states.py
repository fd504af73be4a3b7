"""What the units of a network follow: hidden states over a series, and how they go with what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.learn.history.recording import Recording, hold
from gaugecast.learn.score.course import Course
from gaugecast.learn.score.judging import walk
from gaugecast.model import Model
from gaugecast.model.layers import STATE_PARTS
from gaugecast.records import Float32, Float64

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """Hidden states of one stream over some rows, of its first row of the network where features have one each.

    Attributes:
        h: After each step, all layers' (T, U).
        follows: Correlation of each unit with each signal (U, K); 0 where either does not move.
        names: Of the signals.
    """

    course: Course
    h: Float32
    follows: Float64
    names: list[str]


def states_over(model: Model, fleet: Fleet, recording: Recording, stream: str, rows: tuple[int, int]) -> States:
    """Step some rows of a stream from a cold start, and look at the state after each.

    Args:
        model: Carries its state.
        fleet: What it forecasts.
        recording: The history.
        stream: Whose rows.
        rows: First, and last but one.
    """
    kept: list[Float32] = []
    ((course, _),) = walk(model, fleet, recording, stream, [rows], horizon=1, states=kept)
    h = np.stack(kept)[:, 0][:, _places(model)]  # of the first row of the network
    signals = _signals(course, fleet)
    return States(course, h, _correlation(h, np.column_stack(list(signals.values()))), list(signals))


def _places(model: Model) -> list[int]:
    """Where the parts h lie in a packed state."""
    places: list[int] = []
    at = 0
    for layer in model.manifest.layers:
        for part in STATE_PARTS[layer.cell]:
            places += range(at, at + layer.units) if part == "h" else ()
            at += layer.units
    return places


def _signals(course: Course, fleet: Fleet) -> dict[str, Float64]:
    """What a unit may follow: each feature's level and last move, and the hour where a day has several steps."""
    held = np.nan_to_num(hold(course.observed, np.full(course.observed.shape[1], np.nan)))
    signals: dict[str, Float64] = {}
    for g, feature in enumerate(fleet.forecast_features):
        signals[feature.name] = held[:, g]
        signals[f"move of {feature.name}"] = np.diff(held[:, g], prepend=held[:1, g])
    if fleet.period_ns < 43_200 * 10**9:
        turn = 2.0 * np.pi * (course.at / 1e9 % _DAY_S) / _DAY_S
        signals |= {"sine of the hour": np.sin(turn), "cosine of the hour": np.cos(turn)}
    return signals


def _correlation(h: Float32, signals: Float64) -> Float64:
    a, b = (part - part.mean(axis=0) for part in (h.astype(np.float64), signals))
    size = np.sqrt(np.square(a).sum(axis=0))[:, None] * np.sqrt(np.square(b).sum(axis=0))[None]
    found: Float64 = np.divide(a.T @ b, size, out=np.zeros_like(size), where=size > 1e-12)
    return found

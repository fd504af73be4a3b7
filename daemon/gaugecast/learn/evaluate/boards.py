"""Scores as boards of detectors compute them: NAB's standard profile, SKAB's change points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.learn.evaluate.figures import TOLERANCES, alarms_of
from gaugecast.learn.evaluate.run import Watched
from gaugecast.learn.score.alarms import runs_of
from gaugecast.records import Bool, Int64

#: Weight of a false alarm in the standard profile; a hit and a miss weigh 1.
FALSE_ALARM = 0.11
#: NAB scores nothing in this share of a file's first 5,000 rows.
_PROBATION, _PROBATION_OF = 0.15, 5000
#: After a change point SKAB waits so long for an answer.
CHANGE_NS = 60 * 10**9

Windows = Sequence[tuple[int, int]]


class NabScore(NamedTuple):
    """Of all files together; 100 is perfect, 0 is silence.

    Attributes:
        fixed: With events as they would have been told.
        best: With the one tolerance that is best for all files, as NAB's optimiser takes the threshold.
        tolerance: That one.
    """

    fixed: float
    best: float
    tolerance: float


# -- NAB


def read_windows(path: Path, files: Sequence[Path]) -> list[Windows]:
    """Of each file the windows in which something was wrong, ns, by NAB's `combined_windows.json`.

    Raises:
        ConfigError: It cannot be read, or does not name a file by its folder and name.
    """
    try:
        named: Mapping[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, list[tuple[str, str]]])
    except (OSError, msgspec.MsgspecError) as exc:
        raise ConfigError(f"{path}: expected windows by file, such as NAB's combined_windows.json: {exc}") from exc
    names = [f"{file.parent.name}/{file.name}" for file in files]
    for name in names:
        if name not in named:
            raise ConfigError(f"{path}: expected the windows of {name}, got those of {len(named)} other files")
    return [[(_instant(begin), _instant(end)) for begin, end in named[name]] for name in names]


def _instant(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e9)


def labelled(watched: Sequence[Watched], windows: Sequence[Windows]) -> list[Watched]:
    """The same, with rows within a window as those where something was wrong."""
    return [
        replace(one, labels=np.array([any(b <= at <= e for b, e in of) for at in one.at.tolist()], bool))
        for one, of in zip(watched, windows, strict=True)
    ]


def nab_score(watched: Sequence[Watched], windows: Sequence[Windows], *, hold: int) -> NabScore:
    """NAB's score over all files; a detection is the row at which an event begins.

    Args:
        watched: What would have been told.
        windows: Of each file.
        hold: Steps that an anomaly lasts before it is told of.
    """
    perfect = 2 * sum(map(len, windows))

    def total(begins: Sequence[Int64]) -> float:
        won = sum(_nab_of(one.at, rows, of) for one, rows, of in zip(watched, begins, windows, strict=True))
        return 100.0 * won / perfect if perfect else math.nan

    alarms = [alarms_of(one.score, hold) for one in watched]
    by_tolerance = {tolerance: total([runs_of(of[k])[:, 0] for of in alarms]) for k, tolerance in enumerate(TOLERANCES)}
    best = max(by_tolerance, key=lambda tolerance: by_tolerance[tolerance])
    return NabScore(total([one.began for one in watched]), by_tolerance[best], best)


def _nab_of(at: Int64, detections: Int64, windows: Windows) -> float:
    """How far above silence one file is, of at most 2 a window (`numenta/NAB`, `sweeper.py`)."""
    probation = min(math.floor(_PROBATION * len(at)), _PROBATION * _PROBATION_OF)
    spans = [(int(np.searchsorted(at, b)), int(np.searchsorted(at, e, side="right")) - 1) for b, e in windows]
    hits = [0.0] * len(spans)
    false = 0.0
    for row in (row for row in detections.tolist() if row >= probation):
        inside = [k for k, (left, right) in enumerate(spans) if left <= row <= right]
        if inside:
            left, right = spans[inside[0]]
            worth = _sigmoid(-(right - row + 1) / (right - left + 1)) / _sigmoid(-1.0)
            hits[inside[0]] = max(hits[inside[0]], 1.0 + worth)
        else:
            before = [(left, right) for left, right in spans if right < row]
            false += _sigmoid((row - before[-1][1]) / max(1, before[-1][1] - before[-1][0]) if before else 3.0)
    return sum(hits) + FALSE_ALARM * false


def _sigmoid(position: float) -> float:
    """0.987 at a window's left edge (−1), 0 at its right, −1 far behind it."""
    return -1.0 if position >= 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


# -- SKAB


def change_point_score(watched: Sequence[Watched], changes: Sequence[Bool], skip: int) -> float:
    """NAB's standard profile as SKAB takes it for change points: a detection is each row at which an alarm changes.

    Args:
        watched: What would have been told.
        changes: Of each file, the rows at which its state changed (T,).
        skip: Rows that are not judged.
    """
    score = count = 0.0
    for one, changed in zip(watched, changes, strict=True):
        at, said = one.at[skip:], one.open[skip:]
        told = at[np.flatnonzero(np.diff(np.concatenate([[False], said]).astype(np.int8)))]
        spans = _spans(at[changed[skip:]])
        count += len(spans)
        left = np.ones(len(told), bool)
        for begin, end in spans:
            inside = (told >= begin) & (told <= end)
            left &= ~inside
            score += _skab_scale((told[inside][0] - begin) / (end - begin)) if inside.any() else -1.0
        score -= FALSE_ALARM * int(left.sum())
    return 100.0 * (score + count) / (2.0 * count) if count else math.nan


def _spans(changes: Int64) -> list[tuple[int, int]]:
    """A minute behind each; where two overlap, the later begins where the earlier ends."""
    spans: list[tuple[int, int]] = []
    for change in changes.tolist():
        begin = max(change, spans[-1][1]) if spans else change
        spans.append((begin, max(change + CHANGE_NS, begin + 1)))
    return spans


def _skab_scale(share: float) -> float:
    """From 1 at a window's beginning to the weight of a false alarm at its end."""
    x = math.pi * (min(share, 0.999) - 0.5)
    half = (1.0 + FALSE_ALARM) / 2.0
    return half * (1.0 - math.tanh(x) / math.tanh(math.pi / 2.0)) - FALSE_ALARM

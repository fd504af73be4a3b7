"""How good foretold crossings were: Brier score, reliability, lead time, false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gaugecast.fleet import Fleet, Threshold
from gaugecast.learn.backtest.crossing_run import Foretold
from gaugecast.learn.score.alarms import runs_of
from gaugecast.learn.score.course import Course
from gaugecast.records import Bool, Float64

#: A crossing is one that comes after so long a time on the other side, as a share of the reach; else it is a wiggle.
_BEFORE, _LEAST_BEFORE = 60, 3
_DECILES = 10


class Decile(NamedTuple):
    """Cases whose probability lay within a tenth: how many, the mean probability, and the share that crossed."""

    cases: int
    foretold: float
    happened: float


@dataclass(frozen=True, slots=True)
class CrossingScore:
    """Figures of one threshold over all streams.

    Attributes:
        count: Steps at which a probability was told and the value was not beyond.
        rate: Share of them that were followed by a crossing within the reach.
        brier: Mean squared error of the probability.
        skill: 1 − Brier score / that of always saying `rate`; `None` where all cases are alike.
        reliability: By tenth of probability.
        crossings: How many there were, after some time on the other side.
        foretold: How many of them were told of before.
        lead_s: Median time from telling to crossing; `None` without any.
        false_alarms: Events that ended without a crossing, a stream and week.
    """

    threshold: Threshold
    count: int
    rate: float
    brier: float
    skill: float | None
    reliability: tuple[Decile, ...]
    crossings: int
    foretold: int
    lead_s: float | None
    false_alarms: float


def crossing_scores(
    fleet: Fleet, courses: Sequence[Course], told: Sequence[Foretold], *, rows: slice = slice(None)
) -> list[CrossingScore]:
    """Figures of each threshold of the fleet; `rows` of each course are those at which it was foretold."""
    return [_score(fleet, k, courses, told, rows) for k in range(len(fleet.thresholds))]


def _score(fleet: Fleet, k: int, courses: Sequence[Course], told: Sequence[Foretold], rows: slice) -> CrossingScore:
    mark = fleet.thresholds[k]
    cases = [_cases(fleet, k, course, one, rows) for course, one in zip(courses, told, strict=True)]
    likely, happened = (np.concatenate([one[i] for one in cases]) for i in range(2))
    rate = float(happened.mean()) if len(happened) else float("nan")
    brier = float(np.square(likely - happened).mean()) if len(happened) else float("nan")
    alike = rate * (1.0 - rate)
    events = [_events(mark, one.open[rows, k], one.crossed[rows, k]) for one in told]
    leads = np.concatenate([one.leads for one in events])
    span_s = sum(len(course.tick[rows]) for course in courses) * fleet.period_ns / 1e9
    return CrossingScore(
        threshold=mark, count=len(likely), rate=rate, brier=brier, skill=1.0 - brier / alike if alike > 0.0 else None,
        reliability=_reliability(likely, happened), crossings=sum(one.crossings for one in events),
        foretold=len(leads), lead_s=float(np.median(leads)) * fleet.period_ns / 1e9 if len(leads) else None,
        false_alarms=sum(one.false for one in events) / (span_s / (7 * 86_400)) if span_s else 0.0,
    )  # fmt: skip


def _cases(fleet: Fleet, k: int, course: Course, told: Foretold, rows: slice) -> tuple[Float64, Float64]:
    """Probabilities, and whether a crossing followed within the reach."""
    mark = fleet.thresholds[k]
    place = [feature.name for feature in fleet.forecast_features].index(mark.feature)
    values = course.observed[:, place] * (1.0 if mark.above else -1.0)
    beyond = values >= mark.value * (1.0 if mark.above else -1.0)
    ends = np.searchsorted(course.tick, course.tick + mark.within, side="right")
    counts = np.concatenate([[0], np.cumsum(beyond)])
    places = np.arange(len(values))
    followed = counts[ends] - counts[places + 1] > 0
    counted = np.zeros(len(values), bool)
    counted[rows] = True
    counted &= ~told.crossed[:, k] & np.isfinite(told.likely[:, k]) & (course.tick + mark.within <= course.tick[-1])
    return told.likely[counted, k], followed[counted].astype(np.float64)


class _Events(NamedTuple):
    crossings: int
    leads: Float64
    false: int


def _events(mark: Threshold, opened: Bool, crossed: Bool) -> _Events:
    """Of one stream: crossings, ticks between telling and crossing of those told, and what never crossed."""
    calm = max(_LEAST_BEFORE, mark.within // _BEFORE)
    before = np.concatenate([[0], np.cumsum(crossed)])
    places = np.arange(len(crossed))
    quiet = before[places] - before[np.maximum(places - calm, 0)] == 0
    real = np.flatnonzero(crossed & quiet & (places >= calm))
    spans = runs_of(opened)
    begins = spans[:, 0]
    leads = [int(at - begins[begins < at][-1]) for at in real.tolist() if at and opened[at - 1] and (begins < at).any()]
    false = sum(int(before[end] == before[begin]) for begin, end in spans.tolist() if end < len(opened))
    return _Events(len(real), np.array(leads, np.float64), false)


def _reliability(likely: Float64, happened: Float64) -> tuple[Decile, ...]:
    tenth = np.minimum((likely * _DECILES).astype(np.int64), _DECILES - 1)
    parts = [tenth == k for k in range(_DECILES)]
    return tuple(
        Decile(int(part.sum()), float(likely[part].mean()), float(happened[part].mean()))
        if part.any()
        else Decile(0, float("nan"), float("nan"))
        for part in parts
    )


def crossing_row(one: CrossingScore) -> dict[str, Any]:
    """For `--json`."""
    deciles = [decile._asdict() if decile.cases else {"cases": 0} for decile in one.reliability]
    return {
        "model": "crossing", "feature": one.threshold.feature, one.threshold.side: one.threshold.value,
        "within": one.threshold.within, "horizon": one.threshold.within, "count": one.count, "rate": one.rate,
        "brier": one.brier,
        "brier_skill": one.skill, "reliability": deciles, "crossings": one.crossings, "foretold": one.foretold,
        "lead_s": one.lead_s, "false_alarms": one.false_alarms,
    }  # fmt: skip

"""How right alarms were: F1, false alarms, misses; and the areas under the curves of the raw score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gaugecast.forecast.anomaly import alarm
from gaugecast.learn.evaluate.ranges import vus_pr
from gaugecast.learn.evaluate.run import Watched
from gaugecast.learn.score.alarms import AlarmCounts, runs_of
from gaugecast.records import Bool, Float64
from gaugecast.streams.columns import Columns

_WEEK_NS = 7 * 86_400 * 10**9
#: Tolerances that are tried for a number of false alarms.
TOLERANCES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)


@dataclass(frozen=True, slots=True)
class AlarmFigures:
    """Rows and events of one file, or of several together.

    Attributes:
        rows: By what was said of them and what they were.
        events: How many began; `false_events` of them at rows without a label around.
        weeks: Of rows that are judged and bear no label.
        roc_auc, pr_auc, vus_pr: Of the raw score; of several files their mean; `None` where all rows are alike.
    """

    name: str
    rows: AlarmCounts
    events: int
    false_events: int
    weeks: float
    roc_auc: float | None = None
    pr_auc: float | None = None
    vus_pr: float | None = None

    def as_row(self) -> dict[str, Any]:
        """For a JSON file."""
        rows = self.rows
        return {
            "file": self.name, "f1": rows.f1, "far": rows.false_alarm_share, "mar": rows.missed_share,
            "hits": rows.hit, "false": rows.false_alarm, "missed": rows.missed, "quiet": rows.quiet,
            "events": self.events, "false_events": self.false_events, "weeks": self.weeks, "roc_auc": self.roc_auc,
            "pr_auc": self.pr_auc, "vus_pr": self.vus_pr,
        }  # fmt: skip


def figures_of(one: Watched, skip: int) -> AlarmFigures:
    """Of one file's rows behind the first `skip`."""
    wrong = np.zeros(len(one.at), bool) if one.labels is None else one.labels
    score = np.nan_to_num(one.score[skip:])
    roc_auc, pr_auc = _areas(score, wrong[skip:])
    return replace(
        _figures(one, skip, one.open), roc_auc=roc_auc, pr_auc=pr_auc, vus_pr=vus_pr(score, wrong[skip:])
    )  # fmt: skip


def _figures(one: Watched, skip: int, alarms: Bool) -> AlarmFigures:
    """The same without areas, of these alarms (T,)."""
    judged = slice(skip, None)
    said = alarms[judged]
    wrong = np.zeros(len(said), bool) if one.labels is None else one.labels[judged]
    events = runs_of(said)
    false = sum(not wrong[begin:end].any() for begin, end in events.tolist())
    span = np.diff(one.at[judged], append=one.at[-1])
    weeks = float(span[~wrong].sum()) / _WEEK_NS
    return AlarmFigures(one.name, AlarmCounts.of(said, wrong), len(events), false, weeks)


def together(parts: Sequence[AlarmFigures]) -> AlarmFigures:
    """Over the rows of all files."""
    return AlarmFigures(
        "all", sum((part.rows for part in parts), AlarmCounts()), sum(part.events for part in parts),
        sum(part.false_events for part in parts), sum(part.weeks for part in parts),
        *(_mean([getattr(part, name) for part in parts]) for name in ("roc_auc", "pr_auc", "vus_pr")),
    )  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def at_most(watched: Sequence[Watched], skip: int, *, hold: int, a_week: float) -> tuple[float, AlarmFigures] | None:
    """The least tolerance with at most so many false alarms a stream and week, and its figures; `None`: there is none.

    What the detectors learn is taken as it was.
    """
    alarms = [alarms_of(one.score, hold) for one in watched]
    for k, tolerance in enumerate(TOLERANCES):
        total = together([_figures(one, skip, of[k]) for one, of in zip(watched, alarms, strict=True)])
        if total.weeks > 0.0 and total.false_events / total.weeks <= a_week:
            return tolerance, total
    return None


def alarms_of(score: Float64, hold: int) -> Bool:
    """Rows (K, T) at which an event is open under each of `TOLERANCES`, by raw scores (T,), NaN = not judged."""
    count = len(TOLERANCES)
    state = {name: array.copy() for name, array in Columns(alarm.spec_of(1), count)}
    told = np.zeros((count, len(score)), bool)
    at, never = np.zeros(count, np.int64), np.zeros(count, bool)
    scaled = np.nan_to_num(score[:, None] / np.array(TOLERANCES))[:, :, None, None]
    settling = np.repeat(np.isnan(score)[:, None], count, axis=1)
    for t, row in enumerate(scaled):
        alarm.judge(state, row, settling=settling[t], off=never, silenced=never, at=at, least=hold)
        told[:, t] = state["open"]
    return told


def _areas(score: Float64, wrong: Bool) -> tuple[float | None, float | None]:
    """Areas under the ROC curve (Mann and Whitney; ties count half), and under precision over recall (trapezoids)."""
    count = int(wrong.sum())
    if not 0 < count < len(wrong):
        return None, None
    values, place, many = np.unique(score, return_inverse=True, return_counts=True)
    above = np.cumsum(many) - (many - 1) / 2.0
    roc = (above[place][wrong].sum() - count * (count + 1) / 2) / (count * (len(wrong) - count))
    hits = np.bincount(place, weights=wrong, minlength=len(values))[::-1]
    precision = np.concatenate([[1.0], np.cumsum(hits) / np.cumsum(many[::-1])])
    return float(roc), float((hits * (precision[1:] + precision[:-1])).sum() / (2 * count))

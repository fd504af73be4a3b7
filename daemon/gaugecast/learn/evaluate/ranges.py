"""Range-based precision over recall, for scores that are right about where and not about the row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.learn.score.alarms import runs_of
from gaugecast.records import Bool, Float64, Int64

#: Ranges are made wider by 0 to so many rows; and about so many thresholds are tried.
MOST_WIDER, SAMPLES = 200, 20


def vus_pr(score: Float64, wrong: Bool) -> float | None:
    """Mean area under range-based precision over recall, ranges made wider by 0 to `MOST_WIDER` rows.

    As `wenig/touchstone-rs` does it, after Paparrizos et al. 2022 and Tatbul et al. 2018: flat, without reciprocals.

    Args:
        score: Raw (T,).
        wrong: Whether something was (T,).
    """
    if not 0 < int(wrong.sum()) < len(wrong):
        return None
    single = np.nan_to_num(score).astype(np.float32)
    values = np.unique(single)
    told = [runs_of(single >= threshold) for threshold in values[:: max(1, len(values) // SAMPLES)]]
    real = runs_of(wrong)
    areas = [_range_area(told, _wider(real, by, len(wrong))) for by in range(MOST_WIDER + 1)]
    return float(np.mean(areas))


def _wider(ranges: Int64, by: int, rows: int) -> Int64:
    """Each by so many rows on both sides; those that then meet are one."""
    begins, ends = np.maximum(ranges[:, 0] - by, 0), np.minimum(ranges[:, 1] + by, rows)
    apart = begins[1:] > ends[:-1]
    return np.stack([begins[np.concatenate([[True], apart])], ends[np.concatenate([apart, [True]])]], axis=1)


def _range_area(told: Sequence[Int64], real: Int64) -> float:
    points: dict[float, float] = {}
    for predicted in told:
        points.setdefault(_covered(real, predicted), _covered(predicted, real))
    points = {0.0: 1.0, 1.0: 0.0, **points}
    recall = np.array(sorted(points))
    return float(np.trapezoid([points[r] for r in recall.tolist()], recall))


def _covered(ranges: Int64, by: Int64) -> float:
    """Mean over ranges of the squared shares that each of the others covers."""
    if not len(ranges) or not len(by):
        return 0.0
    begin, end = ranges[:, 0], ranges[:, 1]
    first, behind = np.searchsorted(by[:, 1], begin, side="right"), np.searchsorted(by[:, 0], end, side="left")
    squares = np.concatenate([[0], np.cumsum((by[:, 1] - by[:, 0]) ** 2)])
    within = (
        squares[np.maximum(behind - 1, 0)] - squares[np.minimum(first + 1, len(by))]
    )  # all but the two at the edges
    at_first, at_last = (_common(ranges, by[np.clip(place, 0, len(by) - 1)]) for place in (first, behind - 1))
    edges = at_first**2 + np.where(behind - first > 1, at_last**2 + within, 0)
    reward = np.where(behind > first, edges, 0) / (end - begin) ** 2
    return float(reward.mean())


def _common(one: Int64, other: Int64) -> Int64:
    """Rows that pairs of ranges have in common."""
    return np.minimum(one[:, 1], other[:, 1]) - np.maximum(one[:, 0], other[:, 0])

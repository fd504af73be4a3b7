"""Alarms held against labels, row by row: F1, false alarms, misses. Protocol of SKAB's outlier leaderboard.

Rows that a detector was fitted to are not judged; figures over several files are over all their rows together
(micro). Beside them stand those of always alarming, which on SKAB has an F1 of 0.70.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gaugecast.errors import ConfigError
from gaugecast.history import NO_TIME, FileColumns
from gaugecast.learn.autoencoder.rows import read_rows
from gaugecast.learn.autoencoder.saved import load_curves, load_detector, places_of
from gaugecast.learn.score.alarms import AlarmCounts
from gaugecast.records import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a detector said of one file.

    Attributes:
        at: Event times of its rows, ns (T,).
        error: Error of the window that ends at each row (T,), NaN before the first whole one.
        alarms: Rows with an alarm (T,).
        threshold: Errors above it are unusual.
        learned: First rows that the detector was fitted to; they are not judged.
        labels: Whether something was wrong at each row (T,), or `None`.
        features, values, rebuilt: What was fed (T, F), and what the detector made of it (of the first file only).
        curves: Losses by epoch of its fitting.
    """

    name: str
    at: Int64
    error: Float64
    alarms: Bool
    threshold: float
    learned: int
    labels: Bool | None
    features: tuple[str, ...] = ()
    values: Float64 | None = None
    rebuilt: Float64 | None = None
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    timed: bool = True

    @property
    def judged(self) -> int:
        """Rows that are judged."""
        return len(self.at) - self.learned

    @property
    def alarmed(self) -> int:
        """Alarms among them."""
        return int(self.alarms[self.learned :].sum())

    @property
    def counts(self) -> AlarmCounts:
        """Of the rows that are judged; nothing without labels."""
        if self.labels is None:
            return AlarmCounts()
        return AlarmCounts.of(self.alarms[self.learned :], self.labels[self.learned :])


def judge_files(
    paths: Sequence[Path],
    directory: Path,
    *,
    label: str = "",
    time: str = "",
    tick: Callable[[int], None] = lambda _: None,
) -> list[Judgement]:
    """Let detectors speak about files.

    Args:
        paths: CSV or Parquet files.
        directory: One detector's for all of them, or with a folder for each file.
        label: Column that is 1 where something was wrong; empty = none.
        time: Name of the time column; empty = t, time, date, …; `none` = a row is a tick.
        tick: Told how many files are done.

    Raises:
        ConfigError: A file or a column is absent, or the label was fed.
        ModelError: A detector is damaged.
    """
    judged: list[Judgement] = []
    for path, place in zip(paths, places_of(directory, paths), strict=True):
        detector, origin = load_detector(place)
        calibration = detector.calibration
        if label in calibration.features:
            raise ConfigError(
                f"--label: {place} was fed {label!r}, so it knows what it is asked; fit it again with --ignore {label}"
            )
        rows = read_rows(path, FileColumns(time, "", calibration.features), label=label)
        error = detector.errors(rows.values)
        judged.append(
            Judgement(
                path.stem, rows.at, error, detector.alarms(error), calibration.threshold, origin.learned_of(rows),
                rows.labels, rows.features, rows.values, None if judged else detector.rebuilt(rows.values),
                load_curves(place), time != NO_TIME,
            )
        )  # fmt: skip
        tick(len(judged))
    return judged


def total_counts(judged: Sequence[Judgement]) -> AlarmCounts:
    """Over the rows of all files together."""
    return sum((one.counts for one in judged), AlarmCounts())


def result_rows(judged: Sequence[Judgement]) -> list[dict[str, Any]]:
    """One row for each file, one for all, and one for always alarming: `{set, model, f1, …}`; `null` = none."""
    total = total_counts(judged)
    rows = [
        {
            "set": one.name,
            "model": "autoencoder",
            "rows": one.judged,
            "alarms": one.alarmed,
            "threshold": one.threshold,
            **_figures(one.counts, labelled=one.labels is not None),
        }
        for one in judged
    ]
    labelled = any(one.labels is not None for one in judged)
    size, said = sum(one.judged for one in judged), sum(one.alarmed for one in judged)
    both = [("autoencoder", said, total), ("always alarm", size, total.always)]
    return rows + [
        {"set": "all", "model": model, "rows": size, "alarms": alarms, **_figures(counts, labelled=labelled)}
        for model, alarms, counts in both
    ]


def _figures(counts: AlarmCounts, *, labelled: bool) -> dict[str, Any]:
    if not labelled:
        return {}
    shares = {"f1": counts.f1, "false_alarm_share": counts.false_alarm_share, "missed_share": counts.missed_share}
    return {**shares, **asdict(counts)}

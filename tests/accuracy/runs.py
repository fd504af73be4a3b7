"""The runs of one series, each one call of what `gaugecast backtest` calls, and each repeatable by its seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from accuracy.windowed import warm_windows, windowed
from gaugecast.fleet import Fleet
from gaugecast.history import fleet_of_file, read_inputs
from gaugecast.learn.backtest.run import Learning, add_baselines, backtest, courses_of, report_on, without_waiting
from gaugecast.learn.backtest.score_rows import result_rows
from gaugecast.learn.backtest.split import Split
from gaugecast.learn.backtest.warmup import first_of, record
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.fit.targets import Targets
from gaugecast.model import Model
from gaugecast.records import Input

Rows = list[dict[str, Any]]

#: FSNet's split of the ETT files (its `data_loader.py`): 4 + 1 + 15 months of 30 days, hourly.
ETT = Split(2880, 720, 10_800)


def split_of(name: str) -> Split:
    """Of the ETT files as in the papers; of any other file a fifth, a twentieth, and the rest."""
    return ETT if name.startswith("ETT") else Split(0.2, 0.05)


def load(path: Path, split: Split) -> tuple[Fleet, list[list[Input]]]:
    """The file's fleet, and as many of its rows as the split looks at."""
    fleet = without_waiting(fleet_of_file(path))
    batches = list(read_inputs(path, fleet))
    _, _, end = split.borders(sum(map(len, batches)))
    return fleet, first_of(batches, end)


def run_online(path: Path, seed: int) -> Rows:
    """Trained on the train rows, then learning as it goes."""
    return _network_rows(path, seed, warm_up=True, learning=True)


def run_cold(path: Path, seed: int) -> Rows:
    """Begun with weights that know nothing, on the file's first row."""
    return _network_rows(path, seed, warm_up=False, learning=True)


def run_frozen(path: Path, seed: int) -> Rows:
    """Trained on the train rows, weights then as they are."""
    return _network_rows(path, seed, warm_up=True, learning=False)


def run_windowed(path: Path, seed: int) -> Rows:
    """The LSTM without a state, trained on the train rows, learning as it goes: same units, same schedule."""
    split = split_of(path.stem)
    fleet, batches = load(path, split)
    first = initial_model(manifest_for(fleet), seed=seed)
    (fed,) = record(fleet, batches, first).values()
    train, begin, _ = split.borders(len(fed))
    warmed: Model = warm_windows(first, Targets(fleet, first.manifest).lessons(fed[:begin], train))
    report = report_on(fleet, courses_of(fleet, batches), split)
    report.add("windowed", "lockstep", "warm-up", [windowed(fed, fleet, warmed, seed=seed, learn_after=train)])
    return result_rows(report, path.stem)


def run_baselines(path: Path, _seed: int) -> Rows:
    """Persistence, seasonal naive, recursive least squares."""
    split = split_of(path.stem)
    fleet, batches = load(path, split)
    report = report_on(fleet, courses_of(fleet, batches), split)
    add_baselines(report)
    return result_rows(report, path.stem)


#: In the order in which they are run and shown.
RUNS: dict[str, Callable[[Path, int], Rows]] = {
    "baselines": run_baselines,
    "online": run_online,
    "cold": run_cold,
    "frozen": run_frozen,
    "windowed": run_windowed,
}


def _network_rows(path: Path, seed: int, *, warm_up: bool, learning: bool) -> Rows:
    split = split_of(path.stem)
    fleet, batches = load(path, split)
    mode: Learning = "lockstep" if learning else "off"
    report = backtest(fleet, batches, split, warm_up=warm_up, learning=mode, seed=seed, with_baselines=False)
    return result_rows(report, path.stem)

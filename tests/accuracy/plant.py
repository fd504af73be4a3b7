"""The simulated plant at 1 Hz: `make accuracy SET=plant`; tanks of the seeds 1 … 20, cold start, an hour ahead.

Nothing was chosen on these seeds. Errors are in deviations of each tank's own series, so that every tank counts alike.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from accuracy.places import keep_rows
from accuracy.plant_crossings import crossing_lines, crossing_verdicts, run_crossings, show_crossings
from accuracy.runs import Rows
from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.forecast.horizons.rows import LINEAR
from gaugecast.records import Float64
from gaugecast_sim.tanks import Plant

SET, PROTOCOL = "plant", "1 Hz"
SEEDS = tuple(range(1, 21))
HOURS = 48
#: Of them those whose crossings are foretold: sixteen horizons of four thresholds are most of the work.
CROSSING_HOURS = 24
FEATURES = ("pressure", "temperature")
SECOND_NS, BEGINS_S, DAY_S = 10**9, 1_700_000_000, 86_400
AHEAD = 3600
#: One origin in so many seconds is scored.
EVERY = 16
#: Hours at which scoring begins, and what rows of that are called.
SINCE = {0: "cold", 12: "after 12 h", 24: "after 24 h"}
#: What is asked: of the best simple forecaster's squared error, over the whole run.
MOST = 0.85
SIMPLE = {"persistence": "the last value", "seasonal": "the value a day ago", "running mean": "running mean"}
TITLES = {**SIMPLE, "linear": "the linear expert that near horizons have, too", "mix": "**mix**, what is published"}


class Said(NamedTuple):
    """Forecasts of one hour ahead, of each scored origin.

    Attributes:
        origin: Seconds since the beginning (O,).
        made: By forecaster (O, N, 2).
        target: What came (O, N, 2).
    """

    origin: np.ndarray
    made: Mapping[str, Float64]
    target: Float64


def simulate(seed: int, hours: int, folder: Path) -> Float64:
    """Pressure and temperature of the first tank of a seed, every second (T, 2); kept in `folder`."""
    place = folder / f"{seed}-{hours}h.npy"
    if not place.exists():
        plant = Plant(seed, 1, time_scale=1.0)
        seen = (plant.step((BEGINS_S + t) * SECOND_NS) for t in range(hours * 3600))
        folder.mkdir(parents=True, exist_ok=True)
        np.save(place, np.array([(one.pressure[0], one.temperature[0]) for one in seen]))
    series: Float64 = np.load(place)
    return series


def run_ahead(series: Float64, every: int = EVERY) -> Said:
    """Step the experts over series (T, N, 2), all streams together."""
    steps, streams, features = series.shape
    experts = HorizonExperts(SECOND_NS, features, (1, AHEAD), levels=(), capacity=streams)
    origin = np.arange(0, steps - AHEAD, every)
    made = {name: np.empty((len(origin), streams, features)) for name in ("mix", "linear")}
    slots, gap = np.arange(streams), np.zeros(streams, np.int64)
    own = np.full((streams, experts.layout.count, features), np.nan)
    last = np.full(series.shape[1:], np.nan)
    for t in range(steps - AHEAD):
        ahead = experts.step(slots, series[t], x=series[t], last=last, gap=gap, own=own)
        last = series[t]
        if t % every == 0:
            made["mix"][t // every] = ahead.forecast[:, 1]
            made["linear"][t // every] = ahead.experts[:, 1, :, LINEAR]
    return Said(origin, made | _simple(series, origin), series[origin + AHEAD])


def _simple(series: Float64, origin: np.ndarray) -> dict[str, Float64]:
    """What costs nothing: last value, mean so far, and the value a day before the target, where there is one."""
    mean = np.cumsum(series, axis=0)[origin] / (origin + 1)[:, None, None]
    before = origin + AHEAD - DAY_S
    seasonal = np.where((before >= 0)[:, None, None], series[np.maximum(before, 0)], series[origin])
    return {"persistence": series[origin], "seasonal": seasonal, "running mean": mean}


def score_ahead(said: Said, deviation: Float64) -> Rows:
    """A row a forecaster and begin of scoring; `deviation` of each tank's series (N, 2)."""
    rows: Rows = []
    for hours, start in SINCE.items():
        part = said.origin >= hours * 3600
        for name, made in said.made.items():
            off = (said.target[part] - made[part]) / deviation
            by_feature = np.square(off).mean(axis=(0, 1)), np.abs(off).mean(axis=(0, 1))
            per = {
                feature: {"mse": float(mse), "mae": float(mae)}
                for feature, mse, mae in zip(FEATURES, *by_feature, strict=True)
            }
            rows.append(
                {"set": SET, "protocol": PROTOCOL, "model": name, "start": start, "learning": "loop", "horizon": AHEAD,
                 "mse": float(np.square(off).mean()), "mae": float(np.abs(off).mean()), "count": off.size,
                 "per_feature": per}
            )  # fmt: skip
    return rows


def run_plant(out: Path, jobs: int, console: Console) -> bool:
    """Simulate, forecast, score, keep and show; whether all bounds hold."""
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        each = list(pool.map(simulate, SEEDS, repeat(HOURS), repeat(out.parent / SET)))
        console.print(f"simulated after {time.monotonic() - began:.0f} s", highlight=False)
        series = np.stack(each, axis=1)
        ahead = pool.submit(partial(run_ahead, series))
        crossings = pool.submit(run_crossings, series[: CROSSING_HOURS * 3600])
        keep_rows(score_ahead(ahead.result(), series.std(axis=0)), out)
        kept = [row for row in keep_rows(crossings.result(), out) if row["set"] == SET]
    console.print(f"forecast after {time.monotonic() - began:.0f} s", highlight=False)
    _show(console, kept)
    show_crossings(console, kept)
    verdicts = [*ahead_verdicts(kept), *crossing_verdicts(kept)]
    for holds, text in verdicts:
        console.print(text, style="green" if holds else "bold red", highlight=False)
    return all(holds for holds, _ in verdicts)


def ahead_verdicts(rows: Rows) -> Iterator[tuple[bool, str]]:
    """Whether the mixture is as much better than the best of the simple as is asked, in words."""
    for start in SINCE.values():
        mse = {row["model"]: row["mse"] for row in rows if row["start"] == start and row["protocol"] == PROTOCOL}
        simple = [(mse[name], name) for name in SIMPLE if name in mse]
        if "mix" in mse and simple:
            best, name = min(simple)
            share = mse["mix"] / best
            asked = f", at most {MOST - 1:+.0%} asked" if start == SINCE[0] else ""
            text = (
                f"plant, an hour ahead, {start}: MSE {mse['mix']:.3f}, {share - 1:+.1%} on {best:.3f} of {name}{asked}"
            )
            yield share <= MOST or start != SINCE[0], text


def _cells(rows: Rows) -> Iterator[tuple[str, list[str]]]:
    """A line a forecaster: mean of both features, then each, by begin of scoring."""
    found = {(row["model"], row["start"]): row for row in rows if row["protocol"] == PROTOCOL}
    for name, title in TITLES.items():
        of = [found.get((name, start)) for start in SINCE.values()]
        if None not in of:
            yield title, [_figures(row) for row in of if row is not None]


def _figures(row: Mapping[str, Any]) -> str:
    each: Sequence[float] = [row["per_feature"][name]["mse"] for name in FEATURES]
    return f"{row['mse']:.3f} ({each[0]:.2f}, {each[1]:.2f})"


def _heads() -> list[str]:
    return ["from the start" if start == "cold" else start for start in SINCE.values()]


def _show(console: Console, rows: Rows) -> None:
    table = Table("an hour ahead", *_heads())
    for title, cells in _cells(rows):
        table.add_row(title, *cells)
    console.print(table)


def plant_lines(rows: Rows) -> list[str]:
    """The tables of docs/accuracy.md; none without figures."""
    own = [row for row in rows if row["set"] == SET]
    lines = [f"| {title} | {' | '.join(cells)} |" for title, cells in _cells(own)]
    if lines:
        lines = [f"| an hour ahead | {' | '.join(_heads())} |", "|---|" + "---|" * len(SINCE), *lines, ""]
    return [*lines, *crossing_lines(own)]

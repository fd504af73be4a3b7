"""Small series in files, for trainings that take seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gaugecast.fleet import Feature, Fleet
from gaugecast.records import Float64

START = np.datetime64("2026-01-01T00:00:00")


def write_csv(path: Path, columns: Mapping[str, Float64], *, period_s: int = 60) -> Path:
    """A CSV with a column `time`, a row every `period_s`; NaN is an empty cell."""
    rows = len(next(iter(columns.values())))
    when = START + np.arange(rows) * np.timedelta64(period_s, "s")
    lines = [",".join(("time", *columns))]
    for i in range(rows):
        cells = ["" if np.isnan(c[i]) else repr(float(c[i])) for c in columns.values()]
        lines.append(",".join((str(when[i]), *cells)))
    path.write_text("\n".join(lines) + "\n")
    return path


def waves(rows: int, *, seed: int = 0) -> dict[str, Float64]:
    """Two features that hang on each other, with a little noise."""
    t = np.arange(rows)
    noise = np.random.default_rng(seed).normal(size=(2, rows))
    level = 10 + 3 * np.sin(2 * np.pi * t / 25) + 0.05 * noise[0]
    return {"level": level, "heat": 40 + 5 * np.cos(2 * np.pi * t / 25) + 0.05 * noise[1]}


def cued(rows: int, *, period: int, seed: int = 0) -> Float64:
    """Zeros, but for a cue of ±1 that begins each period, and its echo in the middle of it."""
    cues = np.random.default_rng(seed).choice([-1.0, 1.0], -(-rows // period))
    series = np.zeros(len(cues) * period)
    series[::period] = cues
    series[period // 2 :: period] = cues
    return series[:rows]


def fleet_of(*names: str, rows: str = "joint", horizon: int = 1) -> Fleet:
    """A fleet of minutes with these features."""
    return Fleet(
        name="plant",
        subscribe=("plant/{tank}",),
        stream="{tank}",
        features=tuple(Feature(name) for name in names),
        period_ns=60 * 10**9,
        rows=rows,  # type: ignore[arg-type]
        horizon=horizon,
    )

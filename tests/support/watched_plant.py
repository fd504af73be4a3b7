"""A state directory that a real daemon has written: two tanks that are watched, one of which goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.records import Float64
from gaugecast.testing import T0, LocalDaemon

CONFIG = """
[mqtt]
host = "127.0.0.1"
[storage]
directory = "{state}"
[fleet.tanks]
subscribe = ["plant/{{tank}}"]
period = "1s"
time = "$.t"
horizons = ["1s", "3s"]
[fleet.tanks.features.p]
unit = "bar"
[fleet.tanks.features.q]
[fleet.tanks.anomaly]
healthy = "80s"
settle = "5s"
{more}
"""
BREAKS, MENDED, END = 150, 190, 240


def values_of(seed: int) -> Float64:
    """Two noisy waves (END, 2); of the first seed the first lies 6 higher from BREAKS to MENDED."""
    rng = np.random.default_rng(seed)
    turn = np.arange(END) / 3
    p, q = 10.0 + np.sin(turn) + 0.2 * rng.normal(size=END), 50.0 + 2.0 * np.cos(turn) + 0.3 * rng.normal(size=END)
    p[BREAKS:MENDED] += 6.0 * (seed == 1)
    return np.stack([p, q], axis=1)


def written_config(directory: Path, name: str = "gaugecast.toml", more: str = "") -> Path:
    """The configuration, with more in its table of anomalies."""
    path = directory / name
    path.write_text(CONFIG.format(state=directory / "state", more=more))
    return path


def say(daemon: LocalDaemon, begin: int, end: int) -> list[dict[str, Any]]:
    """Both tanks speak at each of these ticks; what was told of anomalies thereupon."""
    told = []
    columns = {"a": values_of(1), "b": values_of(2)}
    for tick in range(begin, end):
        for tank, values in columns.items():
            p, q = values[tick].tolist()
            said = daemon.say(f"plant/{tank}", {"t": T0 / 1e9 + tick, "p": p, "q": q}, now_s=T0 / 1e9 + tick)
            told += [one.json() for one in said if one.topic.endswith("/anomaly") and one.body]
    return told

"""What a forecast costs, by form and size: `python -m pictures.cost docs/concepts/words.md` writes the table there."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from gaugecast.engine import Engine, engine_for
from gaugecast.testing import random_model

BEGIN = "<!-- written by `python -m pictures.cost docs/concepts/words.md` -->\n"
END = "<!-- end of the table -->\n"
UNITS = (16, 32, 64, 128)
LOOK_BACKS = (1, 24, 96)  # 1: the state is carried on, and a forecast is one step
TOGETHER = 64
ROUNDS, FOR_S = 8, 0.05


def table() -> str:
    """µs a forecast, a row for each form, a column for each size."""
    engines = {units: engine_for(random_model(units=(units,))) for units in UNITS}
    least = measured(engines)
    lines = ["| a forecast of one feature, in µs | " + " | ".join(f"{u} units" for u in UNITS) + " |",
             "|---|" + "---:|" * len(UNITS)]  # fmt: skip
    for streams, words in ((1, "one stream alone"), (TOGETHER, f"one of {TOGETHER} streams together")):
        for steps in LOOK_BACKS:
            form = "state carried on" if steps == 1 else f"look-back {steps}"
            found = [least[streams, steps, u] / streams * 1e6 for u in UNITS]
            lines.append(f"| {form}, {words} | " + " | ".join(f"{us:,.1f}" for us in found) + " |")
    state = [4 * engines[u].state_size for u in UNITS]
    lines.append("| memory of a stream's state, in bytes a feature | " + " | ".join(f"{one:,}" for one in state) + " |")
    return "\n".join(lines) + "\n"


def measured(engines: Mapping[int, Engine]) -> dict[tuple[int, int, int], float]:
    """Seconds by streams, steps and units: the least of some rounds, so that a slow moment is nobody's alone."""
    cells = [(streams, steps, units) for streams in (1, TOGETHER) for steps in LOOK_BACKS for units in UNITS]
    least = dict.fromkeys(cells, math.inf)
    for _ in range(ROUNDS):
        for streams, steps, units in cells:
            act = stepping(engines[units], steps, streams)
            least[streams, steps, units] = min(least[streams, steps, units], fastest_s(act))
    return least


def stepping(engine: Engine, steps: int, streams: int) -> Callable[[], object]:
    """So many steps from some state, of so many rows."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((steps, streams, engine.input_size), np.float32)
    state = engine.initial_state(streams)
    return lambda: engine.sequence(x, state)


def fastest_s(act: Callable[[], object]) -> float:
    """Processor time of the shortest call of some: what others do on the machine makes none shorter."""
    least, until = math.inf, time.perf_counter() + FOR_S
    while time.perf_counter() < until:
        began = time.thread_time()
        act()
        least = min(least, time.thread_time() - began)
    return least


def write(page: Path) -> None:
    """Put the table between the marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}{table()}{END}{after}")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

"""How long a cold start takes, on a fast clock: `PYTHONPATH=tests python -m learning.speed`; `docs/learning.md` has it.

The learner, the loop's pipeline and the keeper of roles as the daemon wires them, with a clock that a reading moves on
by one period. What the table leaves out is what takes the same time whatever the period is: the learner's start and
what it compiles, some 15 s; here nothing is compiled.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast import logs
from gaugecast.config.schema import Learning, Loop, Settings, Storage
from gaugecast.events import LEARNED
from gaugecast.fleet import Feature, Fleet
from gaugecast.learn import OnlineLearner
from gaugecast.learn.online import fleet_learner
from gaugecast.learn.online.process import LearnerProcess
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.store import Ledger
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.model_roles import ModelRoles
from gaugecast.pipeline import Pipeline
from gaugecast.records import Commit, Input, Order
from gaugecast.storage.models import ModelStore
from gaugecast_sim.tanks import Plant

START_NS = 1_767_225_600 * 10**9
#: (name, seconds)
PERIODS = (("1/s", 1.0), ("1/10 s", 10.0), ("1/min", 60.0), ("1/10 min", 600.0), ("1/h", 3600.0))
_MOST_STEPS = 4000


class FastPlant:
    """A ledger that grows as fast as it can be learned from; time is the readings'."""

    def __init__(self, directory: Path, period_s: float) -> None:
        self.period_s, self.now_s = period_s, 0.0
        period_ns = int(period_s * 1e9)
        self.fleet = Fleet(
            name="tanks", subscribe=("plant/{tank}",), stream="{tank}", features=(Feature("value"),),
            period_ns=period_ns, time_path=("t",), bridge=3, grace_ns=period_ns // 2,
            stale_after_ns=10**9 * 10**9, park_after_ns=10**9 * 10**9,
        )  # fmt: skip
        self.store = ModelStore(directory)
        self.ledger = Ledger.open(directory, Storage(directory=directory))
        self.pipeline = Pipeline(Loop(), self.store.load)
        table: Any = {"subscribe": ["plant/{tank}"], "period": f"{period_s:g}s", "features": {"value": {}}}
        self.settings = Settings(learning=Learning(mode="child"), fleet={"tanks": table})
        self.roles = ModelRoles(
            self.pipeline, self.store, self.settings.learning, pending=lambda _: False, engines=EngineLoader()
        )
        self.orders(Order.configuring(self.fleet))
        self.learner = LearnerProcess(
            self.settings, reader=LedgerReader(directory), restore=lambda new: (new(), 0), store=self.store,
            ask=self.ask, remember=self.store.leave_memory, seconds=lambda: self.now_s, cpu_s=lambda: 0.0,
            warm=lambda _fleet, _model: [], sleep=lambda _s: None,
        )  # fmt: skip
        self.learner.follower.begin()

    def commit(self, *inputs: Input) -> None:
        self.ledger.commit(Commit(inputs, self.pipeline.advance(inputs).verdicts, []))

    def orders(self, *orders: Order) -> None:
        for one in orders:
            self.commit(one.stamped(START_NS + int(self.now_s * 1e9)))

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["command"] == "hand_over":
            self.orders(*self.roles.hand_over("tanks", request["version"], request["role"], LEARNED))
        return {}

    def step(self, values: Mapping[str, float]) -> None:
        """One tick of all streams, and all that follows from it."""
        self.now_s += self.period_s
        at_ns = START_NS + int(self.now_s * 1e9)
        self.commit(*(Input.reading("tanks", s, at_ns, at_ns, np.array([v]).tobytes()) for s, v in values.items()))
        last, updates = -1, -1
        while (last, updates) != (last := self.learner.follower.seq, updates := self._updates()):
            self.learner.turn()
        self.orders(*self.roles.judge())

    def _updates(self) -> int:
        return sum(taught.updates_total for taught in self.learner.follower.learners.values())

    @property
    def shadow(self) -> bool:
        return self.pipeline.parts["tanks"].shadow is not None

    @property
    def in_force(self) -> bool:
        return self.pipeline.parts["tanks"].in_force is not None


def tanks(streams: int, seed: int) -> Iterator[dict[str, float]]:
    """Temperatures of simulated tanks, whose heaters' cycles take 20 to 40 steps."""
    plant = Plant(seed, streams, 1.0, time_scale=60.0)
    for tick in itertools.count(1):
        seen = plant.step(START_NS + tick * 10**9)
        yield dict(zip(plant.names, seen.temperature.tolist(), strict=True))


def waves(streams: int, seed: int) -> Iterator[dict[str, float]]:
    """Sines of 40 to 90 steps with a twentieth of noise."""
    random = np.random.default_rng(seed)
    cycle, phase = random.uniform(40, 90, streams), random.uniform(0, 6.3, streams)
    for tick in itertools.count():
        level = 20 + np.sin(2 * np.pi * tick / cycle + phase) + 0.05 * random.standard_normal(streams)
        yield {f"s{i}": float(level[i]) for i in range(streams)}


SERIES = {"tanks": tanks, "waves": waves}


def measure(series: str, streams: int, period_s: float, seed: int = 0) -> tuple[int | None, int | None]:
    """Steps until a model is in shadow, and in force; `None` where it never was."""
    with tempfile.TemporaryDirectory() as directory:
        plant, shadow = FastPlant(Path(directory), period_s), None
        for n, values in enumerate(itertools.islice(SERIES[series](streams, seed), _MOST_STEPS), 1):
            plant.step(values)
            if shadow is None and (plant.shadow or plant.in_force):
                shadow = n
            if plant.in_force:
                return shadow, n
    return shadow, None


def main() -> None:
    """Print the table."""
    logs.configure("error")
    plain = OnlineLearner
    setattr(fleet_learner, "OnlineLearner", lambda *words, **named: plain(*words, **{**named, "compiled": False}))  # noqa: B010
    for series, streams in itertools.product(SERIES, (3, 1)):
        for name, period_s in PERIODS if "--all" in sys.argv else PERIODS[:3:2]:
            shadow, force = measure(series, streams, period_s)
            told = "never" if force is None else f"{force * period_s / 60:8.1f} min ({force} steps)"
            print(f"{series:6} {streams:3} streams {name:9} shadow after {shadow} steps, in force {told}", flush=True)


if __name__ == "__main__":
    main()

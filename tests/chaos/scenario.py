"""What a chaos run consists of: load, fleet, model, broker settings, and the moments at which it kills."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gaugecast_sim.packets import LoadPlan

#: When a life ends. `boot`: at any moment after its start. `recovery`: from the moment on at which it opens its
#: ledger. `work`: after the first forecast. `checkpoint`: while one is being written. `shutdown`: after SIGTERM,
#: before its end. `stop`: not killed, but asked to stop, so that it can be held to its accounts.
Moment = Literal["boot", "recovery", "work", "checkpoint", "shutdown", "stop"]

#: Out of ten kills.
_MOMENTS: tuple[Moment, ...] = (
    *("work", "boot", "work", "recovery", "checkpoint", "work", "work", "shutdown", "work", "checkpoint"),
)
#: A life that ends in order comes after so many kills.
_STOP_EVERY = 10
#: With the first of these a checkpoint is taken several times a second, with the last the whole of a life is replayed.
_REPLAY_BUDGETS_S = (0.02, 0.1, 5.0)

#: Of tests/mutants.py, those that kills alone can show.
MUTANTS = (
    "ack_on_receipt",
    "no_dedupe",
    "publish_without_ledger",
    "no_epoch",
    "cursor_ahead",
    "no_preserve",
    "kills_blamed",
)

BROKER_CONF = "max_queued_messages 0\nmax_inflight_messages 1000\n"
UNITS = (16,)
_CROSSING = " crossing"
FLEET = "chaos"


def said_of(stream: str, *, crossing: bool) -> str:
    """What counts steps of its own: a stream's forecasts, and what is told of its crossing."""
    return f"{stream}{_CROSSING}" if crossing else stream


def is_crossing(what: str) -> bool:
    """Whether these are the steps of a stream's crossing, as `said_of` names them."""
    return what.endswith(_CROSSING)


class Life(NamedTuple):
    """How one process ends.

    Attributes:
        share: 0…1, where within the moment's span it is killed.
        checkpoint_replay_s: The daemon's setting for this life.
    """

    moment: Moment
    share: float
    checkpoint_replay_s: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run, but for the machine's own timing.

    Attributes:
        kills: Of processes; those asked to stop come on top.
        rate: Messages a second, QoS 1.
        hasty: Only kills at work; nothing else shows most faults as fast.
    """

    kills: int
    seed: int = 1
    rate: float = 1500.0
    streams: int = 48
    hasty: bool = False

    def lives(self) -> Iterator[Life]:
        """All lives but the last, which is stopped when all is done."""
        rng = random.Random(self.seed)
        for number in range(self.kills):
            if number and number % _STOP_EVERY == 0:
                yield Life("stop", rng.random(), rng.choice(_REPLAY_BUDGETS_S))
            moment = "work" if self.hasty else _MOMENTS[number % len(_MOMENTS)]
            budget_s = _REPLAY_BUDGETS_S[0] if moment == "checkpoint" else rng.choice(_REPLAY_BUDGETS_S)
            yield Life(moment, rng.random(), budget_s)

    def load_plan(self) -> LoadPlan:
        """Event times a second apart and ten days back, so that they stay in the past at any rate."""
        return LoadPlan(self.streams, (int(time.time()) - 10 * 86_400) * 10**9, qos=1)


_THRESHOLD = f"""[[fleet.{FLEET}.threshold]]
feature = "pressure"
above = 70
within = "3s"
"""


def config_text(port: int, *, ahead: bool = True) -> str:
    """The daemon's configuration, without storage and http. Nothing in it makes results depend on arrival times.

    Args:
        ahead: Whether further horizons and crossings are told; else a forecast a reading, and no more.
    """
    return f"""
[mqtt]
port = {port}
client_id = "chaos"
reconnect_max_s = 0.5

[learning]
mode = "off"

[fleet.{FLEET}]
subscribe = ["plant/load/{{stream}}/telemetry"]
time = "$.t"
period = "1s"
{'horizons = ["1s", "3s"]' if ahead else ""}
stale_after = "1d"

[fleet.{FLEET}.features.pressure]
unit = "bar"
[fleet.{FLEET}.features.temperature]
unit = "°C"
{_THRESHOLD if ahead else ""}"""

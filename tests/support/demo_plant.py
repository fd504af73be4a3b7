"""The demo's plant with a past: what a daemon would have written of it, faults included, in less time than it took."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from gaugecast.demo.tanks import FLEET_CONFIG, PERIOD_S, TIME_SCALE
from gaugecast.model import Model
from gaugecast.testing import LocalDaemon
from gaugecast_sim.faults import Fault, Kind, inject
from gaugecast_sim.publish import next_tick_ns, tank_samples
from gaugecast_sim.samples import Sample
from gaugecast_sim.tanks import Plant
from support.daemon import DaemonProcess

CONFIG = """
[loop]
skill_half_life = 120
[mqtt]
host = "127.0.0.1"
port = {port}
{more}{fleet}stale_after = "{stale_after}"
"""
_QUIET = 'client_id = "demo-plant"\nwatch_drops = false\n'


def config(port: int, *, stale_after: str = "1h", mqtt: str = _QUIET) -> str:
    """The demo's fleet, for which the package has a model, by a broker at this port.

    Args:
        stale_after: Silence is noticed after it; not soon, unless said otherwise.
        mqtt: Further keys of `[mqtt]`, a line each.
    """
    return CONFIG.format(port=port, more=mqtt, fleet=FLEET_CONFIG, stale_after=stale_after)


def said(
    steps: int, *, tanks: int, seed: int = 7, faults: Sequence[Fault] = (), ahead: int | None = 0
) -> Iterator[Sample]:
    """What all tanks say, from `steps` before now to `ahead` after it; `None` = without end."""
    begin_ns = _begin_ns(steps)
    plant = Plant(seed, tanks, PERIOD_S, time_scale=TIME_SCALE)
    count = None if ahead is None else steps + ahead
    return inject(tank_samples(plant, begin_ns, steps=count), faults, [])


def stuck(tank: str, since: int, steps: int, *, feature: str = "temperature") -> Fault:
    """A tank's value stands still from so many steps before now on, for so many."""
    begin_ns = _begin_ns(since)
    return Fault(Kind.STUCK, f"*/{tank}/*", begin_ns, begin_ns + round(steps * PERIOD_S * 1e9), 0.0, feature)


def _begin_ns(steps: int) -> int:
    return next_tick_ns(time.time_ns(), PERIOD_S) - round(steps * PERIOD_S * 1e9)


def write_past(daemon: DaemonProcess, samples: Iterable[Sample], models: Sequence[Model] = ()) -> None:
    """Into a daemon's state directory, before it is started."""
    rows = iter(samples)
    first = next(rows)
    begin_s = first.at_ns / 1e9
    with LocalDaemon.from_config(daemon.config_path, directory=daemon.state, now_s=begin_s, models=models) as local:
        for one in chain([first], rows):
            local.say(one.topic, one.payload, now_s=one.at_ns / 1e9)

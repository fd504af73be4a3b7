"""One daemon with the same fleet, broker and load as the cluster: what that is held against."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from chaos.scenario import BROKER_CONF, FLEET, UNITS
from cluster.beginning import configured, opening
from gaugecast.config import load_settings
from gaugecast.control import SOCKET_NAME, StatusQuery, call
from gaugecast.errors import Unreachable
from gaugecast.ledger.store import Ledger
from gaugecast.records import Commit, Verdict
from gaugecast.status import Status
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Sink
from support.mosquitto import run_mosquitto, wait_until


class Embedded(NamedTuple):
    """A daemon at work, its broker, what is sent to it, and who hears."""

    pid: int
    port: int
    plan: LoadPlan
    sink: Sink


@contextmanager
def daemon(directory: Path, *, streams: int, learning: bool = False) -> Iterator[Embedded]:
    """One with the fleet of `live.Site`, and its weights where nothing is learned; ended on leaving."""
    with ExitStack() as stack:
        broker = stack.enter_context(run_mosquitto(directory / "broker", conf=BROKER_CONF, log_all=False))
        config, state = directory / "gaugecast.toml", directory / "state"
        config.write_text(
            configured(broker.port, learning=learning) + f'\n[storage]\ndirectory = "{state}"\n[http]\nport = 0\n'
        )
        state.mkdir(mode=0o700)
        if not learning:
            _seed(state, config)
        sink = stack.enter_context(
            Sink("127.0.0.1", broker.port, ["gaugecast/+/+"], qos=1, record=learning, client_id="judge", clean=False)
        )
        words = [sys.executable, "-m", "gaugecast", "run", "-c", str(config)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=(directory / "daemon.log").open("wb"))
        stack.callback(_end, process)
        wait_until(
            lambda: _forecasts(state),
            what=lambda: f"the daemon at work: {(directory / 'daemon.log').read_text()[-2000:]}", deadline_s=90.0,
        )  # fmt: skip
        plan = LoadPlan(streams, (int(time.time()) - 10 * 86_400) * 10**9, qos=1)
        yield Embedded(process.pid, broker.port, plan, sink)


def _forecasts(state: Path) -> bool:
    """Whether it hears and speaks: what is sent before its first subscription nobody keeps for it."""
    try:
        return msgspec.convert(call(state / SOCKET_NAME, StatusQuery()), Status).ready
    except Unreachable:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def _seed(state: Path, config: Path) -> None:
    settings, model = load_settings(config, {}), random_model(FLEET, units=UNITS, seed=1, gain=0.05)
    ModelStore(state).add(FLEET, model)
    ledger = Ledger.open(state, settings.storage)
    inputs = opening(settings, model)
    ledger.commit(Commit(inputs, [Verdict.NONE] * len(inputs), []))
    ledger.close()

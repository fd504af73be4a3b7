"""One chaos run: broker, load, subscriber, a daemon that dies again and again, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.judge import Findings, judge
from chaos.reference import run_reference
from chaos.scenario import BROKER_CONF, FLEET, UNITS, Scenario, config_text
from chaos.stage import Stage
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.testing import random_model
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.sink import Sink
from support.daemon import DaemonProcess
from support.mosquitto import run_mosquitto
from support.seeding import seed_state


def run_chaos(
    scenario: Scenario,
    directory: Path,
    *,
    command: Sequence[str] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Run a scenario in an empty directory and judge it.

    Args:
        command: What is called instead of `gaugecast`: a mutant.
        told: Told a line after each life.
    """
    with run_mosquitto(directory / "broker", conf=BROKER_CONF, log_all=False) as broker:
        daemon = DaemonProcess(directory, config_text(broker.port), command=command)
        (fleet,) = resolve_fleets(load_settings(daemon.config_path, {}))
        model = random_model(FLEET, units=UNITS, seed=scenario.seed, gain=0.05)
        beginning = seed_state(daemon.state, fleet, model)
        plan = scenario.load_plan()
        load = LoadGenerator("127.0.0.1", broker.port, plan, rate=scenario.rate)
        heard = ["gaugecast/+/+", f"gaugecast-notices/{FLEET}/#"]
        sink = Sink("127.0.0.1", broker.port, heard, qos=1, record=True, client_id="judge", clean=False)
        with sink:
            stage = Stage(scenario, daemon, load=load, sink=sink, told=told)
            stage.play()
        seen = stage.collector.drain_all()
    findings = Findings(len(stage.kills_ns), load.sent, notes=list(stage.mishaps), mishaps=len(stage.mishaps))
    findings.unaccounted += findings.note(stage.unaccounted, "readings open in the metrics of a life")
    reference = run_reference(plan, load.sent, beginning, model)
    return judge(findings, daemon.state, reference, seen, kills_ns=stage.kills_ns, log=daemon.log_text())

"""`gaugecast backtest` as it is called: its files, its refusals, and that it says what the daemon says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from e2e.scenes import seed_model
from gaugecast.cli.main import app
from gaugecast.errors import ConfigError
from gaugecast.history import fleet_of_file, read_inputs
from gaugecast.learn.backtest.lockstep import Lockstep
from gaugecast.model import load_model
from gaugecast_sim.link import PublishLink
from gaugecast_sim.replay import ReplayPlan, replay
from support.daemon import DaemonProcess
from support.mosquitto import run_mosquitto

ROWS = 300


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hourly features in a file, a missing tick among them."""
    path = tmp_path_factory.mktemp("history") / "plant.csv"
    rng = np.random.default_rng(5)
    values = 20 + np.cumsum(rng.standard_normal((ROWS, 2)), axis=0)
    hours = [1_735_689_600 + 3600 * (i + (i >= 150)) for i in range(ROWS)]
    lines = [f"{t},{a:.6f},{b:.6f}" for t, (a, b) in zip(hours, values, strict=True)]
    path.write_text("t,flow,heat\n" + "\n".join(lines) + "\n")
    return path


def config_of(port: int) -> str:
    """The file's columns as a fleet."""
    return f"""
[mqtt]
port = {port}
[learning]
mode = "off"
[fleet.plant]
subscribe = ["in/{{site}}/t"]
time = "$.t"
period = "1h"
horizon = 2
stale_after = "1d"
[fleet.plant.features.flow]
[fleet.plant.features.heat]
"""


@pytest.fixture(scope="module")
def ran(history: Path, tmp_path_factory: pytest.TempPathFactory) -> DaemonProcess:
    """A daemon that has forecast the file from a broker with weights that stay, and has ended."""
    folder = tmp_path_factory.mktemp("daemon")
    with run_mosquitto(folder / "broker", conf="max_queued_messages 0\nmax_inflight_messages 1000\n") as broker:
        daemon = DaemonProcess(folder / "daemon", config_of(broker.port))
        seed_model(daemon)
        daemon.start()
        try:
            with PublishLink("127.0.0.1", broker.port) as link:
                assert replay(ReplayPlan(history, "in/one/t"), link).confirmed == ROWS
            daemon.wait_metric("gaugecast_forecasts_total", ROWS)
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()
    return daemon


def run_backtest(*words: str) -> str:
    """What the command prints, run in this process; whatever it raises comes through."""
    return CliRunner().invoke(app, ["backtest", *words], catch_exceptions=False).stdout


def published(daemon: DaemonProcess) -> list[bytes]:
    """The forecasts in the ledger, in order."""
    with daemon.ledger() as ledger:
        return [output.forecast for output in ledger.outputs(0, ledger.last_seq)]


def weights(daemon: DaemonProcess) -> Path:
    """Folder of the model that was in force."""
    (manifest,) = (daemon.state / "models" / "plant").glob("*/model.json")
    return manifest.parent


def test_it_forecasts_a_file_as_the_daemon_did(history: Path, ran: DaemonProcess) -> None:
    """Every published forecast, at both horizons, to the bit."""
    from gaugecast.config import load_settings, resolve_fleets

    (fleet,) = resolve_fleets(load_settings(ran.config_path, {}))
    lockstep = Lockstep(fleet, model=load_model(weights(ran)), learning=False)
    _, (made,) = lockstep.record(read_inputs(history, fleet)).courses()
    assert len(made) == ROWS
    assert [one.tobytes() for one in made] == published(ran)
    assert (made[20:, 0] != made[20:, 1]).all()  # the model speaks, and each horizon for itself


def test_a_ledger_is_history_too(history: Path, ran: DaemonProcess, tmp_path: Path) -> None:
    """Figures from the ledger are those from the file that it was fed with."""
    found = []
    for words in (["--ledger", str(ran.state)], [str(history), "-c", str(ran.config_path)]):
        out = tmp_path / "figures.json"
        options = ["--learning", "off", "--model", str(weights(ran)), "--test-rows", "100", "--train-rows", "0.5"]
        assert "persistence" in run_backtest(*words, *options, "--json", str(out))
        found.append([{k: v for k, v in row.items() if k != "set"} for row in json.loads(out.read_text())])
    assert found[0] == found[1]
    assert {(r["model"], r["horizon"]) for r in found[0]} == {
        (model, h) for model in ("lstm", "persistence", "seasonal", "rls") for h in (1, 2)
    }


@pytest.mark.keras
def test_a_file_needs_no_configuration(history: Path, tmp_path: Path) -> None:
    """Its columns and its times make the fleet; the network learns from nothing."""
    out = tmp_path / "figures.json"
    run_backtest(str(history), "--features", "heat", "--units", "4", "--json", str(out))
    first = json.loads(out.read_text())[0]
    assert (first["set"], first["model"], first["start"], first["learning"]) == ("plant", "lstm", "cold", "lockstep")
    assert list(first["per_feature"]) == ["heat"]
    assert fleet_of_file(history).period_ns == 3600 * 10**9


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "a CSV file or --ledger DIRECTORY expected"),
        (["{file}", "--ledger", "x"], "one of the two"),
        (["{file}", "--learning", "off"], "add --warm-up with --train-rows, or --model"),
        (["{file}", "--learning", "on"], "off or lockstep expected, got 'on'"),
        (["{file}", "--warm-up"], "train rows expected"),
        (["{file}", "--train-rows", "400"], "rows after 400 expected to score"),
        (["{file}", "--units", "many"], "numbers such as 64 or 64,32 expected, got 'many'"),
        (["absent.csv"], r"absent\.csv: expected a readable file"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_mend(history: Path, words: list[str], complaint: str) -> None:
    """As a wrong configuration, before anything is forecast."""
    with pytest.raises(ConfigError, match=complaint):
        run_backtest(*(word.format(file=history) for word in words))

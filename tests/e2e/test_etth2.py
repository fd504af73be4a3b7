"""A recorded transformer station, ETTh2, over a real broker as one fleet of seven features."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2e.scenes import Listener, check_books, check_messages, seed_model
from gaugecast_sim.link import PublishLink
from gaugecast_sim.replay import ReplayError, ReplayPlan, find_csv, read_rows, replay
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Mosquitto

FEATURES = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


def etth2() -> Path:
    """The file; a CI must have it, a laptop need not."""
    try:
        return find_csv("ETT/ETTh2.csv")
    except ReplayError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the ETT data set is not here: {exc}")


def config(port: int) -> str:
    """The station, hourly."""
    features = "".join(f"[fleet.ett.features.{name}]\n" for name in FEATURES)
    return f"""
[mqtt]
port = {port}
[learning]
mode = "off"
[fleet.ett]
subscribe = ["ett/{{station}}/telemetry"]
time = "$.t"
period = "1h"
horizon = 3
stale_after = "1d"
{features}"""


@pytest.mark.parametrize("rows", [600, pytest.param(17_420, marks=pytest.mark.long)])
def test_every_row_of_etth2_brings_one_valid_forecast(tmp_path: Path, broker: Mosquitto, rows: int) -> None:
    """At full speed, received by mosquitto_sub; then the ledger reproduces them all, byte for byte."""
    plan = ReplayPlan(etth2(), "ett/h2/telemetry", rows=rows)
    daemon = DaemonProcess(tmp_path / "daemon", config(broker.port))
    seed_model(daemon)
    with Listener(broker, tmp_path) as listener:
        daemon.start()
        try:
            with PublishLink("127.0.0.1", broker.port) as link:
                assert replay(plan, link).confirmed == rows
            (messages,) = check_messages(listener.wait_distinct(rows, deadline_s=120)).values()
            check_books(daemon, stepped=rows, late=0, duplicate=0, rejected=0)
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()
    assert len(messages) == rows
    for message, row in zip(messages, read_rows(plan), strict=True):
        assert message["at"] == row.at_ns / 1e9
        assert message["observed"] == row.values
        assert [h["for"] - message["at"] for h in message["horizons"]] == [3600, 7200, 10_800]
    assert {m["model"] is None for m in messages[20:]} == {False}
    found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stderr
    assert f"{rows} messages reproduced byte for byte" in found.stdout

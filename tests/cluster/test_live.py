"""A real cluster loses a partition, an ingest and a machine: what one uninterrupted process says, to the byte."""

from __future__ import annotations

import os
import re
import urllib.request
from pathlib import Path

import pytest

import cluster.guard  # before ray, which reads its settings when it is imported

pytest.importorskip("ray", reason=cluster.guard.REASON)

from cluster.commands import said
from cluster.live import Site, run, site
from support.postgres import INITDB

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(INITDB is None and not os.environ.get("CI"), reason="PostgreSQL is not installed"),
]


def hurt(one: Site) -> None:
    """Three deaths."""
    for kind, what in (
        ("partition killed", lambda: one.kill_part("partition-0")),
        ("ingest killed", lambda: one.kill_part("ingest-0")),
        ("node killed", one.kill_node),
    ):
        one.hurt(kind, what)
        one.wait_forecasts(300)


def test_a_cluster_that_is_hurt_says_what_one_process_says(tmp_path: Path) -> None:
    """Nothing lost, nothing twice, nothing that differs; first copies in order."""
    findings = run(tmp_path, hurt, partitions=2, streams=16, rate=200.0, patience_ms=3000)
    assert (findings.lost, findings.twice, findings.differing, findings.disordered) == (0, 0, 0, 0)
    assert findings.kills == 3
    assert findings.readings > 900


def test_a_cluster_is_asked_as_one_daemon_and_drained_and_ended_by_commands(tmp_path: Path) -> None:
    """Parts, metrics at one address, streams; a node that is drained has nothing left, and a stop is in order."""
    with site(tmp_path, partitions=2, streams=16, rate=100.0, patience_ms=3000) as one:
        one.begin_load()
        one.wait_whole()
        one.wait_forecasts(200)
        address, config = one.ray.address, str(one.config)
        parts = said("cluster", "status", "--address", address)
        for name in ("partition-0", "partition-1", "ingest-0", "spare-1"):
            assert name in parts
        port = re.search(r"metrics=(\d+)", (tmp_path / "cluster.log").read_text())
        assert port is not None
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/metrics", timeout=20).read().decode()
        for number in (0, 1):
            assert re.search(rf'gaugecast_readings_total{{[^}}]*partition="{number}"', metrics), metrics[:2000]
        listed = said("streams", "list", "-c", config)
        assert all(one.plan.stream_name(number) in listed for number in range(16)), listed
        assert "chaos" in said("status", "-c", config)
        node = one.parts()["partition-1"].node
        assert "partition-1" in said("cluster", "drain", node[:12], "--address", address)
        assert all(part.node != node for part in one.parts().values())
        one.wait_forecasts(100)
        assert said("cluster", "stop", "--address", address) == "asked to stop\n"
        assert one.command.wait(90) == 0

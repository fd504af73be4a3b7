"""A real cluster loses a partition, an ingest and a machine: what one uninterrupted process says, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ray")

import cluster.guard  # noqa: F401  # before ray
from cluster.live import Site, run
from support.postgres import INITDB

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed"),
]


def hurt(one: Site) -> None:
    """Three deaths."""
    for name in ("partition-0", "ingest-0"):
        one.kill_part(name)
        one.wait_forecasts(300)
    one.kill_node()
    one.wait_forecasts(300)


def test_a_cluster_that_is_hurt_says_what_one_process_says(tmp_path: Path) -> None:
    """Nothing lost, nothing twice, nothing that differs; first copies in order."""
    for place in (tmp_path, *tmp_path.parents[:2]):
        place.chmod(0o755)
    findings = run(tmp_path, hurt, partitions=2, streams=16, rate=200.0, patience_ms=3000)
    assert (findings.lost, findings.twice, findings.differing, findings.disordered) == (0, 0, 0, 0)
    assert findings.kills == 3
    assert findings.readings > 900

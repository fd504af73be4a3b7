"""Every day, on one machine: a cluster loses a partition and an ingest, and somebody writes with an old token."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import cluster.guard  # before ray, which reads its settings when it is imported

pytest.importorskip("ray", reason=cluster.guard.REASON)

from cluster.live import Site, run
from support.postgres import INITDB

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.timeout(420),
    pytest.mark.skipif(INITDB is None and not os.environ.get("CI"), reason="PostgreSQL is not installed"),
]
#: An answer may take so long where other tests use the processors, too: a node that is slow is not lost.
_PATIENT_MS = 5000


def hurt(one: Site) -> None:
    """Who takes a place need not stand by for it: that only saves time."""
    one.kill_part("partition-0")
    one.wait_forecasts(60)
    one.kill_part("ingest-0")
    one.wait_forecasts(60)
    one.write_with_old_token(1)
    one.wait_forecasts(60)


def test_a_small_cluster_that_is_hurt_says_what_one_process_says(tmp_path: Path) -> None:
    """Nothing lost, nothing twice, nothing that differs by a byte; first copies in order, the old token refused."""
    findings = run(tmp_path, hurt, partitions=2, streams=16, rate=60.0, patience_ms=_PATIENT_MS, workers=0)
    assert (findings.lost, findings.twice, findings.differing, findings.disordered) == (0, 0, 0, 0), findings.notes
    assert (findings.kills, findings.fenced) == (3, 1)
    assert findings.readings > 200

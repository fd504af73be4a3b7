"""Every day, on one machine: a cluster loses a partition and an ingest, and somebody writes with an old token."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import cluster.guard

pytest.importorskip("psycopg")

from cluster.judging import Findings
from support.postgres import INITDB

_TESTS = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.timeout(420),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason=cluster.guard.REASON),
    pytest.mark.skipif(INITDB is None and not os.environ.get("CI"), reason="PostgreSQL is not installed"),
]


def test_a_small_cluster_that_is_hurt_says_what_one_process_says(tmp_path: Path) -> None:
    """Nothing lost, nothing twice, nothing that differs by a byte; first copies in order, the old token refused."""
    path = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [sys.executable, "-m", "cluster.daily", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, timeout=400, check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    findings = msgspec.json.decode(done.stdout, type=Findings)
    assert (findings.lost, findings.twice, findings.differing, findings.disordered) == (0, 0, 0, 0), findings.notes
    assert (findings.kills, findings.fenced) == (3, 1)
    assert findings.readings > 200

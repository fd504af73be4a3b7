"""A partition that learns on Ray: its ledger in PostgreSQL, taken again, says what was published, to the byte."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import cluster.guard  # before ray, which reads its settings when it is imported

pytest.importorskip("ray", reason=cluster.guard.REASON)
pytest.importorskip("tensorflow")

from cluster.commands import said
from cluster.lessons import handovers
from cluster.live import site
from support.mosquitto import wait_until
from support.postgres import INITDB

pytestmark = [
    pytest.mark.long,
    pytest.mark.keras,
    pytest.mark.timeout(600),
    pytest.mark.skipif(INITDB is None and not os.environ.get("CI"), reason="PostgreSQL is not installed"),
]


def test_the_ledger_of_a_partition_that_learns_is_replayed_to_the_byte(tmp_path: Path) -> None:
    """Versions that were handed over stand in it as events, their weights as rows; `gaugecast replay` needs no more."""
    with site(tmp_path, partitions=1, streams=12, rate=144.0, patience_ms=5000, workers=0, learning=True) as one:
        one.begin_load()
        wait_until(lambda: min(handovers(one)) >= 2, what=one.log_tail, deadline_s=240.0)
        one.wait_forecasts(300)
        one.finish()
        config = tmp_path / "partition-0.toml"
        schema = f'[storage]\npostgres_schema = "{one.place.part(0).schema}"'
        config.write_text(one.config.read_text().replace("[storage]", schema).replace("/unused", "/elsewhere"))
        told = json.loads(said("replay", "-c", str(config), "--json"))
        assert (told["from_seq"], told["differing"], told["elsewhere"]) == (0, 0, False)
        assert told["outputs"] >= one.load.sent

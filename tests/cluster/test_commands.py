"""`gaugecast cluster`: what it refuses, and what it shows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

import cluster.guard  # before ray, which reads its settings when it is imported

pytest.importorskip("ray", reason=cluster.guard.REASON)

from gaugecast.cli.cluster import _hears, partitions_told, render_parts
from gaugecast.cli.main import app
from gaugecast.cluster.ingesting import IngestStatus
from gaugecast.cluster.learning import LearnerStatus
from gaugecast.cluster.ray.parts import PartStatus
from gaugecast.cluster.ray.spares import spares_wanted
from gaugecast.cluster.ray.start import check_guarded
from gaugecast.errors import ConfigError
from gaugecast.status import Status
from test_status import screen


def test_machines_that_others_reach_need_a_token() -> None:
    """Whoever reaches Ray's ports could run code there; on this machine alone nobody does."""
    check_guarded(["127.0.0.1"], {})
    check_guarded(["192.0.2.7"], {"RAY_AUTH_MODE": "token"})
    with pytest.raises(ConfigError, match=r"192\.0\.2\.7 can be reached by other machines; set RAY_AUTH_MODE=token"):
        check_guarded(["127.0.0.1", "192.0.2.7"], {"RAY_AUTH_MODE": "disabled"})


def test_a_cluster_without_a_database_is_refused(tmp_path: Path) -> None:
    """Before anything is begun."""
    file = tmp_path / "gaugecast.toml"
    file.write_text('[fleet.tanks]\nsubscribe = ["a/{t}"]\nperiod = "1s"\n[fleet.tanks.features.p]\n')
    said = CliRunner().invoke(app, ["cluster", "run", "-c", str(file)])
    assert isinstance(said.exception, ConfigError)
    assert "[storage] postgres" in str(said.exception)


def test_parts_are_shown_with_their_places_and_partitions_as_daemons() -> None:
    """What each does, or that it does not answer, in 80 columns; ingests stand in the upper table only."""
    well = msgspec.to_builtins(Status(recovered=1.0))
    hears = msgspec.to_builtins(IngestStatus(name="ingest-0", connected=True, acked_total=12_345, waiting=6))
    lessons = msgspec.to_builtins(LearnerStatus(fleet="boiler", handovers_total=3, lag_s=0.4))
    parts = [
        PartStatus(name="partition-0", node="ab" * 20, pid=7, replaced=2, told=well),
        PartStatus(name="partition-1"),
        PartStatus(name="ingest-0", node="cd" * 20, pid=8, told=hears),
        PartStatus(name="ingest-1", node="cd" * 20, pid=9, told={**hears, "connected": False, "error": "refused"}),
        PartStatus(name="learner-boiler", node="cd" * 20, pid=1234567, told=lessons),
        PartStatus(name="spare-1", node="cd" * 20, pid=10, told={}),
        PartStatus(name="spare-2", node="ab" * 20, told={}),
    ]
    told = partitions_told(parts)
    assert [one.name for one in told] == ["partition-0", "partition-1"]
    text = screen(render_parts(parts, told), width=80)
    assert "abababababab" in text
    for words in ("does not answer", "hears; 12,345 acked, 6 wait", "refused", "3 handed over", "stands by", "begins"):
        assert words in text, words
    assert text.count("ingest-0") == 1
    assert max(map(len, text.splitlines())) <= 80
    assert [_hears(part) for part in parts] == [True, True, True, False, True, True, True]


@pytest.mark.parametrize(
    ("partitions", "ingests", "nodes", "wanted"),
    [(2, 1, 1, 1), (4, 1, 3, 2), (2, 1, 3, 1), (16, 3, 8, 1), (8, 1, 2, 5)],
)
def test_so_many_stand_by_as_a_lost_machine_needs(partitions: int, ingests: int, nodes: int, wanted: int) -> None:
    """All parts of the fullest one on the others at once; one process for a machine that is alone."""
    assert spares_wanted(partitions=partitions, ingests=ingests, nodes=nodes) == wanted

"""`gaugecast cluster`: what it refuses, and what it shows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

import cluster.guard  # noqa: F401  # before ray, which reads its settings when it is imported

pytest.importorskip("ray")

from gaugecast.cli.cluster import partitions_told, render_parts
from gaugecast.cli.main import app
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
    """One that does not answer is said not to; ingests stand in the upper table only."""
    well = msgspec.to_builtins(Status(recovered=1.0))
    parts = [
        PartStatus(name="partition-0", node="ab" * 20, pid=7, replaced=2, told=well),
        PartStatus(name="partition-1"),
        PartStatus(name="ingest-0", node="cd" * 20, pid=8, told=well),
    ]
    told = partitions_told(parts)
    assert [one.name for one in told] == ["partition-0", "partition-1"]
    text = screen(render_parts(parts, told), width=120)
    assert "abababababab" in text
    assert "does not answer" in text
    assert text.count("ingest-0") == 1


@pytest.mark.parametrize(
    ("partitions", "ingests", "nodes", "wanted"),
    [(2, 1, 1, 1), (4, 1, 3, 2), (2, 1, 3, 1), (16, 3, 8, 1), (8, 1, 2, 5)],
)
def test_so_many_stand_by_as_a_lost_machine_needs(partitions: int, ingests: int, nodes: int, wanted: int) -> None:
    """All parts of the fullest one on the others at once; one process for a machine that is alone."""
    assert spares_wanted(partitions=partitions, ingests=ingests, nodes=nodes) == wanted

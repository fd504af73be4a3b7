"""A partition at work over PostgreSQL, without Ray: what it takes, how it is asked, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("psycopg")

from gaugecast import control, events
from gaugecast.batch import Inputs
from gaugecast.cluster.batches import Batch, pack
from gaugecast.cluster.partition import PartitionHome
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.reader import PostgresReader
from gaugecast.cluster.routing import Piece
from gaugecast.config import load_settings
from gaugecast.errors import CommandRefused, Fenced
from gaugecast.lessons import LearningStatus
from gaugecast.model.weights import MANIFEST_NAME, WEIGHTS_NAME, save_model
from gaugecast.status import Status
from gaugecast.testing import random_model, reading
from support.mosquitto import free_port, wait_until
from support.postgres import Postgres

_PATIENCE_S = 30.0


class Partition:
    """One process's part of it, and how it ended."""

    def __init__(self, plan: Plan, scratch: Path) -> None:
        scratch.mkdir()
        self.ends: list[BaseException | None] = []
        self.home = PartitionHome(plan, 0, scratch=scratch, ended=self.ends.append)
        assert self.home.warm.wait(_PATIENCE_S)

    def begin(self) -> None:
        """Take the token."""
        self.home.begin()
        assert self.home.ready.wait(_PATIENCE_S)

    def take(self, number: int, *, token: int = 1) -> bool:
        """A batch with one reading."""
        inputs = Inputs.of([reading(float(10 * token + number), 1.0 + number, stream="a")])
        return self.home.deliver(Batch("ingest-0", token, number, pack([Piece(inputs, [])])), patience_s=_PATIENCE_S)


@pytest.fixture
def plan(postgres: Postgres, tmp_path: Path) -> Plan:
    """One partition that learns; no broker is there, which a ledger does not need."""
    place, file = postgres.new_place(), tmp_path / "gaugecast.toml"
    file.write_text(
        f'[mqtt]\nport = {free_port()}\n[storage]\npostgres = "{place.url}"\npostgres_schema = "{place.schema}"\n'
        '[fleet.tanks]\nsubscribe = ["tank/{tank}"]\nperiod = "1s"\ntime = "$.t"\n[fleet.tanks.features.p]\n'
    )
    return replace(Plan.of([load_settings(file, {})], 1), learning=LearningStatus(mode="child"))


@pytest.fixture
def homes(plan: Plan, tmp_path: Path) -> Iterator[tuple[Partition, Partition]]:
    """One that works, and its successor, warm."""
    with ExitStack() as stack:
        made = []
        for name in ("first", "second"):
            made.append(Partition(plan, tmp_path / name))
            stack.callback(made[-1].home.stop)
            if name == "first":
                made[-1].begin()
        yield made[0], made[1]


def test_weights_and_batches_outlive_a_partition_that_is_replaced(
    plan: Plan, homes: tuple[Partition, Partition], tmp_path: Path
) -> None:
    """What was learned is an event in its ledger; the successor has it, knows what was taken, and fences the first."""
    first, second = homes
    assert first.take(1)
    assert first.take(1), "the same batch is answered, not taken again"
    status = msgspec.convert(first.home.ask(control.StatusQuery()), Status)
    assert status.fleets.keys() >= {"tanks"}
    model = random_model("tanks", [("p", "forecast")], units=(4,), seed=1)
    save_model(model, tmp_path / "model")
    files = {name: (tmp_path / "model" / name).read_bytes() for name in (WEIGHTS_NAME, MANIFEST_NAME)}
    first.home.take_weights("tanks", files, [])
    assert first.take(2)
    with PostgresReader(Place.of(plan.settings.storage).part(0)) as reader:
        told = [event for _, _, event in reader.events() if isinstance(event, events.ModelInstalled)]
        assert [(one.role, one.version, one.reason) for one in told] == [
            ("shadow", model.manifest.version, events.LEARNED)
        ]
        assert reader.last_seq > 0
    second.begin()
    assert second.take(2), "its predecessor has it"
    assert second.take(3)
    roles = second.home.ask(control.ModelsQuery())["fleets"]["tanks"]["roles"]
    assert roles["shadow"]["version"] == model.manifest.version
    with pytest.raises(CommandRefused, match="expected, there is none"):
        second.home.ask(control.RollBack(fleet="tanks"))
    first.home.deliver(Batch("ingest-0", 1, 3, pack([Piece(Inputs.of([reading(99.0, 1.0)]), [])])), patience_s=0.0)
    wait_until(lambda: bool(first.ends), what="the end of who was replaced", deadline_s=_PATIENCE_S)
    assert isinstance(first.ends[0], Fenced)

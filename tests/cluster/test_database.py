"""What a cluster asks of its database before anything begins, and how it is told what is wrong there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("psycopg")

import psycopg

from gaugecast.cluster.database import check_database
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres.connection import meaning
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.routing import Routing, slots_of
from gaugecast.config import load_settings
from gaugecast.errors import ConfigError, StorageBusy, StorageError
from gaugecast.records import Commit, Input, Order, Refused, Verdict
from gaugecast.service.opening import look_up, open_past
from gaugecast.service.replaying import replay_ledger
from gaugecast.testing import reading
from support.mosquitto import free_port
from support.postgres import Postgres

FLEET = '[fleet.tanks]\nsubscribe = ["tank/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.p]\n'


def plan_of(directory: Path, place: Place, partitions: int) -> Plan:
    """Of one file."""
    file = directory / "plant.toml"
    file.write_text(f'[storage]\npostgres = "{place.url}"\npostgres_schema = "{place.schema}"\n{FLEET}')
    return Plan.of([load_settings(file, {})], partitions)


def test_another_number_of_partitions_than_the_ledgers_have_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    """Before any process begins, in words of the command line; and the same number is not."""
    place = postgres.new_place()
    for _ in range(2):
        check_database(plan_of(tmp_path, place, 3))
    with pytest.raises(
        ConfigError, match=r"^--partitions: expected 3, .*, got 2; .*plant\.toml: \[storage\] postgres_s"
    ):
        check_database(plan_of(tmp_path, place, 2))


@pytest.mark.parametrize(
    ("was", "becomes", "mend"),
    [
        ("gaugecast@", "stranger@", "createuser"),
        ("/postgres", "/nowhere", "createdb"),
        ("127.0.0.1", "nowhere.invalid", r"mend the host in \[storage\] postgres"),
        ("PORT", "", "start the server, or mend host and port"),
    ],
)
def test_a_database_that_lets_nobody_in_is_named_with_file_key_and_mend(
    postgres: Postgres, tmp_path: Path, was: str, becomes: str, mend: str
) -> None:
    """Whatever is wrong; it may pass, so that a service manager tries again."""
    place = postgres.new_place()
    url = place.url.replace(was, becomes) if was != "PORT" else place.url.replace(str(postgres.port), str(free_port()))
    with pytest.raises(StorageBusy, match=rf"plant\.toml: \[storage\] postgres: .*; .*{mend}"):
        check_database(plan_of(tmp_path, Place(url, place.schema), 2))


def test_of_a_password_it_is_told_where_it_belongs() -> None:
    """It is in no configuration, so that one would look for a key in vain."""
    said = meaning(psycopg.OperationalError('FATAL:  password authentication failed for user "g"'), Place("", "s"))
    assert isinstance(said, StorageBusy)
    assert "the file that PGPASSFILE, or passfile=" in str(said)


def test_leases_lie_in_the_database_of_the_first_file(tmp_path: Path) -> None:
    """Whatever the files of other ingests say: `gaugecast split` gives each part a schema of its own."""
    files = []
    for number in (1, 2):
        file = tmp_path / f"part-{number}.toml"
        storage = f'[storage]\npostgres = "postgresql:///x"\npostgres_schema = "s{number}"\n'
        text = FLEET.replace("tank/", f"tank{number}/")
        file.write_text(f'[mqtt]\nclient_id = "c{number}"\n{storage}{text}')
        files.append(load_settings(file, {}))
    ingests = Plan.of(files, 2).ingests
    assert [one.settings.storage.postgres_schema for one in ingests] == ["s1", "s1"]
    assert [Path(one.settings.source).name for one in ingests] == ["part-1.toml", "part-2.toml"]


def test_a_daemon_s_ledger_becomes_no_cluster_s(postgres: Postgres, tmp_path: Path) -> None:
    """It would not be read any more; whatever it has by now."""
    place = postgres.new_place()
    ledger = PostgresLedger.open(place, plan_of(tmp_path, place, 1).settings.storage)
    ledger.commit(Commit([Input.timer(1)], [Verdict.NONE], []))
    ledger.close()
    with pytest.raises(ConfigError, match=r"postgres_schema: .* has the ledger of a single daemon"):
        check_database(plan_of(tmp_path, place, 1))


def test_a_cluster_s_schema_is_no_ledger_and_its_past_is_that_of_all_partitions(
    postgres: Postgres, tmp_path: Path
) -> None:
    """A replay of it would find nothing to differ; who shows the past of a stream finds it in whichever it is."""
    place = postgres.new_place()
    plan = plan_of(tmp_path, place, 2)
    storage = plan.settings.storage.model_copy(update={"directory": tmp_path / "state"})
    check_database(plan)
    routing = Routing(2)
    several = [f"t{number}" for number in range(0, 4000, 7)]
    names = sorted({routing.partition_of("tanks", name): name for name in several}.values())
    for number in (0, 1):
        ledger = PostgresLedger.open(place.part(number), storage, slots=slots_of(number, 2))
        inputs = [Order.configuring(plan.fleets[0]).stamped(1)]
        mine = [name for name in names if routing.partition_of("tanks", name) == number]
        assert len(mine) == 1
        inputs += [reading(100.0 + number, 1.5, stream=name) for name in mine]
        refused = [Refused(7 + number, "tanks", mine[0], "tank/x", "not_json", "", b"?")]
        ledger.commit(Commit(inputs, [Verdict.NONE, *[Verdict.STEPPED] * len(mine)], [], refused=refused))
        ledger.close()
    with pytest.raises(
        StorageError, match=r"is that of a cluster, .*_p0000 to .*_p0001: say in \[storage\] postgres_s"
    ):
        replay_ledger(look_up(storage), plan.settings.loop)
    with closing(open_past(storage.directory)) as past:
        assert past.stream_names() == [("tanks", name) for name in names]
        pages = [page for name in names for page in past.history("tanks", name)]
        assert [len(page.readings) for page in pages] == [1] * len(names)
        assert [row.received_at_ns for row in past.quarantined(5)] == [8, 7]
        assert past.last_seq == len(names) + 2
        assert [name for _, name, _ in past.events()] == ["tanks"]
        assert past.size_bytes > 0
        assert (past.told(), past.renew()) == ([], False)

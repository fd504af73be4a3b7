"""What a cluster asks of its database before anything begins, and how it is told what is wrong there."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("psycopg")

import psycopg

from gaugecast.cluster.database import check_database
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres.connection import meaning
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.routing import slots_of
from gaugecast.config import load_settings
from gaugecast.errors import ConfigError, StorageBusy
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
    plan = plan_of(tmp_path, place, 3)
    check_database(plan)
    PostgresLedger.open(place.part(0), plan.settings.storage, slots=slots_of(0, 3)).close()
    check_database(plan)
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

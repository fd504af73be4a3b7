"""The ledger in PostgreSQL: one writer at a time, nothing lost or twice through kills and restarts, on any machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gaugecast.cluster.postgres import fence
from gaugecast.cluster.postgres import ledger as ledger_module
from gaugecast.cluster.postgres.checkpoints import CheckpointRows, bring_down
from gaugecast.cluster.postgres.connection import numbered
from gaugecast.cluster.postgres.lease import Lease
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.models import ModelRows
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.reader import PostgresReader, oldest_input
from gaugecast.cluster.postgres.world import postgres_ports
from gaugecast.config.schema import Loop, Storage
from gaugecast.errors import ConfigError, Defect, ExitCode, Fenced, StorageBusy, StorageError
from gaugecast.fleet import Fleet
from gaugecast.ledger.rows import Committed
from gaugecast.loop.core import Ports
from gaugecast.model import Model
from gaugecast.records import Commit, Refused
from gaugecast.service.replaying import replay_ledger
from gaugecast.storage import checkpoints, whereabouts
from gaugecast.storage.checkpoint_format import Chunk
from gaugecast.storage.checkpoint_writer import InlineCheckpointWriter
from gaugecast.storage.models import ModelStore
from gaugecast.storage.whereabouts import Elsewhere
from gaugecast.testing import T0, LocalDaemon, MemoryLink, Published, fleet_of, model_for
from ledger_rows import micro_batch
from mutants import applied
from support.postgres import Postgres


@pytest.fixture
def place(postgres: Postgres) -> Place:
    """A schema that nobody has used."""
    return postgres.new_place()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was away is called again with each question."""
    monkeypatch.setattr(ledger_module, "_CALL_S", 0.0)


class OnPostgres(LocalDaemon):
    """The shipped core over a schema; its state directory holds nothing that it could not do without."""

    def __init__(self, place: Place, *fleets: Fleet, directory: Path, models: tuple[Model, ...] = ()) -> None:
        self.place = place
        super().__init__(*fleets, directory=directory, models=models)

    def _ports(self) -> Ports:
        storage, clock, place = self._setup.storage, self.clock, self.place
        whereabouts.note(storage.directory, Elsewhere(place.url, place.schema))
        self.ledger = PostgresLedger.open(place, storage)

        def dial(_wanted: object, _forget: object, resumed: bool) -> MemoryLink:
            self._link = MemoryLink(self.broker, clock, resumed=resumed)
            return self._link

        def oldest() -> int:
            return oldest_input(place)

        rows = CheckpointRows(place, lambda: self.ledger.token, oldest_input=oldest, most_bytes=1 << 30)
        return replace(
            postgres_ports(self.ledger, storage, self._notes, dial=dial),
            writer=lambda: InlineCheckpointWriter(storage.directory, storage, oldest, kept=rows.keep),
            shipped=lambda _: None, wall=clock.wall, elapsed=clock.elapsed, monotonic=clock.monotonic,
        )  # fmt: skip


def seqs_of(place: Place) -> list[int]:
    """Of all inputs that are there, in the order in which a replay has them."""
    with PostgresReader(place) as reader:
        return [batch.first_seq + i for batch in reader.replay(0) for i in range(len(batch.inputs))]


# -- one writer at a time


def test_whoever_opens_it_next_is_the_one_who_writes(place: Place) -> None:
    """The one before is told so by whatever it wants to write, and nothing of it is kept."""
    before = PostgresLedger.open(place, Storage())
    before.commit(Commit(*micro_batch(0, 2)))
    after = PostgresLedger.open(place, Storage())
    assert (before.token, after.token) == (1, 2)
    for write in (
        lambda: before.commit(Commit(*micro_batch(2, 2))),
        lambda: before.prune(0),
        before.begin_run,
        before.end_run,
    ):
        before._failed = None  # each by itself: after one, no other is tried
        with pytest.raises(Fenced, match="token 1 to be the newest, got 2"):
            write()
    assert Fenced.exit_code is ExitCode.FENCED
    assert after.commit(Commit(*micro_batch(2, 3))) == Committed(3, 5, 3, 5)
    assert seqs_of(place) == [1, 2, 3, 4, 5]


def test_a_writer_that_stands_still_within_a_commit_does_not_keep_its_successor_out(place: Place) -> None:
    """Its session is ended by the server, so that its rows never were; it is told when it goes on."""
    stopped = PostgresLedger.open(place, Storage())
    stopped._session.script("SET idle_in_transaction_session_timeout = '200ms'")
    with pytest.raises(StorageBusy), stopped._transaction():  # noqa: PT012
        stopped._connection.execute("INSERT INTO aside VALUES (7)")
        after = PostgresLedger.open(place, Storage())  # waits until the other's session has ended
        stopped._connection.execute("INSERT INTO aside VALUES (8)")
    assert after._connection.execute("SELECT count(*) FROM aside").fetchone() == (0,)
    stopped._call_at_s = 0.0
    with pytest.raises(Fenced):
        stopped.commit(Commit(*micro_batch(0, 1)))


def test_without_the_check_of_the_token_two_write_at_once(place: Place) -> None:
    """What the check is worth: rows of both, and the second does not even know."""
    with applied("no_token_check"):
        before = PostgresLedger.open(place, Storage())
        PostgresLedger.open(place, Storage())
        before.commit(Commit(*micro_batch(0, 1)))
    assert seqs_of(place) == [1]


def test_a_successor_reads_before_it_takes_over(place: Place) -> None:
    """It writes nothing before it has a token, and has one that is newer then."""
    before = PostgresLedger.open(place, Storage())
    warm = PostgresLedger.open(place, Storage(), acquire=False)
    before.commit(Commit(*micro_batch(0, 3)))
    assert len(list(warm.replay(0))) == 1
    with pytest.raises(Defect, match="acquire"):
        warm.commit(Commit(*micro_batch(3, 1)))
    warm.acquire()
    assert (warm.token, warm.last_seq) == (2, 3)
    assert warm.commit(Commit(*micro_batch(3, 1))).first_seq == 4


def test_a_partition_that_is_warm_before_it_takes_the_token_notes_its_slots_with_it(place: Place) -> None:
    """In a schema where nobody has written yet, as well."""
    ledger = PostgresLedger.open(place, Storage(), slots=range(8), acquire=False)
    ledger.acquire()
    assert (ledger.noted("slots_from"), ledger.noted("slots_to")) == (0, 8)
    ledger.close()
    with pytest.raises(ConfigError, match="slots 0…7"):
        PostgresLedger.open(place, Storage(), slots=range(9), acquire=False)


def test_the_slots_of_a_partition_hold_for_as_long_as_its_ledger(place: Place) -> None:
    """Others' rows would be taken for its own."""
    PostgresLedger.open(place, Storage(), slots=range(2048)).close()
    PostgresLedger.open(place, Storage(), slots=range(2048)).close()
    with pytest.raises(ConfigError, match="slots 0…2047 that its rows are of, got 0…1023"):
        PostgresLedger.open(place, Storage(), slots=range(1024))
    assert (place.part(3).schema, place.part(3).url) == (f"{place.schema}_p0003", place.url)


def test_a_lease_is_held_until_another_takes_it(place: Place) -> None:
    """By name; those of others are not touched."""
    first, other = Lease.acquire(place, "ingest-0"), Lease.acquire(place, "ingest-1")
    assert first.holds()
    second = Lease.acquire(place, "ingest-0")
    assert [lease.holds() for lease in (first, second, other)] == [False, True, True]
    for lease in (first, second, other):
        lease.close()
    assert other.holds(), "asks again over a session of its own"
    other.close()


def test_a_number_is_noted_with_the_commit_that_it_belongs_to(place: Place) -> None:
    """Neither before it nor without it."""
    ledger = PostgresLedger.open(place, Storage())
    ledger.note("batch", 7)
    assert ledger.noted("batch") == 0
    with pytest.raises(Defect):
        ledger.commit(Commit(*micro_batch(0, 1)[:2], [micro_batch(0, 1)[2][0]._replace(cause=9)]))
    assert ledger.noted("batch") == 0
    ledger.commit(Commit(*micro_batch(0, 1)))
    assert (ledger.noted("batch"), PostgresLedger.open(place, Storage()).noted("batch")) == (7, 7)


# -- a server that goes and comes

CRASH = """
import os, sys
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.place import Place
from gaugecast.config.schema import Storage
from gaugecast.records import Commit
from ledger_rows import micro_batch

armed = False
def faults(point):
    if armed and point == sys.argv[3]:
        os.kill(os.getpid(), 9)
ledger = PostgresLedger.open(Place(sys.argv[1], sys.argv[2]), Storage(), faults=faults)
ledger.commit(Commit(*micro_batch(0, 2)))
armed = True
ledger.commit(Commit(*micro_batch(2, 400)))
os._exit(3)
"""


@pytest.mark.parametrize(("point", "durable"), [("commit:inserted", False), ("commit:after", True)])
def test_a_writer_that_is_killed_leaves_all_of_a_commit_or_nothing(place: Place, point: str, durable: bool) -> None:
    """Within its transaction nothing is there, after it everything; and the next process goes on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    died = subprocess.run(
        [sys.executable, "-c", CRASH, place.url, place.schema, point], env=environment, timeout=60, check=False
    )
    assert died.returncode == -signal.SIGKILL
    ledger = PostgresLedger.open(place, Storage())
    assert ledger.last_seq == ledger.last_position == (402 if durable else 2)
    ledger.commit(Commit(*micro_batch(402 if durable else 2, 3)))
    assert seqs_of(place) == list(range(1, (405 if durable else 5) + 1))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("came_through", [True, False])
def test_a_commit_whose_answer_is_lost_is_written_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, came_through: bool
) -> None:
    """The caller commits the same again, and gets the numbers of the first; what was confirmed since is noted."""
    ledger = PostgresLedger.open(place, Storage())
    ledger.commit(Commit(*micro_batch(0, 2)))
    again = Commit(*micro_batch(2, 3), refused=[Refused(T0, "tanks", "a", "in/a", "not_json", "", b"\0")])

    def cut(self: PostgresLedger) -> None:
        self._doubt = ledger_module._Doubt(self._xid, self._heads, self._committing)
        if came_through:
            self._session.execute("COMMIT")
        self._session.close()
        self._session.execute("COMMIT")

    with monkeypatch.context() as patch, pytest.raises(StorageBusy):  # noqa: PT012
        patch.setattr(PostgresLedger, "_end", cut)
        ledger.note("batch", 5)
        ledger.commit(again)
    assert ledger.commit(replace(again, confirmed=2)) == Committed(3, 5, 3, 5)
    assert (ledger.confirmed, ledger.noted("batch"), ledger.quarantine_count) == (2, 5, 1)
    assert ledger.commit(Commit(*micro_batch(5, 1))) == Committed(6, 6, 6, 6)
    assert seqs_of(place) == [1, 2, 3, 4, 5, 6]


def test_while_the_server_is_away_it_is_called_once_a_second_and_the_rest_is_told_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports go on with what was known, nothing is published out of the ledger, a reader says that it cannot."""
    ledger = PostgresLedger.open(place, Storage())
    ledger.commit(Commit(*micro_batch(0, 2), refused=[Refused(T0, "tanks", "a", "in/a", "not_json", "\0", b"")]))
    known = (ledger.quarantine_count, ledger.refused_count, ledger.size_bytes)
    assert (known[0], ledger.quarantined(1)[0].detail) == (1, "�")
    calls: list[Place] = []

    def refuse(place: Place, **_: object) -> None:
        calls.append(place)
        raise StorageBusy("away")

    monkeypatch.setattr(ledger_module, "PostgresConnection", refuse)
    now_s = 100.0
    ledger._monotonic = lambda: now_s
    ledger._session.close()
    for _ in range(3):
        with pytest.raises(StorageBusy):
            ledger.commit(Commit(*micro_batch(2, 1)))
    assert len(calls) == 1
    assert (ledger.pending(0, 10), ledger.refused_outputs(0, 10)) == ([], [])
    assert (ledger.quarantine_count, ledger.refused_count, ledger.size_bytes) == known
    now_s += 1.0
    with pytest.raises(StorageBusy):
        ledger.prune(0)
    assert len(calls) == 2


@pytest.mark.usefixtures("at_once")
def test_a_server_that_is_restarted_under_load_costs_nothing_but_time(
    postgres: Postgres, place: Place, tmp_path: Path
) -> None:
    """The core holds: the same rows again, nothing acked or read; then it goes on, as if nothing had been."""
    fleet = fleet_of("p")
    with LocalDaemon(fleet, directory=tmp_path / "a") as undisturbed:
        expected = [one for s in range(60) for one in undisturbed.say("tank/a", {"t": T0 / 1e9 + s, "p": 1.0 * s})]
    with OnPostgres(place, fleet, directory=tmp_path / "b") as daemon:
        said: list[Published] = []
        for second in range(60):
            if second in (20, 40):
                with postgres.away(by=signal.SIGINT if second == 20 else signal.SIGQUIT):
                    daemon.broker.take("tank/a", b'{"t": %f, "p": %f}' % (T0 / 1e9 + second, second))
                    for _ in range(5):
                        daemon.core.turn()
                    assert (daemon.core.loop.holding, daemon.core.loop.degraded) == (True, {"storage_busy"})
                    assert (daemon.core.link.subscriber.connected, len(daemon.broker._in_flight)) == (True, 1)
            said += daemon.say("tank/a", {"t": T0 / 1e9 + second, "p": 1.0 * second})
        assert [without_lineage(one) for one in said] == [without_lineage(one) for one in expected]
        assert daemon.broker.idle
    assert replay_ledger(tmp_path / "b", Loop()).differing == 0


def without_lineage(one: Published) -> tuple[str, dict[str, object]]:
    """What is told, but for the name of the ledger."""
    told = one.json()
    told.pop("lineage")
    return one.topic, told


# -- any machine


def test_another_machine_goes_on_from_the_rows(place: Place, tmp_path: Path) -> None:
    """Checkpoint and weights come out of the database; the forecasts are those that the first would have made."""
    fleet = fleet_of("p")
    model = model_for(fleet)
    with OnPostgres(place, fleet, directory=tmp_path / "a", models=(model,)) as one:
        ModelRows(tmp_path / "a", place, lambda: one.ledger.token).add("tanks", model)
        for second in range(20):
            one.say("tank/a", {"t": T0 / 1e9 + second, "p": 1.0 * second})
    with OnPostgres(place, fleet, directory=tmp_path / "b") as other:
        assert (other.core.recovered.from_seq > 0, other.core.recovered.inputs) == (True, 0)
        (said,) = other.say("tank/a", {"t": T0 / 1e9 + 20, "p": 20.0})
        assert said.json()["step"] == 21
        in_force = other.core.pipeline.parts["tanks"].in_force
        assert in_force is not None
        assert in_force.version == model.manifest.version
    assert replay_ledger(tmp_path / "b", Loop()).differing == 0


def writer_of(place: Place, directory: Path, token: Callable[[], int], *, oldest: int = 1) -> Callable[[int], object]:
    """Writes a checkpoint that stands after an input, of nine megabytes; returns why it could not."""
    rows = CheckpointRows(place, token, oldest_input=lambda: oldest, most_bytes=1 << 30)
    writer = InlineCheckpointWriter(directory, Storage(), lambda: oldest, kept=rows.keep)

    def write(seq: int) -> object:
        writer.begin(seq, {"fleets": {"tanks": {"models": {"in_force": "abc"}}}})
        writer.put(Chunk("some", 0, np.full(9_000_000, seq, np.uint8)))
        writer.finish()
        return writer.failure

    return write


def test_checkpoints_are_rows_by_the_rules_of_files(place: Place, tmp_path: Path) -> None:
    """The two newest and the first of a day; what a process that is fenced has written by itself does not count."""
    ledger = PostgresLedger.open(place, Storage())
    ledger.commit(Commit(*micro_batch(0, 9)))
    write = writer_of(place, tmp_path / "a", lambda: ledger.token)
    for seq in range(1, 6):
        write(seq)
    written = checkpoints.folder(tmp_path / "a") / checkpoints.file_name(5)
    assert bring_down(place, tmp_path / "a") == 0
    assert bring_down(place, tmp_path) == 2
    assert checkpoints.floor_seq(tmp_path) == 4
    assert bring_down(place, tmp_path, archived=True) == 1
    assert [seq for seq, _ in checkpoints.kept_files(checkpoints.daily_folder(tmp_path))] == [1]
    kept = checkpoints.folder(tmp_path) / checkpoints.file_name(5)
    assert kept.read_bytes() == written.read_bytes()
    stray = checkpoints.folder(tmp_path) / checkpoints.file_name(9)
    stray.write_bytes(b"by a process that was fenced")
    assert (bring_down(place, tmp_path), stray.exists()) == (0, False)
    PostgresLedger.open(place, Storage())
    assert "token 1 to be the newest" in str(write(6))
    assert writer_of(place, tmp_path / "b", lambda: 2, oldest=9)(6) is None
    assert bring_down(place, tmp_path / "other", archived=True) == 2, "inputs after the archived ones are gone"


def test_pruning_stops_at_the_older_checkpoint_that_is_rows(place: Place, tmp_path: Path) -> None:
    """A file that never became rows lets go of nothing: another machine could not begin from it."""
    ledger = PostgresLedger.open(place, Storage(keep_days=1e-9), segment_rows=2)
    for first in range(0, 20, 2):
        ledger.commit(Commit(*micro_batch(first, 2), confirmed=ledger.last_position))
    while ledger.prune(20):
        pass
    assert ledger.first_seq == 1
    write = writer_of(place, tmp_path, lambda: ledger.token)
    for seq in (8, 14):
        write(seq)
    while ledger.prune(20):
        pass
    assert ledger.first_seq == 9


def test_weights_are_rows_before_an_event_may_name_them(place: Place, tmp_path: Path) -> None:
    """Those that the learner left as files are taken up when they are about to be named; who only reads stores none."""
    ledger = PostgresLedger.open(place, Storage())
    model = model_for(fleet_of("p"))
    version = ModelStore(tmp_path / "a").add("tanks", model)
    here = ModelRows(tmp_path / "a", place, lambda: ledger.token)
    assert ModelRows(tmp_path / "b", place).fleets() == []
    here.touch("tanks", version)
    elsewhere = ModelRows(tmp_path / "b", place)
    assert elsewhere.load("tanks", version).manifest == model.manifest
    assert elsewhere.fleets() == ["tanks"]
    with pytest.raises(StorageError, match="token"):
        elsewhere.drop("tanks", version)
    here.drop("tanks", version)
    assert ModelRows(tmp_path / "c", place).fleets() == []


def test_a_dump_restored_into_another_database_replays_to_the_byte(
    postgres: Postgres, place: Place, tmp_path: Path
) -> None:
    """`pg_dump` of the schema is the backup: ledger, checkpoints and weights."""
    fleet = fleet_of("p")
    with OnPostgres(place, fleet, directory=tmp_path / "a") as daemon:
        for second in range(30):
            daemon.say("tank/a", {"t": T0 / 1e9 + second, "p": 1.0 * second})
    postgres.dump(place, tmp_path / "dump.sql")
    postgres.restore(tmp_path / "dump.sql", "restored")
    restored = Place(postgres.url.replace("/postgres", "/restored"), place.schema)
    whereabouts.note(tmp_path / "b", Elsewhere(restored.url, restored.schema))
    bring_down(restored, tmp_path / "b", archived=True)
    report = replay_ledger(tmp_path / "b", Loop())
    assert (report.outputs, report.differing) == (30, 0)
    with OnPostgres(restored, fleet, directory=tmp_path / "c") as again:
        (said,) = again.say("tank/a", {"t": T0 / 1e9 + 30, "p": 30.0})
        assert said.json()["step"] == 31


# -- small things


def test_a_place_shows_no_password_and_a_missing_ledger_is_said(postgres: Postgres) -> None:
    """Whatever libpq was given."""
    place = Place("postgresql://me:secret@db.example/plant", "gaugecast")
    assert "secret" not in f"{place} {place!r}"
    assert str(place) == "PostgreSQL at db.example:5432, database plant, schema gaugecast"
    with pytest.raises(StorageError, match="found none"):
        PostgresReader(postgres.new_place())


def test_parameters_are_numbered_as_postgresql_has_them() -> None:
    """In order, or as they say."""
    assert numbered("a = ? AND b = ?") == "a = $1 AND b = $2"


def test_fences_of_other_names_do_not_count() -> None:
    """Only the newest of the same name does."""
    fence.check(3, 3)
    with pytest.raises(Fenced, match="another process writes this ledger"):
        fence.check(3, 4)

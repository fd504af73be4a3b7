"""`restore`: a backup takes the place of the state directory, and a lineage begins."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from gaugecast import events, testing
from gaugecast.cli.main import app
from gaugecast.config.schema import Loop, Storage
from gaugecast.errors import AlreadyRunning, StorageError, WrongUse
from gaugecast.forecast.message import SCHEMA
from gaugecast.ledger import Ledger, LedgerReader, copying
from gaugecast.loop.recovery import recover
from gaugecast.pipeline import Pipeline
from gaugecast.records import Commit, Input, Order
from gaugecast.service.replaying import replay_ledger
from gaugecast.service.restoring import restore
from gaugecast.storage.backup import backup
from gaugecast.storage.lock import StateLock
from gaugecast.testing import T0, fleet_of

TANKS = fleet_of("p")


def reading(tick: int) -> Input:
    """Of one stream, a second apart."""
    return testing.reading(tick, 1.0 + tick)


class Daemon:
    """A pipeline and its ledger, without a broker."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.ledger = Ledger.open(directory, Storage(directory=directory))
        self.pipeline, self.recovered = recover(directory, self.ledger, lambda: Pipeline(Loop(), lambda *_: None))

    def take(self, *inputs: Input) -> list[dict[str, object]]:
        """Advance and commit; the messages."""
        outcome = self.pipeline.advance(inputs)
        self.ledger.commit(Commit(inputs, outcome.verdicts, outcome.outputs))
        return [msgspec.json.decode(output.body) for output in outcome.outputs]


def begun(directory: Path, lineage: str = "0a0b0c0d") -> Daemon:
    """One with a fleet and a lineage."""
    daemon = Daemon(directory)
    order = Order(events.LineageBegun(lineage, reason="new ledger", schema=SCHEMA))
    daemon.take(order.stamped(T0), Order.configuring(TANKS).stamped(T0))
    return daemon


def names(messages: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """What consumers drop copies by."""
    return [(m["stream"], m["lineage"], m["step"]) for m in messages]


def test_after_a_restore_no_message_has_a_name_that_was_given(tmp_path: Path) -> None:
    """Step numbers come again, of another lineage: consumers who drop what they have seen drop nothing new."""
    daemon = begun(tmp_path / "state")
    seen = daemon.take(*(reading(tick) for tick in range(5)))
    backup(daemon.directory, tmp_path / "copy", copying)
    seen += daemon.take(*(reading(tick) for tick in range(5, 9)))
    daemon.ledger.close()

    found = restore(tmp_path / "copy", Storage(directory=daemon.directory), replace=True)
    again = Daemon(daemon.directory)
    later = again.take(*(reading(tick) for tick in range(9, 14)))

    assert again.recovered.differing == 0
    assert {m["step"] for m in later} & {m["step"] for m in seen}, "the point of it"
    assert not set(names(later)) & set(names(seen))
    assert {m["lineage"] for m in later} == {found.lineage}
    again.ledger.close()
    assert replay_ledger(daemon.directory, Loop()).differing == 0


def test_what_was_there_lies_beside_it_whole(tmp_path: Path) -> None:
    """It can be restored in turn; a second restore does not touch it."""
    daemon = begun(tmp_path / "state")
    daemon.take(reading(0))
    backup(daemon.directory, tmp_path / "copy", copying)
    daemon.take(reading(1), reading(2))
    last = daemon.ledger.last_seq
    daemon.ledger.close()
    storage = Storage(directory=daemon.directory)

    with pytest.raises(WrongUse, match="--replace"):
        restore(tmp_path / "copy", storage)
    found = restore(tmp_path / "copy", storage, replace=True)

    assert found.aside is not None
    with LedgerReader(found.aside) as reader:
        assert reader.last_seq == last
    assert found.newest_ns > 0
    assert not list(daemon.directory.glob("*.partial"))


def test_a_restore_into_a_new_directory_needs_no_word(tmp_path: Path) -> None:
    """On another machine there is nothing to put aside."""
    daemon = begun(tmp_path / "state")
    daemon.take(reading(0))
    backup(daemon.directory, tmp_path / "copy", copying)
    daemon.ledger.close()
    found = restore(tmp_path / "copy", Storage(directory=tmp_path / "new" / "state"))

    assert found.aside is None
    assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700
    with LedgerReader(tmp_path / "new" / "state") as reader:
        assert [event for _, _, event in reader.events()][-1] == events.LineageBegun(found.lineage, reason="restored")


def test_nothing_is_touched_where_the_backup_or_the_place_is_not_right(tmp_path: Path) -> None:
    """A daemon that runs, a folder that is no backup, a copy that is damaged."""
    daemon = begun(tmp_path / "state")
    daemon.take(reading(0))
    backup(daemon.directory, tmp_path / "copy", copying)
    daemon.ledger.close()
    storage = Storage(directory=daemon.directory)
    before = (daemon.directory / "ledger.sqlite").read_bytes()

    with StateLock(daemon.directory), pytest.raises(AlreadyRunning):
        restore(tmp_path / "copy", storage, replace=True)
    with pytest.raises(WrongUse, match="is no backup"):
        restore(tmp_path, storage, replace=True)
    (tmp_path / "copy" / "ledger.sqlite").write_bytes(before[:5000])
    with pytest.raises(StorageError):
        restore(tmp_path / "copy", storage, replace=True)

    assert (daemon.directory / "ledger.sqlite").read_bytes() == before


def test_a_lineage_outlives_a_restart_with_and_without_a_checkpoint(tmp_path: Path) -> None:
    """By replay; a checkpoint's header has it, too (the contract of snapshots holds the rest)."""
    daemon = begun(tmp_path / "state")
    first = daemon.take(reading(0))
    daemon.ledger.close()
    again = Daemon(tmp_path / "state")

    assert names([*first, *again.take(reading(1))]) == [("a", "0a0b0c0d", 1), ("a", "0a0b0c0d", 2)]
    assert json.loads(json.dumps(first[0])) == first[0]
    again.ledger.close()


def test_without_the_event_messages_are_as_they_were(tmp_path: Path) -> None:
    """A ledger of 0.1.0 must replay to the byte."""
    daemon = Daemon(tmp_path / "state")
    daemon.take(Order.configuring(TANKS).stamped(T0))

    assert "lineage" not in daemon.take(reading(0))[0]
    daemon.ledger.close()


def test_backup_and_restore_by_command(tmp_path: Path) -> None:
    """With the configuration for its place; what was done is told in words and as JSON, what is wrong in a sentence."""
    daemon = begun(tmp_path / "state")
    daemon.take(reading(0))
    daemon.ledger.close()
    config = tmp_path / "gaugecast.toml"
    fleet = '[fleet.tanks]\nsubscribe = ["tank/{tank}"]\nperiod = 1\n[fleet.tanks.features.p]\n'
    config.write_text(f'[storage]\ndirectory = "state"\n{fleet}')

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "-c", str(config)])

    told = json.loads(run("backup", str(tmp_path / "copies"), "--keep", "2", "--json").stdout)
    again = run("backup", str(tmp_path / "copies"))
    refused = run("restore", told["target"])
    restored = run("restore", told["target"], "--replace")

    assert (told["first_seq"], told["last_seq"]) == (1, 3)
    assert (Path(told["target"]) / "gaugecast.toml").read_text() == config.read_text()
    assert "is not empty" in str(again.exception)
    assert "--replace" in str(refused.exception)
    assert "lineage" in restored.stdout
    assert "before-restore-" in restored.stdout

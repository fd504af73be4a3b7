"""Files of weights live as long as anything names them, and no longer."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.launcher import command
from e2e.scenes import check_books, seed_model, send_tanks, tanks_config
from gaugecast import events
from gaugecast.config.schema import Storage
from gaugecast.errors import ModelError, StorageError, Unreachable
from gaugecast.ledger.store import Ledger
from gaugecast.loop.model_roles import LEARNER
from gaugecast.model import Model
from gaugecast.records import Commit, Verdict
from gaugecast.service import sweep as sweeping
from gaugecast.service.sweep import NEWEST, YOUNG_S, Roles, remove, sweep
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_format import MAGIC
from gaugecast.storage.models import ModelStore
from learning.worlds import event, shifted_model
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, wait_until

NOW_S = 1_800_000_000.0


class Told:
    """A ledger that has these events."""

    def __init__(self, *told: events.Event) -> None:
        self._told = told

    def events(self, after_seq: int = 0) -> list[tuple[int, str, events.Event]]:
        return [(i + 1, "tanks", one) for i, one in enumerate(self._told)]


class Attic:
    """A store with old versions of the learner's, and the newest few that stay anyway."""

    def __init__(self, directory: Path, now_s: float = NOW_S) -> None:
        self.directory, self.now_s = directory, now_s
        self.store = ModelStore(directory)
        self.old = [self.add(shifted_model(float(k), made_by=LEARNER), age_s=1e6 - k) for k in range(6)]
        for k in range(NEWEST):
            self.add(shifted_model(100.0 + k, made_by=LEARNER), age_s=10)

    def add(self, model: Model, *, age_s: float) -> str:
        version = self.store.add("tanks", model)
        os.utime(self.store.place("tanks", version), (self.now_s - age_s,) * 2)
        return version

    def sweep(self, *told: events.Event, held: tuple[str, ...] = ()) -> set[str]:
        """Which versions went."""
        before = set(self.store.versions("tanks"))
        roles = Roles(frozenset(("tanks", version) for version in held))
        count = sweep(self.directory, self.store, Told(*told), roles=lambda: roles, now_s=lambda: NOW_S)
        gone = before - set(self.store.versions("tanks"))
        assert count >= len(gone)
        return gone


@pytest.fixture
def attic(tmp_path: Path) -> Attic:
    """Six old versions and the newest few."""
    return Attic(tmp_path)


def write_checkpoint(place: Path, seq: int, version: str) -> Path:
    """As much of a checkpoint as says which models it names."""
    place.mkdir(parents=True, exist_ok=True)
    header = {"fleets": {"tanks": {"models": {"in_force": version}}}}
    text = json.dumps({"seq": seq, "header": header}).encode()
    path = place / checkpoints.file_name(seq)
    path.write_bytes(MAGIC + struct.pack("<I", len(text)) + text + b"rest")
    return path


def test_what_nothing_names_goes_whole(attic: Attic) -> None:
    """Folder and files."""
    assert attic.sweep() == set(attic.old)
    assert not any(attic.store.place("tanks", version).exists() for version in attic.old)


def test_what_a_kept_event_names_stays(attic: Attic) -> None:
    """As weights with a role, as promoted, or as what a rollback would go back to."""
    kept = attic.old[:3]
    told = (
        events.ModelInstalled("in_force", kept[0]),
        events.ShadowPromoted(kept[1]),
        events.ModelInstalled("in_force", "f" * 12, good=kept[2]),
    )
    assert attic.sweep(*told) == set(attic.old[3:])


def test_what_a_checkpoint_names_stays_the_archived_ones_included(attic: Attic) -> None:
    """A replay begins there."""
    write_checkpoint(checkpoints.folder(attic.directory), 7, attic.old[0])
    write_checkpoint(checkpoints.daily_folder(attic.directory), 3, attic.old[1])
    assert attic.sweep() == set(attic.old[2:])


def test_what_has_a_role_stays(attic: Attic) -> None:
    """In force since before the oldest event."""
    assert attic.sweep(held=(attic.old[4],)) == {*attic.old} - {attic.old[4]}


def test_what_people_brought_stays(attic: Attic) -> None:
    """Shipped or imported: not made by the learner."""
    theirs = attic.add(shifted_model(0.25, made_by="a colleague"), age_s=1e6)
    assert theirs not in attic.sweep()
    assert theirs in attic.store.versions("tanks")


def test_of_a_fleet_that_is_gone_for_good_the_newest_and_what_people_brought_go_too(attic: Attic) -> None:
    """But not what a replay of the ledger needs; weights that are stored for it anew end that."""
    attic.add(shifted_model(0.25, made_by="a colleague"), age_s=1e6)
    for version in attic.store.versions("tanks"):
        os.utime(attic.store.place("tanks", version), (1e9, 1e9))
    attic.store.forget("tanks")
    everything = set(attic.store.versions("tanks"))
    assert attic.sweep(events.ModelInstalled("in_force", attic.old[0])) == everything - {attic.old[0]}
    attic.add(shifted_model(0.5, made_by="a colleague"), age_s=1e6)
    assert not attic.store.is_forgotten("tanks")
    assert attic.sweep() == set()


def test_what_is_young_stays_for_its_event_may_be_on_its_way(attic: Attic) -> None:
    """And so does an old one that a person has just asked for."""
    attic.store.touch("tanks", attic.old[0])
    os.utime(attic.store.place("tanks", attic.old[0]), (NOW_S - YOUNG_S + 1,) * 2)
    gone = attic.sweep()
    assert attic.old[0] not in gone
    assert set(attic.old[1:]) <= gone


def test_what_was_left_unfinished_goes_and_strange_folders_stay(attic: Attic) -> None:
    """Weights without a manifest, of a learner that died between the two."""
    unfinished = attic.store.place("tanks", "abcdef012345")
    strange = attic.store.directory / "tanks" / "notes of mine"
    for place in (unfinished, strange):
        place.mkdir()
        (place / "weights.npz.tmp").write_bytes(b"half")
        os.utime(place, (NOW_S - 1e6,) * 2)
    attic.sweep()
    assert not unfinished.exists()
    assert strange.exists()


def test_where_it_is_not_known_what_is_named_nothing_goes(attic: Attic) -> None:
    """A daemon that does not answer, a checkpoint that cannot be read."""

    def unreachable() -> Roles:
        raise Unreachable("nobody")

    with pytest.raises(Unreachable):
        sweep(attic.directory, attic.store, Told(), roles=unreachable, now_s=lambda: NOW_S)
    write_checkpoint(checkpoints.folder(attic.directory), 7, attic.old[0]).write_bytes(b"torn")
    with pytest.raises(StorageError):
        attic.sweep()
    assert set(attic.old) <= set(attic.store.versions("tanks"))


def noting(order: list[str], name: str, real: Callable[..., Any], *words: Any) -> Any:
    """The real one, and that it was called."""
    order.append(name)
    return real(*words)


def test_names_are_read_after_the_candidates_were_chosen(attic: Attic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is named between the two stays."""
    order: list[str] = []
    for name in ("candidates", "named_by_checkpoints", "named_by_events"):
        real = getattr(sweeping, name)
        monkeypatch.setattr(sweeping, name, partial(noting, order, name, real))
    attic.sweep()
    assert order == ["candidates", "named_by_checkpoints", "named_by_events"]


def test_the_roles_are_read_from_the_daemons_answer() -> None:
    """In force, shadow, and good."""
    entry = {"roles": {"in_force": {"version": "a"}, "shadow": {"version": "b"}}, "good": "c"}
    assert Roles.of_answer({"fleets": {"tanks": entry}}).held == {("tanks", v) for v in "abc"}


# -- asked for


def test_what_somebody_brought_goes_when_somebody_asks(attic: Attic) -> None:
    """Before the daemon's first start there is not even a ledger."""
    theirs = attic.add(shifted_model(0.25, made_by="a colleague"), age_s=10)
    remove(attic.directory, attic.store, "tanks", theirs, roles=Roles(frozenset()))
    assert not attic.store.place("tanks", theirs).exists()
    with pytest.raises(ModelError, match="found nothing"):
        remove(attic.directory, attic.store, "tanks", theirs, roles=Roles(frozenset()))


def test_what_is_named_is_not_removed_and_it_is_said_by_what(attic: Attic) -> None:
    """A role, a checkpoint, an event."""
    held, kept, told = attic.old[:3]
    write_checkpoint(checkpoints.folder(attic.directory), 7, kept)
    ledger = Ledger.open(attic.directory, Storage(directory=attic.directory))
    ledger.commit(Commit([event(events.ModelInstalled("shadow", told))], [Verdict.NONE], []))
    ledger.close()
    for version, why in ((held, "a role"), (kept, "a checkpoint"), (told, "an event")):
        with pytest.raises(ModelError, match=why):
            remove(attic.directory, attic.store, "tanks", version, roles=Roles(frozenset({("tanks", held)})))
        assert version in attic.store.versions("tanks")


# -- the daemon


def test_the_daemon_sweeps_also_while_nobody_learns(tmp_path: Path, broker: Mosquitto) -> None:
    """What a learner of former days left goes; what is in force, and what somebody brought, stays."""
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port), command=command("quick_sweep"))
    seed_model(daemon)
    (in_force,) = ModelStore(daemon.state).versions("tanks")
    attic = Attic(daemon.state, time.time())
    theirs = attic.add(shifted_model(0.25, made_by="a colleague"), age_s=1e6)
    os.utime(attic.store.place("tanks", in_force), (1e9, 1e9))
    daemon.start()
    try:
        wait_until(lambda: "weights swept" in daemon.log_text(), what="a sweep")
        send_tanks(broker, 80)
        daemon.wait_metric("gaugecast_readings_total", 80, outcome="stepped")
        check_books(daemon, stepped=80, late=0, duplicate=0, rejected=0)
        assert daemon.stop() == 0
    finally:
        if daemon.running:
            daemon.kill()
    left = set(attic.store.versions("tanks"))
    assert not left & {*attic.old}
    assert {in_force, theirs} <= left
    assert "not swept" not in daemon.log_text()

"""Weights live as long as something names them: kept events, kept checkpoints, roles, people. The rest is deleted here.

A version of the learner's that was handed over a minute ago is named by its event for as long as the ledger keeps
that, so what is deleted are hand-overs whose rows have been pruned, and files whose event never came.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gaugecast import events
from gaugecast.control import SOCKET_NAME, ModelsQuery, call
from gaugecast.errors import GaugecastError, ModelError, StorageError
from gaugecast.ledger.schema import FILE_NAME as LEDGER_NAME
from gaugecast.logs import get
from gaugecast.loop.model_roles import LEARNER
from gaugecast.model.manifest import decode_manifest, is_version
from gaugecast.model.weights import MANIFEST_NAME
from gaugecast.service.opening import open_reader
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_format import read_header
from gaugecast.storage.models import ModelStore

log = get("gaugecast")

#: How long after a start, and then how often.
FIRST_S, EVERY_S = 60.0, 600.0
#: Younger files may wait for their event.
YOUNG_S = 600.0
#: The newest stay, named or not.
NEWEST = 5
#: Deleted in one sweep at most.
_MOST = 1000


class Events(Protocol):
    """The ledger, as far as it is needed here."""

    def events(self, after_seq: int = 0) -> list[tuple[int, str, events.Event]]:
        """(seq, fleet, event) of the kept ones."""


class WeightRows(Protocol):
    """Weights in a database; `cluster.postgres.models` has them."""

    def bring_down(self) -> None:
        """Make files of all that are not here."""

    def drop(self, fleet: str, version: str) -> None:
        """Delete one."""


@dataclass(frozen=True, slots=True)
class Roles:
    """(fleet, version) of what the running daemon has in force, in shadow, or would go back to."""

    held: frozenset[tuple[str, str]]

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> Roles:
        """From the answer to `{"command": "models"}`."""
        held = set()
        for fleet, entry in answer["fleets"].items():
            held |= {(fleet, known["version"]) for known in entry["roles"].values()} | {(fleet, entry["good"])}
        return cls(frozenset(held))


def _nowhere_else(_fleet: str, _version: str) -> None:
    """Weights are files alone."""


def sweep(
    directory: Path,
    store: ModelStore,
    ledger: Events,
    *,
    roles: Callable[[], Roles],
    drop: Callable[[str, str], None] = _nowhere_else,
    now_s: Callable[[], float] = time.time,
) -> int:
    """Delete what nothing names; how many versions went.

    First come the candidates, then what names them: whatever is named after that names what was named before, or
    what is young.

    Args:
        drop: Told of each that is deleted: it may be elsewhere, too.

    Raises:
        GaugecastError: Not known what is named: nothing was deleted.
        OSError: A file could not be read or deleted.
    """
    oldest_s = now_s() - YOUNG_S
    unnamed = {(f, v) for f in store.fleets() for v in candidates(store, f, oldest_s)}
    if not unnamed:
        return 0
    unnamed -= roles().held
    unnamed -= named_by_checkpoints(directory)
    unnamed -= named_by_events(ledger)
    ours = [(f, store.place(f, v)) for f, v in sorted(unnamed)]
    gone = [(f, place) for f, place in ours if store.is_forgotten(f) or _is_learned(place)][:_MOST]
    for fleet, place in gone:
        _delete(place)
        drop(fleet, place.name)
    return len(gone)


def remove(directory: Path, store: ModelStore, fleet: str, version: str, *, roles: Roles) -> None:
    """Delete one version because somebody asks for it, whoever made it.

    Raises:
        ModelError: There is none, or something names it.
        StorageError: Not known what is named.
    """
    place = store.place(fleet, version)
    if not place.is_dir():
        raise ModelError(f"weights {version} of fleet {fleet!r} expected in {place}, found nothing")
    by = {"a role": roles.held, "a checkpoint": named_by_checkpoints(directory)}
    try:
        with open_reader(directory) as ledger:
            by["an event that the ledger keeps"] = named_by_events(ledger)
    except StorageError:
        if (directory / LEDGER_NAME).exists():
            raise
    for what, named in by.items():
        if (fleet, version) in named:
            raise ModelError(f"weights that nothing names expected, {version} has {what}: a replay needs it")
    _delete(place)


def candidates(store: ModelStore, fleet: str, oldest_s: float) -> list[str]:
    """Versions of before Unix time `oldest_s`, but for the newest few; and what was left unfinished.

    Of a fleet that is gone for good the newest go, too.
    """
    with os.scandir(store.directory / fleet) as found:
        folders = [(one.stat().st_mtime, one.name) for one in found if is_version(one.name) and one.is_dir()]
    folders.sort(reverse=True)
    newest: list[str] = []
    for _, name in folders:
        if len(newest) == (0 if store.is_forgotten(fleet) else NEWEST):
            break
        if (store.place(fleet, name) / MANIFEST_NAME).exists():
            newest.append(name)
    return [name for changed_s, name in folders if changed_s < oldest_s and name not in newest]


def named_by_checkpoints(directory: Path) -> set[tuple[str, str]]:
    """(fleet, version) in the headers of all kept checkpoints, the archived ones included.

    Raises:
        StorageError: One could not be read.
    """
    files = checkpoints.kept_files(checkpoints.folder(directory))
    files += checkpoints.kept_files(checkpoints.daily_folder(directory))
    named: set[tuple[str, str]] = set()
    for _, path in files:
        try:
            fleets = read_header(path)["fleets"]
            named |= {(fleet, version) for fleet, entry in fleets.items() for version in entry["models"].values()}
        except (KeyError, AttributeError) as exc:
            raise StorageError(f"{path}: expected the models of each fleet in its header: {exc}") from exc
    return named


def named_by_events(ledger: Events) -> set[tuple[str, str]]:
    """(fleet, version) in the kept events."""
    named: set[tuple[str, str]] = set()
    for _, fleet, event in ledger.events():
        if isinstance(event, events.ModelInstalled | events.ShadowPromoted):
            named |= {(fleet, event.version), (fleet, event.good)}
    return named


def _is_learned(place: Path) -> bool:
    """Whether the learner made it; what is unfinished or cannot be read is nobody's."""
    try:
        manifest = decode_manifest((place / MANIFEST_NAME).read_bytes())
    except (ModelError, FileNotFoundError):
        return True
    return manifest.provenance.get("made_by") == LEARNER


def _delete(place: Path) -> None:
    """The manifest first: without it the rest counts as unfinished."""
    (place / MANIFEST_NAME).unlink(missing_ok=True)
    for path in place.iterdir():
        path.unlink()
    place.rmdir()


class Sweeper:
    """Sweeps beside the loop, in a thread of its own that ends with the process.

    It has its own connection to the ledger, and asks for the roles as anybody does, through the control socket.

    Args:
        directory: The state directory.
        rows: Where weights are, too, if the ledger is elsewhere; all of them are brought here first.
    """

    def __init__(self, directory: Path, rows: WeightRows | None = None) -> None:
        self._directory, self._rows = directory, rows
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def ask_to_end(self) -> None:
        """Let it sweep no more."""
        self._ended.set()

    def close(self) -> None:
        """A sweep that is under way ends with the process: whatever it deletes, nothing names."""
        self.ask_to_end()

    def _run(self) -> None:
        wait_s = FIRST_S
        while not self._ended.wait(wait_s):
            wait_s = EVERY_S
            try:
                gone = self._sweep()
            except (GaugecastError, OSError) as exc:
                if not self._ended.is_set():
                    log.warning("weights not swept", why=str(exc))
                continue
            if gone:
                log.info("weights swept", versions=gone)

    def _sweep(self) -> int:
        store, rows = ModelStore(self._directory), self._rows
        if rows is not None:
            rows.bring_down()
        with open_reader(self._directory) as ledger:
            return sweep(self._directory, store, ledger, roles=self._roles, drop=rows.drop if rows else _nowhere_else)

    def _roles(self) -> Roles:
        return Roles.of_answer(call(self._directory / SOCKET_NAME, ModelsQuery()))

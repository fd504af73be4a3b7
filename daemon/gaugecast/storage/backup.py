"""A consistent copy of a state directory, taken while the daemon runs; and back again."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gaugecast.errors import StorageError, WrongUse
from gaugecast.files import make_private, write_whole
from gaugecast.storage import checkpoints, whereabouts
from gaugecast.storage.models import FOLDER as MODELS_FOLDER

#: In the state directory: when a backup was last made of it, and where.
NOTE_NAME = "last-backup.json"
#: In a backup: the configuration of its daemon, to be looked at.
CONFIG_NAME = "gaugecast.toml"
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was copied and found whole.

    Attributes:
        first_seq, last_seq: The inputs that it has.
        checkpoint_seq: The checkpoint from which it would recover; `None` = by replay of everything.
        models: Weights files.
    """

    first_seq: int
    last_seq: int
    checkpoint_seq: int | None
    models: int
    size_bytes: int


class CopiesLedger(Protocol):
    """What a backup needs of the ledger; `ledger.copying` has it."""

    def copy(self, source: Path, target: Path) -> None:
        """Copy the ledger of a state directory, which a daemon may be writing, into another; consistent."""

    def verify(self, directory: Path) -> tuple[int, int]:
        """Whether a copy is whole: its first and last input. Raises `StorageError` where it is not."""


def backup(directory: Path, target: Path, ledger: CopiesLedger, *, config: Path | None = None) -> BackupReport:
    """Copy ledger, checkpoints and weights of `directory` into `target` (made; must be empty), and verify the copy.

    The order matters: checkpoints first (they stand at inputs that the ledger has already), then the ledger, then
    the weights that its rows name. What pruning takes away meanwhile is found by the verification.

    Args:
        config: The daemon's configuration file, which is put beside them. No secret can be in it.

    Raises:
        WrongUse: a target that is not empty, or is the state directory.
        StorageError: no ledger, a full disk, or a copy that is not whole.
    """
    check_target(directory, target)
    refuse_elsewhere(directory)
    try:
        make_private(target)
        models = copy_state(directory, target, ledger)
        if config is not None:
            shutil.copyfile(config, target / CONFIG_NAME)
        _sync_tree(target)
    except OSError as exc:
        raise StorageError(f"backup to {target}: {exc}") from exc
    report = verify(target, ledger, models=models)
    _note_backup(directory, target)
    return report


def refuse_elsewhere(directory: Path) -> None:
    """Raise `WrongUse` where the ledger of a state directory is in a database."""
    known = whereabouts.read(directory)
    if known is not None:
        raise WrongUse(
            f"{directory}: its ledger is in PostgreSQL, so its backup is `pg_dump --schema {known.schema}`, which "
            "`psql` takes back"
        )


def backup_beside(
    directory: Path, place: Path, ledger: CopiesLedger, *, keep: int, config: Path | None = None
) -> tuple[Path, BackupReport]:
    """A backup in a folder of its own below `place`, named by the time in UTC; the newest `keep` stay.

    One that fails leaves nothing, and no older one goes for it.

    Raises:
        WrongUse, StorageError: As `backup`.
    """
    if checkpoints.folder(place).exists() or (place / MODELS_FOLDER).exists():
        raise WrongUse(f"{place} is a backup or a state directory itself: --keep wants the folder that is to hold them")
    final = place / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    partial = final.with_name(final.name + _PARTIAL)
    try:
        report = backup(directory, partial, ledger, config=config)
        os.rename(partial, final)
    except OSError as exc:
        raise StorageError(f"backup to {final}: {exc}") from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _note_backup(directory, final)
    for old in backups_in(place)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final, report


def backups_in(place: Path) -> list[Path]:
    """The backups that `backup_beside` has made, oldest first."""
    return sorted(path for path in place.glob("2*Z") if path.is_dir())


def check_target(directory: Path, target: Path) -> None:
    """Refuse to mix a backup with anything else.

    Raises:
        WrongUse: In words that say what lies there.
    """
    if target.resolve().is_relative_to(directory.resolve()):
        raise WrongUse(
            f"{target} lies in the state directory {directory}; name a place outside, on another disk at best"
        )
    if target.is_file():
        raise WrongUse(f"{target} is a file; name a directory that is empty or new")
    names = sorted(os.listdir(target)) if target.exists() else []
    if names:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise WrongUse(
            f"{target} is not empty (it has {shown}); name a directory that is empty or new, or let --keep N put "
            "backups below it, each in a folder of its own"
        )


def last_backup_s(directory: Path) -> float | None:
    """When a backup of a state directory was last finished, Unix seconds; `None` if none ever was.

    Raises:
        OSError: The note cannot be read.
    """
    try:
        at = json.loads((directory / NOTE_NAME).read_bytes())["at"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return float(at) if isinstance(at, int | float) else None


def _note_backup(directory: Path, target: Path) -> None:
    """Let `status` tell of it. A directory that we may only read is none the worse for it."""
    try:
        note = json.dumps({"at": time.time(), "target": str(target.resolve())}) + "\n"
        write_whole(directory / NOTE_NAME, note.encode())
    except OSError:
        return


def copy_state(source: Path, target: Path, ledger: CopiesLedger) -> int:
    """Copy checkpoints, ledger and weights, in this order; how many weights files.

    Raises:
        OSError, StorageError: It cannot be done.
    """
    _copy_checkpoints(source, target)
    ledger.copy(source, target)
    return _copy_models(source, target)


def _copy_checkpoints(directory: Path, target: Path) -> None:
    """Copy the kept checkpoints; one that is deleted meanwhile was displaced by a newer one, so look again."""
    place = checkpoints.folder(target)
    place.mkdir()
    for _ in range(5):
        try:
            for _, path in checkpoints.kept_files(checkpoints.folder(directory)):
                shutil.copyfile(path, place / path.name)
            return
        except FileNotFoundError:
            continue
    raise StorageError(f"{directory}: checkpoints change faster than they can be copied")


def _copy_models(directory: Path, target: Path) -> int:
    """Copy weights files, which never change once they have their names."""
    source = directory / MODELS_FOLDER
    if not source.is_dir():
        return 0
    shutil.copytree(
        source, target / MODELS_FOLDER, ignore=shutil.ignore_patterns("*.tmp"), copy_function=shutil.copyfile
    )
    return sum(1 for path in (target / MODELS_FOLDER).rglob("*") if path.is_file())


def _sync_tree(target: Path) -> None:
    for path in [target, *target.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def verify(target: Path, ledger: CopiesLedger, *, models: int | None = None) -> BackupReport:
    """Whether a backup is whole: what it has.

    Raises:
        StorageError: It is not; the message says what is missing.
    """
    first, last = ledger.verify(target)
    checkpoint = checkpoints.newest(target, upto_seq=last)
    seq = None if checkpoint is None else checkpoint.seq
    if checkpoint is not None:
        checkpoint.close()
    if first > (seq or 0) + 1:
        raise StorageError(f"{target}: expected inputs from {(seq or 0) + 1} on, got them from {first} on; try again")
    files = [file for file in target.rglob("*") if file.is_file()]
    if models is None:
        models = sum(1 for file in files if MODELS_FOLDER in file.relative_to(target).parts[:1])
    return BackupReport(first, last, seq, models, sum(file.stat().st_size for file in files))

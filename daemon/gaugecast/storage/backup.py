"""A consistent copy of a state directory, taken while the daemon runs."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gaugecast.errors import StorageError
from gaugecast.storage import checkpoints
from gaugecast.storage.models import FOLDER as MODELS_FOLDER

#: In the state directory; its time says when the newest backup was found whole.
STAMP = "last-backup"


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


def backup(directory: Path, target: Path, ledger: CopiesLedger) -> BackupReport:
    """Copy ledger, checkpoints and weights of `directory` into `target` (made; must be empty), and verify the copy.

    The order matters: checkpoints first (they stand at inputs that the ledger has already), then the ledger, then
    the weights that its rows name. What pruning takes away meanwhile is found by the verification.

    Raises:
        StorageError: no ledger, a target that is not empty, a full disk, or a copy that is not whole.
    """
    if target.exists() and any(target.iterdir()):
        raise StorageError(f"expected an empty directory to back up to, got {target}")
    try:
        target.mkdir(parents=True, exist_ok=True)
        _copy_checkpoints(directory, target)
        ledger.copy(directory, target)
        models = _copy_models(directory, target)
        _sync_tree(target)
    except OSError as exc:
        raise StorageError(f"backup to {target}: {exc}") from exc
    report = _verify(target, models, ledger)
    with contextlib.suppress(OSError):  # a directory that we may only read
        (directory / STAMP).touch()
    return report


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


def _verify(target: Path, models: int, ledger: CopiesLedger) -> BackupReport:
    first, last = ledger.verify(target)
    checkpoint = checkpoints.newest(target, upto_seq=last)
    seq = None if checkpoint is None else checkpoint.seq
    if checkpoint is not None:
        checkpoint.close()
    if first > (seq or 0) + 1:
        raise StorageError(f"{target}: expected inputs from {(seq or 0) + 1} on, got them from {first} on; try again")
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    return BackupReport(first, last, seq, models, size)

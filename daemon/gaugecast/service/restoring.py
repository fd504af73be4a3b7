"""`restore`: a backup takes the place of the state directory, and what is said from there on has a lineage of its own.

Step numbers go back to those of the backup. Consumers drop what they have seen: by (stream, lineage, step), the only
name that a message has for ever. So the new lineage is in the ledger before anything else can be.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gaugecast.config.schema import Storage
from gaugecast.control import SOCKET_NAME
from gaugecast.errors import StorageError, WrongUse
from gaugecast.events import LineageBegun
from gaugecast.files import make_private
from gaugecast.ledger import copying
from gaugecast.ledger.store import Ledger
from gaugecast.records import Commit, Order, Verdict
from gaugecast.storage.backup import BackupReport, copy_state, refuse_elsewhere, verify
from gaugecast.storage.lineage import new_lineage
from gaugecast.storage.lock import FILE_NAME, LEARNER_FILE_NAME, StateLock

#: What may lie in a directory that counts as empty: another process has it from the locks.
_OURS = frozenset({FILE_NAME, LEARNER_FILE_NAME, SOCKET_NAME})
_DRAFT = "restore.partial"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        newest_ns: When its newest input came, Unix nanoseconds: what came later is lost.
        aside: Where that lies which was there before; `None` if nothing was.
    """

    backup: BackupReport
    lineage: str
    newest_ns: int
    aside: Path | None


def restore(source: Path, storage: Storage, *, replace: bool = False) -> Restored:
    """Verify the backup `source`, put it in the place of the state directory, and begin a lineage.

    What is there already is moved into a folder within, `before-restore-TIME`, once the copy is whole: whatever
    happens before leaves the state directory as it was.

    Args:
        storage: Where, and how long history is kept.
        replace: Although there is a ledger.

    Raises:
        AlreadyRunning: A daemon or a learner runs there.
        WrongUse: `source` is no backup, or there is a ledger and `replace` is not set.
        StorageError: The backup is damaged, or the disk fails.
    """
    directory = storage.directory
    if not (source / "ledger.sqlite").is_file():
        raise WrongUse(f"{source} is no backup: expected a ledger.sqlite in it; name a folder that `backup` made")
    refuse_elsewhere(directory)
    with _occupied(directory):
        found = sorted(set(os.listdir(directory)) - _OURS - {_DRAFT})
        if "ledger.sqlite" in found and not replace:
            raise WrongUse(f"{directory} has a ledger; with --replace it is put aside, within that directory")
        draft = directory / _DRAFT
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            copy_state(source, draft, copying)
            report = verify(draft, copying)
            lineage, newest_ns = _begin_lineage(draft, storage)
            aside = _move_aside(directory, found)
            for name in os.listdir(draft):
                os.rename(draft / name, directory / name)
            draft.rmdir()
        except OSError as exc:
            raise StorageError(f"restore of {source} to {directory}: {exc}") from exc
    return Restored(report, lineage, newest_ns, aside)


@contextmanager
def _occupied(directory: Path) -> Iterator[None]:
    try:
        make_private(directory)
    except OSError as exc:
        raise StorageError(f"[storage] directory: {directory} cannot be made: {exc.strerror}") from exc
    with StateLock(directory), StateLock(directory, LEARNER_FILE_NAME):
        yield


def _begin_lineage(directory: Path, storage: Storage) -> tuple[str, int]:
    """Commit the event; the lineage, and when the newest input before it came."""
    lineage = new_lineage()
    ledger = Ledger.open(directory, storage.model_copy(update={"directory": directory}), create=False)
    try:
        last = next(ledger.replay(max(0, ledger.last_seq - 1), most=1), None)
        newest_ns = 0 if last is None else last.inputs[-1].received_at_ns
        order = Order(LineageBegun(lineage, reason="restored"))
        ledger.commit(Commit([order.stamped(max(time.time_ns(), newest_ns))], [Verdict.NONE]))
    finally:
        ledger.close()
    return lineage, newest_ns


def _move_aside(directory: Path, names: list[str]) -> Path | None:
    """What was there, into a folder within: the directory itself is the service manager's."""
    names = [name for name in names if not name.startswith("before-restore-")]
    if not names:
        return None
    aside = directory / f"before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    aside.mkdir(mode=0o700)
    for name in names:
        os.rename(directory / name, aside / name)
    return aside

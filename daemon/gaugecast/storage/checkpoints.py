"""Which checkpoints there are, which of them are kept, and how far back a replay is exact.

`checkpoints/00000000000000001234.ckpt` stands after input 1234. The two newest are kept for recovery; of those that
they displace, the first of each day (UTC, by the file's time) goes to `checkpoints/daily/`, where it stays as long
as the inputs after it.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path

from gaugecast.errors import StorageError
from gaugecast.storage.checkpoint_format import Checkpoint

SUFFIX = ".ckpt"
TMP_SUFFIX = ".tmp"
KEPT = 2


def folder(directory: Path) -> Path:
    """Where a state directory has its checkpoints."""
    return directory / "checkpoints"


def daily_folder(directory: Path) -> Path:
    """Where it has the archived ones."""
    return folder(directory) / "daily"


def file_name(seq: int) -> str:
    """Name of the checkpoint after input `seq`; sorts by seq."""
    return f"{seq:020d}{SUFFIX}"


def kept_files(place: Path) -> list[tuple[int, Path]]:
    """(seq, file) of the checkpoints in a folder, oldest first, damaged ones included; none where there is no folder.

    Raises:
        StorageError: The folder cannot be read, so that nobody knows which there are.
    """
    try:
        with os.scandir(place) as entries:
            found = [Path(one.path) for one in entries if one.name.endswith(SUFFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise StorageError(f"{place}: expected a folder of checkpoints: {exc.strerror}") from exc
    return sorted((int(path.stem), path) for path in found if path.stem.isascii() and path.stem.isdecimal())


def newest(directory: Path, upto_seq: int | None = None) -> Checkpoint | None:
    """The newest recovery checkpoint that is whole (and not after `upto_seq`), or `None`. Damaged ones are passed over.

    The caller closes it. `damaged` tells how many there are.
    """
    return _first_whole(reversed(kept_files(folder(directory))), upto_seq)


def at_or_before(directory: Path, seq: int) -> Checkpoint | None:
    """The newest whole checkpoint, archived ones included, that is not after `seq`: where a replay to it begins."""
    files = kept_files(folder(directory)) + kept_files(daily_folder(directory))
    return _first_whole(iter(sorted(files, reverse=True)), seq)


def floor_seq(directory: Path) -> int:
    """What pruning must not pass: the older of the two kept checkpoints.

    0, and nothing may be pruned, while there are fewer than two, or while that cannot be seen.
    """
    try:
        files = kept_files(folder(directory))
    except StorageError:
        return 0
    return files[-KEPT][0] if len(files) >= KEPT else 0


def oldest_exact(directory: Path, first_seq: int) -> int | None:
    """The earliest seq from which a replay is exact: 0, or a checkpoint all inputs after which are kept.

    Args:
        first_seq: The oldest kept input.
    """
    if first_seq <= 1:
        return 0
    files = kept_files(folder(directory)) + kept_files(daily_folder(directory))
    usable = [seq for seq, _ in files if seq + 1 >= first_seq]
    return min(usable, default=None)


def keep_two(directory: Path) -> None:
    """Archive or delete all but the two newest, and leftovers of unfinished ones. Only the writer calls it."""
    daily = daily_folder(directory)
    daily.mkdir(exist_ok=True)
    days = {_day(path) for _, path in kept_files(daily)}
    for _, path in kept_files(folder(directory))[:-KEPT]:
        day = _day(path)
        if day in days:
            path.unlink()
        else:
            path.rename(daily / path.name)
            days.add(day)


def prune_daily(directory: Path, first_seq: int, most_bytes: int) -> int:
    """Delete archives whose following inputs are gone, and the oldest beyond `most_bytes`; return how many."""
    files = kept_files(daily_folder(directory))
    sizes = {path: path.stat().st_size for _, path in files}
    total = sum(sizes.values())
    gone = 0
    for seq, path in files:
        if seq + 1 < first_seq or total > most_bytes:
            path.unlink()
            total -= sizes[path]
            gone += 1
    return gone


def remove_unfinished(directory: Path) -> None:
    """Delete temporary files that a crash left. Only before a writer begins."""
    for path in folder(directory).glob(f"*{TMP_SUFFIX}"):
        path.unlink()


def sync_folder(place: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_whole(files: Iterator[tuple[int, Path]], upto_seq: int | None) -> Checkpoint | None:
    for seq, path in files:
        if upto_seq is not None and seq > upto_seq:
            continue
        try:
            return Checkpoint(path)
        except StorageError:
            continue
    return None


def _day(path: Path) -> datetime.date:
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, tz=datetime.UTC).date()

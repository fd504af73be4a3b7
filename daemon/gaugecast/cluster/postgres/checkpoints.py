"""Checkpoints as rows, so that another machine finds them: the files of a state directory, byte for byte.

The files are made as ever, and are what is read; a whole one becomes rows before it counts as written. Where files are
absent, they are made of the rows again. Which are kept is decided as with files: the two newest, and the first of each
day of those that they displace, for as long as the inputs after it are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gaugecast.cluster.postgres import fence
from gaugecast.cluster.postgres.connection import PostgresConnection, translated
from gaugecast.cluster.postgres.place import Place
from gaugecast.errors import StorageError
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_format import read_header

_PART_BYTES = 8 << 20
#: Those that the two newest displace: the first of a day stays.
_DISPLACED = (
    "SELECT seq, CAST(made_at AT TIME ZONE 'UTC' AS date) FROM checkpoints WHERE NOT daily ORDER BY seq DESC OFFSET 2"
)
_DAYS = "SELECT DISTINCT CAST(made_at AT TIME ZONE 'UTC' AS date) FROM checkpoints WHERE daily"
#: Archives whose following inputs are gone, and the oldest beyond so many bytes.
_PRUNE = (
    "DELETE FROM checkpoints WHERE daily AND (seq + 1 < ? OR seq IN (SELECT seq FROM"
    " (SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS total FROM checkpoints WHERE daily) AS sized"
    " WHERE total > ?))"
)


class CheckpointRows:
    """Stores checkpoints behind the ledger's token. Owned by the thread that writes checkpoints.

    Args:
        token: The ledger's, as it is now.
        oldest_input: The oldest input that the ledger keeps.
        most_bytes: So much the archived ones may take.
    """

    def __init__(
        self, place: Place, token: Callable[[], int], *, oldest_input: Callable[[], int], most_bytes: int
    ) -> None:
        self._place, self._token = place, token
        self._oldest_input, self._most_bytes = oldest_input, most_bytes

    def keep(self, seq: int, path: Path) -> None:
        """Make rows of a file that is whole.

        Raises:
            StorageError: The database is away or full, or (`Fenced`) another process writes this ledger now.
        """
        with translated(self._place):
            connection = PostgresConnection(self._place, name="checkpoint")
            try:
                fence.begin(connection, self._token())
                self._insert(connection, seq, path)
                self._archive(connection)
                connection.execute(_PRUNE, (self._oldest_input(), self._most_bytes))
                connection.execute("COMMIT")
            finally:
                connection.close()

    def _insert(self, connection: PostgresConnection, seq: int, path: Path) -> None:
        connection.execute("DELETE FROM checkpoints WHERE seq = ?", (seq,))
        connection.execute(
            "INSERT INTO checkpoints (seq, bytes, models) VALUES (?, ?, ?)",
            (seq, path.stat().st_size, " ".join(sorted(_models_of(path)))),
        )
        with path.open("rb") as file:
            number = 0
            while part := file.read(_PART_BYTES):
                connection.execute("INSERT INTO checkpoint_parts VALUES (?, ?, ?)", (seq, number, part))
                number += 1

    def _archive(self, connection: PostgresConnection) -> None:
        days = {row[0] for row in connection.execute(_DAYS).fetchall()}
        for seq, day in sorted(connection.execute(_DISPLACED).fetchall()):
            if day in days:
                connection.execute("DELETE FROM checkpoints WHERE seq = ?", (seq,))
            else:
                connection.execute("UPDATE checkpoints SET daily = true WHERE seq = ?", (seq,))
                days.add(day)


def _models_of(path: Path) -> set[str]:
    """Versions of the weights that a checkpoint names."""
    fleets = read_header(path).get("fleets", {})
    return {version for entry in fleets.values() for version in entry["models"].values()}


def bring_down(place: Place, directory: Path, *, archived: bool = False) -> int:
    """Make the files that a state directory lacks of the rows; how many.

    A file that the rows do not know is taken away where the directory is to forecast (not `archived`): it was written
    after the last one that counts, or is of a process that was fenced.

    Args:
        archived: The archived ones, too, for a replay of long ago; nothing is taken away.

    Raises:
        StorageError: The database does not answer.
        OSError: They cannot be written.
    """
    with translated(place):
        connection = PostgresConnection(place, name="checkpoints", reading=True)
        try:
            rows = connection.execute("SELECT seq, daily FROM checkpoints ORDER BY seq").fetchall()
            made = 0
            for seq, daily in rows:
                made += (archived or not daily) and _make(connection, directory, seq, daily=daily)
        finally:
            connection.close()
    if not archived:
        known = {seq for seq, _ in rows}
        for seq, path in checkpoints.kept_files(checkpoints.folder(directory)):
            if seq not in known:
                path.unlink()
    return made


def _make(connection: PostgresConnection, directory: Path, seq: int, *, daily: bool) -> bool:
    """Write one file, unless it is there; whether it was."""
    place = checkpoints.daily_folder(directory) if daily else checkpoints.folder(directory)
    path = place / checkpoints.file_name(seq)
    if path.exists() or (checkpoints.folder(directory) / path.name).exists():
        return False
    place.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}{checkpoints.TMP_SUFFIX}")
    size = connection.execute("SELECT bytes FROM checkpoints WHERE seq = ?", (seq,)).fetchone()
    number = 0
    with unfinished.open("wb") as file:
        while row := connection.execute(
            "SELECT part FROM checkpoint_parts WHERE seq = ? AND number = ?", (seq, number)
        ).fetchone():
            file.write(row[0])
            number += 1
        if size is None or file.tell() != size[0]:
            unfinished.unlink()
            raise StorageError(f"checkpoint {seq}: expected {size and size[0]} bytes, got {file.tell()}")
        os.fsync(file.fileno())
    unfinished.rename(path)
    return True

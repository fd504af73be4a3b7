"""The ledger for everybody but the loop: read-only, in short transactions, while the daemon runs or not."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from gaugecast.ledger import schema
from gaugecast.ledger.connection import connect_reader, translated
from gaugecast.ledger.reads import LedgerReads


def oldest_input(directory: Path) -> int:
    """The first seq that a state directory's ledger keeps. Any thread, any process.

    Raises:
        StorageError: As `LedgerReader`.
    """
    with LedgerReader(directory) as reader:
        return reader.first_seq


class LedgerReader(LedgerReads):
    """A read-only view of `directory`/ledger.sqlite. One thread at a time.

    Every call sees what is durable at that moment, so `replay(after_seq)`, called again and again, follows the tail.

    Raises:
        StorageError: no ledger, a damaged one, or one of another version; from the calls too.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / schema.FILE_NAME
        with translated(path):
            connection = connect_reader(path)
            schema.check_version(connection, path)
        super().__init__(path, connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> LedgerReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""Opening the ledger of a state directory, wherever it lies: in the directory, or in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from gaugecast.config.schema import Storage
from gaugecast.errors import ConfigError, StorageError
from gaugecast.ledger.ports import PastReader
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.reads import Reader
from gaugecast.ledger.schema import FILE_NAME as LEDGER_NAME
from gaugecast.ledger.store import Ledger
from gaugecast.storage import whereabouts
from gaugecast.storage.models import ModelStore
from gaugecast.storage.whereabouts import Elsewhere

if TYPE_CHECKING:
    from gaugecast.cluster.postgres.ledger import PostgresLedger


def open_ledger(storage: Storage) -> Ledger | PostgresLedger:
    """The ledger to be written; made where there is none.

    Raises:
        ConfigError: The state directory has another one, or the extra `postgres` is not installed.
        StorageError: It cannot be opened.
    """
    directory, known = storage.directory, whereabouts.read(storage.directory)
    if not storage.postgres:
        if known is not None:
            raise ConfigError(
                f"[storage] directory {directory}: its ledger is in PostgreSQL, schema {known.schema}: set "
                "postgres, or move the directory away to begin anew"
            )
        return Ledger.open(directory, storage)
    if known is None and (directory / LEDGER_NAME).exists():
        raise ConfigError(
            f"[storage] postgres: {directory} has a ledger of its own; move it away to begin anew in the database"
        )
    opened = _postgres().ledger.PostgresLedger.open(_place(elsewhere(storage)), storage)
    whereabouts.note(directory, elsewhere(storage))
    return opened  # type: ignore[no-any-return]


def open_reader(directory: Path) -> Reader:
    """The ledger of a state directory, to be read. Any process.

    Raises:
        ConfigError: It is in PostgreSQL, and the extra `postgres` is not installed.
        StorageError: There is none, or it cannot be read.
    """
    known = whereabouts.read(directory)
    if known is None:
        return LedgerReader(directory)
    return _postgres().reader.PostgresReader(_place(known))  # type: ignore[no-any-return]


def open_past(directory: Path) -> PastReader:
    """The past of a state directory, to be shown; where it is a cluster's, that of all partitions. Any process.

    Raises:
        ConfigError, StorageError: As `open_reader`.
    """
    known = whereabouts.read(directory)
    if known is None:
        return LedgerReader(directory)
    return _postgres().joined.open_past(_place(known))  # type: ignore[no-any-return]


def open_models(directory: Path) -> ModelStore:
    """The weights of a state directory, to be read."""
    known = whereabouts.read(directory)
    if known is None:
        return ModelStore(directory)
    return _postgres().models.ModelRows(directory, _place(known))  # type: ignore[no-any-return]


def look_up(storage: Storage) -> Path:
    """The state directory, with what it lacks of checkpoints where the ledger is in PostgreSQL; for who only reads.

    A machine on which no daemon has run has them then.

    Raises:
        ConfigError: As `open_reader`.
        StorageError: The database does not answer, or the directory cannot be written.
    """
    directory = storage.directory
    if storage.postgres:
        try:
            whereabouts.note(directory, elsewhere(storage))
            _postgres().checkpoints.bring_down(_place(elsewhere(storage)), directory, archived=True)
        except OSError as exc:
            raise StorageError(f"{directory}: expected to put checkpoints there: {exc}") from exc
    return directory


def elsewhere(storage: Storage) -> Elsewhere:
    """What a configuration names."""
    return Elsewhere(storage.postgres, storage.postgres_schema)


def _place(known: Elsewhere) -> object:
    return _postgres().place.Place(known.url, known.schema)


def _postgres() -> ModuleType:
    """The package, with its modules; only where it is asked for: psycopg is of an extra."""
    try:
        import gaugecast.cluster.postgres.checkpoints
        import gaugecast.cluster.postgres.joined
        import gaugecast.cluster.postgres.ledger
        import gaugecast.cluster.postgres.models
        import gaugecast.cluster.postgres.reader
        import gaugecast.cluster.postgres.world
    except ImportError as exc:
        raise ConfigError(f"[storage] postgres needs psycopg: pip install 'gaugecast[postgres]' ({exc})") from exc
    return gaugecast.cluster.postgres

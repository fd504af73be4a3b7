"""Weights as rows, so that another machine finds them: a state directory's files, byte for byte, beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gaugecast.cluster.postgres import fence
from gaugecast.cluster.postgres.connection import PostgresConnection, translated
from gaugecast.cluster.postgres.place import Place
from gaugecast.errors import ModelError, StorageError
from gaugecast.files import write_whole
from gaugecast.model import Model
from gaugecast.model.weights import MANIFEST_NAME, WEIGHTS_NAME
from gaugecast.storage.models import ModelStore

_KEEP = "INSERT INTO weights (fleet, version, file, content) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_DROP = (
    "DELETE FROM weights WHERE fleet = ? AND version = ?"
    " AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE position(CAST(? AS TEXT) IN models) > 0)"
)


class ModelRows(ModelStore):
    """A state directory's weights, each in the database before an event may name it. One thread.

    Args:
        directory: The state directory.
        token: The ledger's; `None` = weights are only read.
    """

    def __init__(self, directory: Path, place: Place, token: Callable[[], int] | None = None) -> None:
        super().__init__(directory)
        self._place, self._token = place, token

    def add(self, fleet: str, model: Model) -> str:
        """As of `ModelStore`, and as rows.

        Raises:
            OSError: There is no room for them.
            StorageError: The database does not take them.
        """
        version = super().add(fleet, model)
        self._keep(fleet, version)
        return version

    def add_here(self, fleet: str, model: Model) -> str:
        """As files only."""
        return super().add(fleet, model)

    def touch(self, fleet: str, version: str) -> None:
        """An event is about to name these weights: from here on they are rows, too."""
        self._fetch(fleet, version)
        super().touch(fleet, version)
        self._keep(fleet, version)

    def fleets(self) -> list[str]:
        """Fleets that weights were stored for, here or anywhere."""
        rows = self._ask("SELECT DISTINCT fleet FROM weights", ())
        return sorted({*super().fleets(), *(row[0] for row in rows)})

    def bring_down(self) -> None:
        """Make files of all weights that are not here."""
        for fleet, version in self._ask("SELECT DISTINCT fleet, version FROM weights", ()):
            self._fetch(fleet, version)

    def drop(self, fleet: str, version: str) -> None:
        """Nothing here names these weights; their rows go with their files, unless a checkpoint names them."""
        self._ask(_DROP, (fleet, version, version), writes=True)

    def _read(self, fleet: str, version: str) -> Model:
        self._fetch(fleet, version)
        return super()._read(fleet, version)

    def _keep(self, fleet: str, version: str) -> None:
        if self._ask("SELECT 1 FROM weights WHERE fleet = ? AND version = ?", (fleet, version)):
            return
        place = self.place(fleet, version)
        for file in (WEIGHTS_NAME, MANIFEST_NAME):
            self._ask(_KEEP, (fleet, version, file, (place / file).read_bytes()), writes=True)

    def _fetch(self, fleet: str, version: str) -> None:
        """Make the files of rows, where they are absent: weights first, as they are written."""
        place = self.place(fleet, version)
        if (place / MANIFEST_NAME).exists():
            return
        found = self._ask("SELECT file, content FROM weights WHERE fleet = ? AND version = ?", (fleet, version))
        contents: dict[str, bytes] = dict(found)
        if not contents.keys() >= {WEIGHTS_NAME, MANIFEST_NAME}:
            return  # the reader says what is missing
        try:
            place.mkdir(parents=True, exist_ok=True)
            for file in (WEIGHTS_NAME, MANIFEST_NAME):
                write_whole(place / file, contents[file])
        except OSError as exc:
            raise ModelError(f"weights {version} of fleet {fleet!r} cannot be put into {place}: {exc}") from exc

    def _ask(self, sql: str, parameters: tuple[object, ...], *, writes: bool = False) -> list[tuple[Any, ...]]:
        """One question in a session of its own: weights are asked for seldom, by several threads."""
        with translated(self._place):
            connection = PostgresConnection(self._place, name="weights")
            try:
                if not writes:
                    return connection.execute(sql, parameters).fetchall()
                if self._token is None:
                    raise StorageError(f"{self._place}: expected a writer's token before weights are stored")
                fence.begin(connection, self._token())
                connection.execute(sql, parameters)
                connection.execute("COMMIT")
                return []
            finally:
                connection.close()

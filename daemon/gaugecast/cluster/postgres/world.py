"""The world of a core whose ledger is in PostgreSQL: its state directory holds only what can be made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gaugecast.cluster.postgres.checkpoints import CheckpointRows, bring_down
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.models import ModelRows
from gaugecast.cluster.postgres.reader import oldest_input
from gaugecast.config.schema import Storage
from gaugecast.loop.core import Ports
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.orders import TopicFilters
from gaugecast.loop.ports import LoopLink
from gaugecast.storage.checkpoint_writer import DAILY_SHARE, CheckpointWriter
from gaugecast.storage.crash_note import CrashNote
from gaugecast.storage.lineage import new_lineage

Dial = Callable[[TopicFilters, Sequence[str], bool], LoopLink]


class NoWal:
    """PostgreSQL sees to its own; nothing is copied."""

    failures_total = 0
    failure: Exception | None = None

    def copy(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing is open."""


def postgres_ports(
    ledger: PostgresLedger, storage: Storage, notes: CrashNote, *, dial: Dial, alive: Callable[[], None] = lambda: None
) -> Ports:
    """The ports of a core over a ledger in PostgreSQL; brings its checkpoints into `storage.directory`.

    Args:
        ledger: Open, and acquired.
        notes: Of what is being taken.
        dial: The link to the broker.
        alive: Told in between that a long round gets on.

    Raises:
        StorageError: The database does not answer.
        OSError: The state directory cannot be written.
    """
    directory: Path = storage.directory
    bring_down(ledger.place, directory)

    def writer() -> CheckpointWriter:
        def oldest() -> int:
            return oldest_input(ledger.place)

        most_bytes = int(storage.keep_gb * 1e9 * DAILY_SHARE)
        rows = CheckpointRows(ledger.place, lambda: ledger.token, oldest_input=oldest, most_bytes=most_bytes)
        return CheckpointWriter(directory, storage, oldest, NoWal(), kept=rows.keep)

    return Ports(
        ledger=ledger, dial=dial, writer=writer, store=ModelRows(directory, ledger.place, lambda: ledger.token),
        notes=notes, engines=EngineLoader(), alive=alive, new_lineage=new_lineage,
    )  # fmt: skip

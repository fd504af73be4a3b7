"""The real world that a core lives in: ledger, checkpoints and weights of a state directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gaugecast.config.schema import Storage
from gaugecast.ledger.reader import oldest_input
from gaugecast.ledger.schema import FILE_NAME as LEDGER_NAME
from gaugecast.ledger.store import Ledger
from gaugecast.ledger.wal import WalCopier, bound_bytes
from gaugecast.loop.core import Ports
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.orders import TopicFilters
from gaugecast.loop.ports import LoopLink
from gaugecast.storage.checkpoint_writer import CheckpointWriter
from gaugecast.storage.crash_note import CrashNote
from gaugecast.storage.lineage import new_lineage
from gaugecast.storage.models import ModelStore

if TYPE_CHECKING:
    from gaugecast.cluster.postgres.ledger import PostgresLedger

Dial = Callable[[TopicFilters, Sequence[str], bool], LoopLink]


def real_ports(
    ledger: Ledger | PostgresLedger, storage: Storage, notes: CrashNote, *, dial: Dial,
    alive: Callable[[], None] = lambda: None,
) -> Ports:  # fmt: skip
    """The ports of a core over `[storage] directory`.

    Args:
        ledger: Of that directory, open.
        notes: Of what is being taken.
        dial: The link to the broker.
        alive: Told in between that a long round gets on.
    """
    if not isinstance(ledger, Ledger):
        from gaugecast.cluster.postgres.world import postgres_ports  # of the extra `postgres`

        return postgres_ports(ledger, storage, notes, dial=dial, alive=alive)
    directory = storage.directory

    def writer() -> CheckpointWriter:
        wal = WalCopier(directory / LEDGER_NAME, bound=bound_bytes(storage.keep_gb))
        return CheckpointWriter(directory, storage, lambda: oldest_input(directory), wal)

    return Ports(
        ledger=ledger, dial=dial, writer=writer, store=ModelStore(directory), notes=notes, engines=EngineLoader(),
        alive=alive, new_lineage=new_lineage,
    )  # fmt: skip

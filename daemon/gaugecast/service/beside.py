"""The threads that look after what the loop leaves behind: weights that nothing names, pages that rot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gaugecast.ledger.store import Ledger
from gaugecast.service.patrolling import Patroller
from gaugecast.service.sweep import Sweeper

if TYPE_CHECKING:
    from gaugecast.cluster.postgres.ledger import PostgresLedger


def threads_beside(ledger: Ledger | PostgresLedger, directory: Path) -> tuple[Sweeper | Patroller, ...]:
    """They run from here on, until each is closed. PostgreSQL looks after its own pages."""
    if isinstance(ledger, Ledger):
        return Sweeper(directory), Patroller(directory, ledger.damages)
    from gaugecast.cluster.postgres.models import ModelRows  # of the extra `postgres`

    return (Sweeper(directory, ModelRows(directory, ledger.place, lambda: ledger.token)),)

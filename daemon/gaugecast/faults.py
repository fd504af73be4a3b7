"""The named points at which a test may make the ledger fail or the process die."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the name of a point just reached. It may raise (a failing disk) or never return (a crash).
Faults = Callable[[str], None]

#: Every point, in the order in which a commit, a checkpoint and a prune pass them.
FAULT_POINTS = (
    "commit:before",  # nothing begun
    "commit:begun",  # the write lock is held
    "commit:inserted",  # all rows are in the transaction
    "commit:after",  # durable
    "checkpoint:header",  # the temporary file has its header
    "checkpoint:chunk",  # and one more chunk
    "checkpoint:tmp",  # it is complete and fsynced
    "checkpoint:renamed",  # it has its name, the directory is not yet fsynced
    "checkpoint:after",  # durable
    "checkpoint:kept",  # older ones are archived or deleted
    "prune:deleted",  # rows are sealed or deleted, not yet committed
    "prune:after",  # durable
)

#: What a ledger of an earlier version passes when it is opened.
UPGRADE_POINTS = (
    "upgrade:begun",  # the write lock is held
    "upgrade:made",  # all tables are in the transaction
    "upgrade:after",  # durable
)


def no_faults(_point: str) -> None:
    """The default: nothing goes wrong."""

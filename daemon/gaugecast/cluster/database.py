"""Whether a cluster's database lets it in, and has the ledgers that the cluster means: asked before anything begins."""

from __future__ import annotations

from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres import fence
from gaugecast.cluster.postgres.connection import PostgresConnection, translated
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.schema import PARTITIONS, count_partitions, make_tables
from gaugecast.errors import ConfigError, StorageError
from gaugecast.ledger import queries


def check_database(plan: Plan) -> None:
    """Note in the schema that the configuration names of how many partitions it is; their ledgers are beside it.

    Whoever takes it for a ledger then is told so: else a replay of nothing would pass for one without a fault.

    Raises:
        StorageError: The database does not answer, or refuses.
        ConfigError: The ledgers there are those of another number of partitions, or of a daemon.
    """
    settings, place = plan.settings, Place.of(plan.settings.storage)
    key = f"{settings.source}: [storage]"
    try:
        known = _note(place, plan.partitions)
    except StorageError as exc:
        raise type(exc)(f"{key} postgres: {exc}") from exc
    if not known:
        raise ConfigError(
            f"{key} postgres_schema: {place.schema!r} has the ledger of a single daemon; a cluster begins anew, under "
            "another name"
        )
    if known != plan.partitions:
        raise ConfigError(
            f"--partitions: expected {known}, as when the ledgers were made, got {plan.partitions}; "
            f"{key} postgres_schema with another name begins anew with as many as you like"
        )


def _note(place: Place, partitions: int) -> int:
    """As many as there are partitions from now on; 0 = it is a daemon's."""
    with translated(place):
        session = PostgresConnection(place, name="cluster")
        try:
            make_tables(session, place)
            known = count_partitions(session, place)
            if known:
                return known
            if fence.newest(session, fence.WRITER):
                return 0
            session.execute(queries.SET_META, (PARTITIONS, partitions))
            return partitions
        finally:
            session.close()

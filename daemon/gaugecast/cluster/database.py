"""Whether a cluster's database lets it in, and has the ledgers that the cluster means: asked before anything begins."""

from __future__ import annotations

from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.routing import SLOTS, slots_of
from gaugecast.errors import ConfigError, StorageError


def check_database(plan: Plan) -> None:
    """Open the first partition's ledger, made where there is none, without taking its token.

    Raises:
        StorageError: The database does not answer, or refuses.
        ConfigError: The ledgers there are those of another number of partitions.
    """
    settings, ours = plan.settings, slots_of(0, plan.partitions)
    key = f"{settings.source}: [storage]"
    try:
        ledger = PostgresLedger.open(Place.of(settings.storage).part(0), settings.storage, acquire=False)
        known = range(ledger.noted("slots_from"), ledger.noted("slots_to"))
        ledger.close()
    except StorageError as exc:
        raise type(exc)(f"{key} postgres: {exc}") from exc
    if known and known != ours:
        raise ConfigError(
            f"--partitions: expected {round(SLOTS / len(known))}, as when the ledgers were made, got "
            f"{plan.partitions}; {key} postgres_schema with another name begins anew with as many as you like"
        )

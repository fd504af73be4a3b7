"""What happens to the daemon, for the log: told once when it changes, not every second while it lasts."""

from __future__ import annotations

from gaugecast.logs import get
from gaugecast.status import Side, Status

log = get("gaugecast")


class TransitionLog:
    """Compares what the daemon says of itself with what it said a second ago; owned by the loop's thread."""

    def __init__(self) -> None:
        self._before = Status()
        self._fault: str | None = None  # as told, of the connection that subscribes
        self._mute: str | None = None  # the same of the one that publishes

    def look(self, status: Status) -> None:
        """Write what is new."""
        before, self._before = self._before, status
        self._look_at_broker(before, status)
        self._look_at_publishing(before, status)
        why = {
            "checkpoint": status.storage.checkpoint_failure,
            "damaged": status.storage.damage,
            "qos": status.broker.lowered,
            "storage_fault": status.storage.fault,
        }
        for reason in sorted(set(status.degraded) - set(before.degraded)):
            log.warning("degraded", reason=reason, **({"why": why[reason]} if why.get(reason) else {}))
        for reason in sorted(set(before.degraded) - set(status.degraded)):
            log.info("no longer degraded", reason=reason)
        storage, stood = status.storage, before.storage
        if storage.checkpoint_failures_total > stood.checkpoint_failures_total:
            log.error("checkpoint failed", why=storage.checkpoint_failure)
        if storage.damaged_total > stood.damaged_total:
            log.error("ledger damaged", where=storage.damage, places=storage.damaged_total)
        vain = storage.wal_copy_failures_total
        if vain.bit_length() > stood.wal_copy_failures_total.bit_length():  # each second: told at 1, 2, 4, …
            log.error("write-ahead log not copied", why=storage.wal_failure, failures=vain)

    def _look_at_broker(self, before: Status, status: Status) -> None:
        broker, was = status.broker, before.broker
        if broker.connected and (broker.reconnects_total > was.reconnects_total or not was.connected):
            log.info("broker connected", broker=broker.address, reconnects=broker.reconnects_total)
        if broker.session_lost_total > was.session_lost_total:
            log.warning("session lost", broker=broker.address, what="whatever the broker held for us is gone")
        self._fault = _tell(self._fault, broker, refusal=broker.deaf)
        if broker.dropped_total is not None and was.dropped_total is not None:
            more = broker.dropped_total - was.dropped_total
            if more > 0:
                log.warning("broker drops messages", more=more, total=broker.dropped_total)

    def _look_at_publishing(self, before: Status, status: Status) -> None:
        publishing, was = status.publishing, before.publishing
        if publishing.connected and (publishing.reconnects_total > was.reconnects_total or not was.connected):
            log.info("connected for publishing", broker=publishing.address, reconnects=publishing.reconnects_total)
        if publishing.unkept is not None and publishing.unkept != was.unkept:
            log.warning("nothing is retained", broker=publishing.address, why=publishing.unkept)
        self._mute = _tell(self._mute, publishing, refusal=publishing.mute, what=" for publishing")


def _tell(told: str | None, side: Side, *, refusal: str | None, what: str = "") -> str | None:
    """Write what is wrong with one connection where it has not just been told; what has been told by now."""
    fault = (refusal if side.connected else None) or side.error
    if fault is not None and fault != told:
        event = "broker refuses" if side.connected else f"broker not connected{what}"
        log.warning(event, broker=side.address, why=fault)
    return fault if fault is not None or side.connected else told

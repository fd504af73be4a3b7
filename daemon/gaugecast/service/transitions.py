"""What befalls the daemon, for the log: told once when it changes, not every second while it lasts."""

from __future__ import annotations

from gaugecast.logs import get
from gaugecast.metrics.facts import State

log = get("gaugecast")


class TransitionLog:
    """Compares what the daemon says of itself with what it said a second ago; owned by the loop's thread.

    Args:
        broker: `host:port`, for people.
    """

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._before = State()
        self._fault = ""

    def look(
        self, state: State, *, fault: str | None, checkpoint_failure: BaseException | None = None,
        wal_failure: Exception | None = None,
    ) -> None:  # fmt: skip
        """Write what is new.

        Args:
            fault: Why there is no connection, or what the broker did not grant; `None` if all is well.
            checkpoint_failure: What ended the newest checkpoint.
            wal_failure: Why the write-ahead log was not copied when that was last tried in vain.
        """
        before, self._before = self._before, state
        self._look_at_connection(before, state, fault or "")
        for reason in sorted(state.degraded - before.degraded):
            log.warning("degraded", reason=reason)
        for reason in sorted(before.degraded - state.degraded):
            log.info("no longer degraded", reason=reason)
        if state.checkpoint_failures_total > before.checkpoint_failures_total:
            log.error("checkpoint failed", why=str(checkpoint_failure))
        vain, vain_before = state.wal_copy_failures_total, before.wal_copy_failures_total
        if vain.bit_length() > vain_before.bit_length():  # tried each second: told at the first, second, fourth, …
            log.error("write-ahead log not copied", why=str(wal_failure), failures=vain)
        dropped, dropped_before = state.broker_dropped_total, before.broker_dropped_total
        if dropped is not None and dropped_before is not None and dropped > dropped_before:
            log.warning("broker drops messages", more=dropped - dropped_before, total=dropped)

    def _look_at_connection(self, before: State, state: State, fault: str) -> None:
        again = state.mqtt_reconnects_total > before.mqtt_reconnects_total
        if state.mqtt_connected and (again or not before.mqtt_connected):
            log.info("broker connected", broker=self._broker, reconnects=state.mqtt_reconnects_total)
        if state.mqtt_session_lost_total > before.mqtt_session_lost_total:
            log.warning("session lost", broker=self._broker, what="whatever the broker held for us is gone")
        if fault and fault != self._fault:
            event = "broker refuses" if state.mqtt_connected else "broker not connected"
            log.warning(event, broker=self._broker, why=fault)
        if fault or state.mqtt_connected:
            self._fault = fault

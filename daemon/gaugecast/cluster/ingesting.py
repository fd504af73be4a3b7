"""One ingest at work: its lease, its link to the broker, its thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from gaugecast.cluster.ending import live_and_tell
from gaugecast.cluster.ingest import MOST_MESSAGES, Ingest
from gaugecast.cluster.plan import IngestPlan
from gaugecast.cluster.ports import Partitions
from gaugecast.cluster.postgres.lease import Lease
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.routing import Routing
from gaugecast.errors import StorageError
from gaugecast.logs import get
from gaugecast.loop.orders import TopicFilters
from gaugecast.mqtt import Link
from gaugecast.payloads import Decoder

#: While batches are on their way their answers are looked for so often, and there is no haste to take what comes: it
#: waits for the next batch. Else a message ends the wait.
_BUSY_S, _IDLE_S = 0.002, 0.05

log = get("gaugecast.ingest")


class IngestStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What an ingest says of itself; totals are of this process.

    Attributes:
        connected: Subscribed, too.
        waiting: Messages that are polled and not acked.
    """

    name: str
    connected: bool = False
    error: str | None = None
    received_total: int = 0
    acked_total: int = 0
    waiting: int = 0
    cpu_s: float = 0.0


class IngestHome:
    """Its thread owns all of it but the newest status.

    Args:
        plan: Which ingest.
        partitions: How many there are.
        way: To them; owned by the thread from now on.
        ended: Told how the thread ended; `None` = as asked.
    """

    def __init__(
        self, plan: IngestPlan, partitions: int, *, way: Partitions, ended: Callable[[BaseException | None], None]
    ) -> None:
        self.status = IngestStatus(name=plan.name)
        self._plan, self._partitions, self._way, self._ended = plan, partitions, way, ended
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=plan.name, daemon=True)
        self._thread.start()

    def stop(self, *, patience_s: float = 10.0) -> None:
        """End; what is not acked comes again."""
        self._stopping.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        live_and_tell(self._live, self._ended, log=log, part="ingest", name=self._plan.name)

    def _live(self) -> None:
        plan = self._plan
        lease = Lease.acquire(Place.of(plan.settings.storage), plan.name)
        wanted = TopicFilters.of(plan.fleets, watch_drops=False)
        link = Link(
            plan.settings.mqtt, wanted.filters, retained=wanted.retained, resumed=lease.token > 1,
            may_dial=lambda: _may_dial(lease),
        )  # fmt: skip
        ingest = Ingest(
            plan.name, lease.token, source=link, decoder=Decoder(plan.fleets, plan.settings.loop),
            routing=Routing(self._partitions), partitions=self._way, clock_ns=time.time_ns,
            most_messages=max(MOST_MESSAGES, 2 * plan.settings.mqtt.receive_maximum),
        )  # fmt: skip
        while not self._stopping.is_set():
            busy = ingest.waiting > 0
            ingest.turn(_BUSY_S if busy else _IDLE_S, _BUSY_S if busy else 0.0)
            self.status = IngestStatus(
                name=plan.name,
                connected=link.subscriber.connected and link.subscriber.deaf is None,
                error=link.subscriber.last_error,
                received_total=ingest.received,
                acked_total=ingest.acked,
                waiting=ingest.waiting,
                cpu_s=time.thread_time(),
            )
        link.close(0.2)
        lease.close()


def _may_dial(lease: Lease) -> bool:
    """Whether the place is ours still; while nobody knows, an attempt fails and is made again later."""
    try:
        return lease.holds()
    except StorageError as exc:
        raise ConnectionError(f"whether {lease.name} is ours still cannot be asked: {exc}") from exc

"""One partition at work: the daemon's core in a thread of its own, over a ledger in PostgreSQL, fed by ingests."""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from gaugecast import events
from gaugecast.cluster.batches import Batch
from gaugecast.cluster.ending import live_and_tell
from gaugecast.cluster.inbox import BatchDecoder
from gaugecast.cluster.link import InboxLink
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.models import ModelRows
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.world import postgres_ports
from gaugecast.cluster.routing import slots_of
from gaugecast.config import Settings
from gaugecast.control.requests import HandOver, decode_request
from gaugecast.control.server import Command
from gaugecast.engine.selftest import fingerprint
from gaugecast.errors import CommandRefused, Unreachable
from gaugecast.events import Role
from gaugecast.lessons import LearningStatus
from gaugecast.logs import get
from gaugecast.loop.core import Core, Ports, Setup
from gaugecast.loop.orders import TopicFilters
from gaugecast.metrics.exporter import Metrics
from gaugecast.model import load_model
from gaugecast.service.commands import Commands
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.service.learning_mode import settled
from gaugecast.service.reporter import Reporter
from gaugecast.status import Status
from gaugecast.storage.crash_note import CrashNote

_TICK_S = 1.0
#: A question is answered between two batches.
_ASK_S = 10.0

log = get("gaugecast.partition")


class PartitionHome:
    """Its thread owns all of it but the inbox, the newest status and the newest metrics.

    Args:
        plan: Of the cluster.
        number: Which partition.
        scratch: A directory of this process alone; what is in it can be made again.
        ended: Told how the thread ended: `None` = as asked. From then on nothing may be written.

    Attributes:
        status: The newest account.
        ready: Set once it takes batches.
        warm: Set once it is as near as it can come without taking the token.
    """

    def __init__(
        self, plan: Plan, number: int, *, scratch: Path, ended: Callable[[BaseException | None], None]
    ) -> None:
        self.number, self.status = number, Status()
        self.warm, self.ready = threading.Event(), threading.Event()
        self._plan, self._scratch, self._ended = plan, scratch, ended
        self._settings = _settings_of(plan, number, scratch)
        self._learning = LearningStatus(mode="child") if plan.learned else plan.learning
        self._place = Place.of(self._settings.storage).part(number)
        self._monitor = LearnerMonitor()
        self._asked: deque[Command] = deque()
        self._token = 0
        self._begin, self._stopping = threading.Event(), threading.Event()
        self._metrics = Metrics(stream_series=self._settings.http.stream_series, fingerprint=fingerprint())
        self._link: InboxLink | None = None
        self._thread = threading.Thread(target=self._run, name=f"partition-{number}", daemon=True)
        self._thread.start()

    # -- any thread

    def begin(self) -> None:
        """Take the next token, and go on where the one before stopped: that one is fenced from now on."""
        self._begin.set()

    def deliver(self, batch: Batch, *, patience_s: float) -> bool:
        """Take a batch and wait until it is durable; `False` = it is not yet: to be asked again.

        Raises:
            Fenced: A later process of that ingest has sent something already.
            OutOfSequence: It does not follow on the last.
            Unreachable: Not ready yet.
        """
        link = self._link
        if link is None or not self.ready.is_set():
            raise Unreachable(f"partition {self.number} is not ready yet")
        return link.subscriber.offer(batch).done.wait(patience_s)

    def ask(self, request: msgspec.Struct | Mapping[str, Any]) -> dict[str, Any]:
        """As the control socket of a daemon is asked; the answer without `ok`.

        Raises:
            CommandRefused: Why it will not.
            Unreachable: No answer came.
        """
        link, answers = self._link, queue.SimpleQueue[bytes]()
        if link is None or not self.ready.is_set():
            raise Unreachable(f"partition {self.number} is not ready yet")
        self._asked.append(Command(decode_request(msgspec.json.encode(request)), answers.put))
        link.ring()
        try:
            answer = msgspec.json.decode(answers.get(timeout=_ASK_S), type=dict[str, Any])
        except queue.Empty:
            raise Unreachable(f"partition {self.number}: expected an answer within {_ASK_S:g} s, got none") from None
        if not answer.pop("ok", False):
            raise CommandRefused(str(answer.get("error", "no reason given")))
        return answer

    def take_weights(
        self, fleet: str, files: Mapping[str, bytes], memory: Sequence[bytes], *, role: Role = "shadow",
        reason: str = events.LEARNED,
    ) -> None:  # fmt: skip
        """Store weights, with our token, and give them a role: between two batches, by an event in our ledger.

        Args:
            files: By name, as a model's directory has them.
            memory: What they remember of streams, whosever these are.
            role: What was learned is put in force by itself where weights of its shape are.

        Raises:
            GaugecastError: They do not get it; the message says why.
            OSError: There is no room for them.
        """
        if not self.ready.is_set():
            raise Unreachable(f"partition {self.number} is not ready yet")
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            model = load_model(Path(folder))
        store = ModelRows(self._scratch, self._place, lambda: self._token)
        version = store.add(fleet, model)
        if memory:
            store.leave_memory(fleet, version, memory)
        self.ask(HandOver(fleet=fleet, version=version, role=role, reason=reason))

    def render_metrics(self) -> bytes:
        """As /metrics of a daemon."""
        return self._metrics.render()

    def stop(self, *, patience_s: float = 30.0) -> None:
        """Drain, a last checkpoint, close; wait for it."""
        self._stopping.set()
        self._begin.set()
        self._thread.join(patience_s)

    # -- its thread

    def _run(self) -> None:
        live_and_tell(self._live, self._ended, log=log, part="partition", partition=self.number)

    def _live(self) -> None:
        slots = slots_of(self.number, self._plan.partitions)
        ledger = PostgresLedger.open(self._place, self._settings.storage, slots=slots, acquire=False)
        self.warm.set()
        self._begin.wait()
        if self._stopping.is_set():
            return
        ledger.acquire()
        self._token = ledger.token
        core = self._open_core(ledger)
        reporter = self._reporter(core)
        log.info("partition ready", partition=self.number, fence=ledger.token, inputs=core.recovered.inputs)
        self.ready.set()
        self._turn(core, reporter)
        core.drain(patience_s=1.0)
        core.close()

    def _turn(self, core: Core, reporter: Reporter) -> None:
        tick_at_s = 0.0
        commands = Commands(core, self._monitor, lambda: self.status)
        while not self._stopping.is_set():
            facts = core.turn()
            self._metrics.observe(facts)
            reporter.note_latencies(facts.latencies_s)
            commands.answer([self._asked.popleft() for _ in range(len(self._asked))])
            now_s = time.monotonic()
            if now_s >= tick_at_s:
                tick_at_s = now_s + _TICK_S
                core.look_after()
                self._monitor.look(now_s)
                self.status = reporter.look(now_s)
                self._metrics.set_status(self.status)

    def _open_core(self, ledger: PostgresLedger) -> Core:
        settings = self._settings

        def dial(_wanted: TopicFilters, _forget: Sequence[str], _resumed: bool) -> InboxLink:
            committed = {ingest.name: ledger.noted(ingest.name) for ingest in self._plan.ingests}
            self._link = InboxLink(settings.mqtt, committed)
            return self._link

        notes = CrashNote(self._scratch)
        ports = postgres_ports(ledger, settings.storage, notes, dial=dial)
        decoder = BatchDecoder(ledger.note)
        learning = settled(settings.learning, self._learning)
        setup = Setup(self._plan.fleets, settings.loop, settings.storage, learning)
        return Core.open(setup, _reading_by(ports, decoder))

    def _reporter(self, core: Core) -> Reporter:
        http = self._settings.http
        return Reporter(
            core, settings=self._settings, monitor=self._monitor, child=None,
            learning=self._learning, metrics_url=f"http://{http.host}:{http.port}/metrics",
        )  # fmt: skip


def _settings_of(plan: Plan, number: int, scratch: Path) -> Settings:
    """Those of a partition: its own state directory and its own connection."""
    settings = plan.settings
    return settings.model_copy(
        update={
            "storage": settings.storage.model_copy(update={"directory": scratch}),
            "mqtt": settings.mqtt.model_copy(update={"client_id": f"{settings.mqtt.client_id}-p{number}"}),
        }
    ).read_from(settings.source)


def _reading_by(ports: Ports, decoder: BatchDecoder) -> Ports:
    return replace(ports, new_decoder=lambda _fleets, _limits: decoder)

"""What the benchmarks send and what they hear: load from processes of its own, and an independent subscriber."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gaugecast_sim.load import LoadGenerator, LoadReport
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Sink

_FORK = multiprocessing.get_context("fork")
#: A closed loop keeps what comes back in so many seconds under way, and never less than a few messages.
LOOP_S, LEAST = 1.0, 32
_LOOK_S = 0.05


def start_ns() -> int:
    """Event time of the first round: ten days ago, so that event time may run ahead of the clock."""
    return (time.time_ns() // 10**9 - 10 * 86_400) * 10**9


def plan_of(streams: int, qos: int) -> LoadPlan:
    """Streams of two features, from `start_ns` on."""
    return LoadPlan(streams, start_ns(), topic="load/{stream}", qos=qos)


class Counter:
    """A subscriber in a process of its own; `read()` is how many messages it has."""

    def __init__(self, port: int, topic: str, qos: int) -> None:
        self._count = _FORK.Value("q", 0)
        self._ready = _FORK.Event()
        self._process = _FORK.Process(target=self._run, args=(port, topic, qos), daemon=True)
        self._process.start()
        assert self._ready.wait(10), "the counting subscriber did not subscribe"

    def _run(self, port: int, topic: str, qos: int) -> None:
        with Sink("127.0.0.1", port, [topic], qos=qos) as sink:
            self._ready.set()
            while True:
                sink.wait_for(self._count.value + 1, _LOOK_S)
                self._count.value = sink.count

    def read(self) -> int:
        """Messages so far."""
        return int(self._count.value)

    def reached(self, count: int, deadline_s: float) -> bool:
        """Wait until there are so many, or the deadline."""
        until = time.monotonic() + deadline_s
        while self.read() < count and time.monotonic() < until:
            time.sleep(0.01)
        return self.read() >= count

    def settled(self) -> int:
        """The count once nothing has come for half a second."""
        count, since = self.read(), time.monotonic()
        while time.monotonic() - since < 0.5:
            time.sleep(0.02)
            if self.read() != count:
                count, since = self.read(), time.monotonic()
        return count

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()


class BatchCounter(Counter):
    """The same of batches; `read()` is how many forecasts they have brought."""

    def _run(self, port: int, topic: str, qos: int) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = self._add
        client.connect("127.0.0.1", port)
        client.subscribe(topic, qos)
        client.loop_forever()

    def _add(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._count.value += message.payload.count(b'"step":')


class Allowance:
    """How many messages a closed loop may have sent: all that came back, and as many as come back in `LOOP_S`.

    Args:
        heard: Messages that have come back so far.
        least: So many may always be under way.
        clock: Monotonic seconds.
    """

    def __init__(
        self, heard: Callable[[], int], *, least: int = LEAST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._heard, self._least, self._clock = heard, least, clock
        self._rate, self._looked = 0.0, (clock(), heard())

    def __call__(self) -> int:
        """The count up to which may be sent now."""
        now, heard = self._clock(), self._heard()
        then, before = self._looked
        if now - then >= _LOOK_S:
            self._rate += 0.2 * ((heard - before) / (now - then) - self._rate)
            self._looked = now, heard
        return int(heard + max(self._least, LOOP_S * self._rate))


class Traffic:
    """Load of one plan, message after message, each time from a process of its own; one at a time.

    Attributes:
        sent: Messages so far.
    """

    def __init__(self, port: int, plan: LoadPlan) -> None:
        self.sent = 0
        self._port, self._plan = port, plan
        self._process: Any = None
        self._stop = _FORK.Event()
        self._reports: Any = _FORK.SimpleQueue()

    def offer(self, rate: float, seconds: float) -> LoadReport:
        """Send at a rate, whatever comes back, until it is over."""
        self.begin(rate, seconds)
        return self.end()

    def begin(self, rate: float, seconds: float) -> None:
        """Begin to send at a rate."""
        self._start(rate=rate, seconds=seconds)

    def begin_loop(self, counter: Counter, *, count: int | None = None, seconds: float | None = None) -> None:
        """Begin to send as fast as it comes back, until `stop`; or `count` messages, or so long."""
        before = counter.read()
        self._start(count=count, seconds=seconds, upto=lambda: counter.read() - before)

    def stop(self) -> LoadReport:
        """Ask the load to end, and wait."""
        self._stop.set()
        return self.end()

    def end(self) -> LoadReport:
        """Wait until the load has ended."""
        self._process.join()
        assert self._process.exitcode == 0, "the load ended with an error"
        report: LoadReport = self._reports.get()
        self.sent += report.sent
        return report

    def _start(self, *, upto: Any = None, **how: Any) -> None:
        assert self._process is None or not self._process.is_alive(), "one load at a time"
        self._stop.clear()
        self._process = _FORK.Process(target=self._run, args=(self.sent, upto, how), daemon=True)
        self._process.start()

    def _run(self, first: int, heard: Any, how: dict[str, Any]) -> None:
        upto = None if heard is None else Allowance(heard)
        generator = LoadGenerator("127.0.0.1", self._port, self._plan, first=first, upto=upto, drain_s=60.0, **how)
        self._reports.put(generator.run(cast("threading.Event", self._stop)))  # of two processes, asked the same way

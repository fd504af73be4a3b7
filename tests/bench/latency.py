"""How long a reading takes to its forecast while the learner learns: p50, p99 and p99.9, by load.

Readings whose way is timed are a steady thousand a second, beside load of other streams; who hears both is not us.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable

import numpy as np

from bench.contest import Lane
from bench.results import Bound, Result
from bench.rig import DaemonRun, prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from bench.traffic import start_ns
from gaugecast.config.schema import Loop
from gaugecast_sim.link import PublishLink
from gaugecast_sim.sink import Sink
from support.mosquitto import wait_until

STREAMS = 1000
PROBES, PROBE_RATE = 100, 1000.0
HOLD_S = 12.0
#: What the learner wakes up to, and how long that may take, s.
WAKING_RATE, BUSY_S = 2000.0, 240.0
SHARES = (0.1, 0.5, 0.8)
PERCENTILES = (50, 99, 99.9)
BATCH_MS = Loop.model_fields["batch_ms"].default
SPARE_MS = 15.0
LEARNING = 'mode = "child"\ncpu = 0.5\nevery_s = 1.0'


def measure(scale: Scale) -> list[Result]:
    """At shares of what is held, and at 1,000/s without waiting for a batch to fill; the learner on."""
    results = []
    with workplace() as place, run_broker(place / "broker") as broker:
        config = prepare(place / "daemon", broker.port, qos=1, learning=LEARNING)
        with run_daemon(config) as daemon:
            lane = Lane(broker.port, daemon.child.pid, streams=STREAMS, qos=1)
            lane.warm(10)
            lane.traffic.begin(WAKING_RATE, BUSY_S)
            _wait_busy(daemon, lambda: time.sleep(0.5))
            lane.traffic.stop()
            held = lane.pace(scale).rate
            prober = Prober(broker.port)
            for share in SHARES:
                results += _at_share(lane, prober, share, held, scale)
            lane.close()
    with workplace() as place, run_broker(place / "broker") as broker:
        config = prepare(place / "daemon", broker.port, qos=1, learning=LEARNING, loop="batch_ms = 0")
        with run_daemon(config) as daemon:
            prober = Prober(broker.port)
            _wait_busy(daemon, lambda: prober.latencies_ms(2.0))
            note = f"`batch_ms = 0`, {PROBE_RATE:,.0f} readings/s at QoS 1, learner on"
            results += _rows("latency_no_wait", prober.latencies_ms(scale.seconds(HOLD_S)), {99: 10.0}, note)
    return results


def _at_share(lane: Lane, prober: Prober, share: float, held: float, scale: Scale) -> list[Result]:
    """Latencies while this share of the held rate is offered."""
    hold_s = scale.seconds(HOLD_S)
    lane.traffic.begin(max(1.0, share * held - PROBE_RATE), hold_s + 2)
    time.sleep(1.0)
    taken_ms = prober.latencies_ms(hold_s)
    lane.traffic.end()
    lane.counter.settled()
    note = f"{share:.0%} of {held:,.0f}/s held at QoS 1, learner on"
    bounds: dict[float, float] = {99: BATCH_MS + SPARE_MS} if share == 0.5 else {}
    return _rows(f"latency_{share * 100:.0f}", taken_ms, bounds, note)


def _rows(name: str, taken_ms: list[float], bounds: dict[float, float], note: str) -> list[Result]:
    return [
        Result(
            f"{name}_p{f'{percent:g}'.replace('.', '')}_ms", "ms", [float(np.percentile(taken_ms, percent))],
            bound=Bound("≤", bounds[percent]) if percent in bounds else None, note=f"{note}; {len(taken_ms):,} timed",
        )
        for percent in PERCENTILES
    ]  # fmt: skip


def _wait_busy(daemon: DaemonRun, pass_time: Callable[[], object]) -> None:
    """Wait under some load until the learner has compiled and hands over."""
    until = time.monotonic() + BUSY_S
    while daemon.metric("gaugecast_learner_handovers_total") < 2:
        assert time.monotonic() < until, f"the learner did not hand over within {BUSY_S:.0f} s"
        pass_time()


class Prober:
    """Publishes one message at a time at an even pace, from a process of its own, and hears when each comes back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._count = 0
        self._start_s = start_ns() // 10**9

    def latencies_ms(self, seconds: float) -> list[float]:
        """From each publish to its forecast at a subscriber, at `PROBE_RATE` for so long."""
        count = int(seconds * PROBE_RATE)
        topics = [f"echo/p{i}" for i in range(PROBES)]
        with Sink("127.0.0.1", self._port, topics, qos=1, record=True) as sink:
            with multiprocessing.get_context("fork").Pool(1) as pool:
                sent_ns = pool.apply(_publish, (self._port, self._start_s, self._count, count))
            wait_until(lambda: len(sink.messages) >= count, what="all forecasts", deadline_s=60)
            names = [_name(self._start_s, self._count + i) for i in range(count)]
            self._count += count
            return _match(sink, dict(zip(names, sent_ns, strict=True)))


def _match(sink: Sink, sent_ns: dict[tuple[str, int], int]) -> list[float]:
    """Milliseconds of each forecast whose reading is known."""
    taken_ms = []
    for message in sink.messages:
        body = json.loads(message.payload)
        sent = sent_ns.get((body["stream"], round(body["at"])))
        if sent is not None:
            taken_ms.append((message.received_ns - sent) / 1e6)
    assert len(taken_ms) >= 0.99 * len(sent_ns), f"{len(taken_ms)} of {len(sent_ns)} forecasts came"
    return taken_ms


def _name(start_s: int, number: int) -> tuple[str, int]:
    return f"p{number % PROBES}", start_s + number // PROBES


def _publish(port: int, start_s: int, first: int, count: int) -> list[int]:
    rng = np.random.default_rng(first)
    sent_ns = []
    with PublishLink("127.0.0.1", port) as link:
        begun = time.monotonic()
        for i in range(count):
            stream, at_s = _name(start_s, first + i)
            phase = 2 * np.pi * at_s / 40 + (first + i) % PROBES
            values = np.sin([phase, phase / 2]) + 0.05 * rng.standard_normal(2)
            body = f'{{"t": {at_s}, "pressure": {values[0]:.4f}, "temperature": {values[1]:.4f}}}'
            left_s = begun + i / PROBE_RATE - time.monotonic()
            if left_s > 0:
                time.sleep(left_s)
            sent_ns.append(time.time_ns())
            link.publish(f"load/{stream}", body.encode(), qos=1)
        link.drain()
    return sent_ns

"""What learning costs the loop: latency with the learner busy, the pause of a hand-over, and an update itself."""

from __future__ import annotations

import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.results import Result
from bench.rig import BROKER, DaemonRun, prepare, run_daemon, start_ns
from gaugecast import events
from gaugecast.config.schema import Learning, Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.online.pupil import Pupil
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.model_roles import ModelRoles
from gaugecast.model import Model, seal_model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Order
from gaugecast.storage.models import ModelStore
from gaugecast_sim.link import PublishLink
from gaugecast_sim.sink import Sink
from support.mosquitto import run_mosquitto, wait_until

STREAMS, RATE, HOLD_S, TRIES = 100, 1000.0, 15.0, 2
UNITS = 64
OFF = '\n[learning]\nmode = "off"\n'
LEARNING = """
[learning]
mode = "child"
cpu = 0.5
every_s = 1.0
"""
HANDOVERS, HANDOVER_STREAMS = 40, 1000
UPDATES = 200


def measure() -> list[Result]:
    """All three figures."""
    return [*measure_latency(), measure_handover(), measure_update()]


# -- latency, end to end


def measure_latency() -> list[Result]:
    """p99 from publish to forecast at the subscriber, the learner off and busy in turn."""
    off_ms: list[float] = []
    busy_ms: list[float] = []
    for _ in range(TRIES):
        for learning, found in (("", off_ms), (LEARNING, busy_ms)):
            found.append(_p99_ms(learning))
            print(f"    learner {'busy' if learning else 'off '}: p99 {found[-1]:.1f} ms", flush=True)
    off, busy = statistics.median(off_ms), statistics.median(busy_ms)
    note = f"p99 {busy:.1f} ms busy, {off:.1f} ms off; {RATE:.0f} msg/s, {STREAMS} streams, hand-overs each second"
    return [Result("latency_p99_learner_ratio", busy / off, "×", bound="≤ 2", note=note)]


def _p99_ms(learning: str) -> float:
    with tempfile.TemporaryDirectory() as name, run_mosquitto(Path(name) / "b", conf=BROKER, log_all=False) as broker:
        config = prepare(Path(name) / "d", broker.port, qos=0, units=UNITS)
        config.write_text(config.read_text().replace(OFF, learning or OFF))
        with run_daemon(config) as daemon, Sink("127.0.0.1", broker.port, ["echo/#"], record=True) as sink:
            sender = Sender(broker.port)
            sender.send(2.0)
            if learning:
                _wait_busy(daemon, sender)
            before = daemon.metric("gaugecast_learner_handovers_total")
            begun = len(sink.messages)
            sent_ns = sender.send(HOLD_S)
            wait_until(lambda: len(sink.messages) >= begun + len(sent_ns), what="all forecasts", deadline_s=30)
            if learning:
                handed = daemon.metric("gaugecast_learner_handovers_total") - before
                assert handed >= HOLD_S / 3, f"expected a busy learner, it handed over {handed:.0f} times"
            return _p99(sink, sent_ns)


def _wait_busy(daemon: DaemonRun, sender: Sender) -> None:
    """Keep the load up until the learner has compiled and hands over."""
    until = time.monotonic() + 180
    while daemon.metric("gaugecast_learner_handovers_total") < 2:
        assert time.monotonic() < until, "the learner did not hand over within three minutes"
        sender.send(2.0)


def _p99(sink: Sink, sent_ns: dict[tuple[str, int], int]) -> float:
    """Milliseconds; of the messages that were sent in the measured stretch."""
    taken_ms = []
    for message in sink.messages:
        body = json.loads(message.payload)
        sent = sent_ns.get((body["stream"], round(body["at"])))
        if sent is not None:
            taken_ms.append((message.received_ns - sent) / 1e6)
    assert len(taken_ms) >= 0.99 * len(sent_ns), f"{len(taken_ms)} of {len(sent_ns)} forecasts came"
    return float(np.percentile(taken_ms, 99))


class Sender:
    """Publishes one message at a time at an even pace, from a process of its own, and knows when each went."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._count = 0
        self._start_s = start_ns() // 10**9

    def send(self, seconds: float) -> dict[tuple[str, int], int]:
        """When each (stream, event time s) was published, Unix ns."""
        count = int(seconds * RATE)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            sent_ns = pool.apply(_publish, (self._port, self._start_s, self._count, count))
        names = [_name(self._start_s, number) for number in range(self._count, self._count + count)]
        self._count += count
        return dict(zip(names, sent_ns, strict=True))


def _name(start_s: int, number: int) -> tuple[str, int]:
    return f"s{number % STREAMS}", start_s + number // STREAMS


def _publish(port: int, start_s: int, first: int, count: int) -> list[int]:
    rng = np.random.default_rng(first)
    sent_ns = []
    with PublishLink("127.0.0.1", port) as link:
        begun = time.monotonic()
        for i in range(count):
            stream, at_s = _name(start_s, first + i)
            phase = 2 * np.pi * at_s / 40 + (first + i) % STREAMS
            values = np.sin([phase, phase / 2]) + 0.05 * rng.standard_normal(2)
            body = f'{{"t": {at_s}, "pressure": {values[0]:.4f}, "temperature": {values[1]:.4f}}}'
            left_s = begun + i / RATE - time.monotonic()
            if left_s > 0:
                time.sleep(left_s)
            sent_ns.append(time.time_ns())
            link.publish(f"load/{stream}", body.encode(), qos=0)
        link.drain()
    return sent_ns


# -- the pause of a hand-over


def measure_handover() -> Result:
    """Reading, checking and installing weights of LSTM(64), as the loop does it between two batches."""
    fleet = _fleet(2)
    with tempfile.TemporaryDirectory() as name:
        store = ModelStore(Path(name))
        pipeline = Pipeline(Loop(new_streams_per_s=1e6), store.load)
        pipeline.advance([Order.configuring(fleet).stamped(1)])
        versions = [store.add(fleet.name, model) for model in _models(fleet)]
        keeper = ModelRoles(pipeline, store, Learning(), pending=lambda _: False, engines=EngineLoader())
        first = events.ModelInstalled("in_force", versions[0])
        pipeline.advance([Order(first, fleet.name).stamped(1)])
        pipeline.advance(_readings(fleet, HANDOVER_STREAMS))
        pauses_ms = []
        for version in versions[1:]:
            began = time.perf_counter()
            orders = keeper.hand_over(fleet.name, version, "in_force", events.LEARNED)
            pipeline.advance([order.stamped(1) for order in orders])
            pauses_ms.append(1e3 * (time.perf_counter() - began))
    note = (
        f"median of {len(pauses_ms)}, {HANDOVER_STREAMS} streams; nine of ten within {np.percentile(pauses_ms, 90):.2f}"
    )
    return Result("handover_pause_ms", statistics.median(pauses_ms), "ms", bound="≤ 5", note=note)


def _models(fleet: Fleet) -> list[Model]:
    model = initial_model(manifest_for(fleet, units=(UNITS,)), seed=0)
    made = []
    for k in range(HANDOVERS + 1):
        weights = {name: (array + np.float32(1e-4 * k)).astype(np.float32) for name, array in model.weights.items()}
        made.append(seal_model(model.manifest, weights))
    return made


# -- an update


def measure_update() -> Result:
    """One update for a station of seven variables, compiled, as the learner's process makes it."""
    fleet = _fleet(7)
    pupil = Pupil(fleet, None, Learning(streams=1), forced=True)
    rows, inputs = 7, pupil.model.manifest.input_size
    state = np.zeros((rows, 2 * UNITS), np.float32)
    rng = np.random.default_rng(0)
    took_ms = []
    for step in range(2 * UPDATES + 60):
        x, target = rng.standard_normal((rows, inputs)), rng.standard_normal((rows, 1))
        pupil.student.learner.observe(x.astype(np.float32), state, target.astype(np.float32), fresh=step == 0)
        began = time.process_time()  # CPU: the learner is nice, so a busy machine makes it wait as long as it likes
        if pupil.learn() and step >= 60:
            took_ms.append(1e3 * (time.process_time() - began))
    note = (
        f"median of {len(took_ms)}, LSTM({UNITS}), 12 steps, seven rows; nine of ten {np.percentile(took_ms, 90):.2f}"
    )
    return Result("update_ms", statistics.median(took_ms), "ms", bound="≤ 3", note=note)


def _fleet(features: int) -> Fleet:
    return Fleet(
        name="load",
        subscribe=("load/{stream}",),
        stream="{stream}",
        features=tuple(Feature(f"f{i}") for i in range(features)),
        period_ns=10**9,
        time_path=("t",),
        stale_after_ns=10**18,
        park_after_ns=10**18,
    )


def _readings(fleet: Fleet, streams: int) -> list[Input]:
    values = np.zeros(len(fleet.features)).tobytes()
    at_ns = 10**9
    return [Input.reading(fleet.name, f"s{i}", at_ns, at_ns, values) for i in range(streams)]

"""A gateway's long messages that piled up while the daemon was away: how much memory they take, how long a round is."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.arrays import array
from bench.meter import Meter
from bench.results import Bound, Result
from bench.rig import DaemonRun, listening, prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from bench.traffic import Counter, start_ns
from gaugecast_sim import wire

MESSAGES, SIZE = 50, 8000
_PATIENCE_S = 120.0
_LOOK_S = 0.05
_BUCKET = re.compile(r'^gaugecast_stage_seconds_bucket\{le="([^"]+)",stage="(\w+)"\} (\S+)$', re.MULTILINE)
_WORK = ("decode", "advance", "commit", "publish")


def measure(scale: Scale) -> list[Result]:
    """The daemon hears of the topic, is killed, messages wait at the broker, it is started again."""
    count = scale.count(MESSAGES)
    with workplace() as place, run_broker(place / "broker") as broker:
        config = prepare(
            place / "daemon",
            broker.port,
            qos=1,
            fleet='stream = "{stream}/{$.id}"',
            loop="max_payload_bytes = 1_000_000",
        )
        with run_daemon(config):
            pass
        counter = Counter(broker.port, "echo/#", 1)
        _send(broker.port, count)
        with listening() as (environment, ready), run_daemon(config, wait=False, environment=environment) as daemon:
            ready()
            began = time.monotonic()
            with _peak(daemon.meter) as peak:
                counter.reached(count * SIZE, max(30.0, scale.seconds(_PATIENCE_S)))
            took_s, heard = time.monotonic() - began, counter.read()
            round_s = longest_round_s(daemon)
        counter.close()
    note = f"{count} messages of {SIZE:,} readings waited: {heard:,} readings confirmed within {took_s:.0f} s"
    return [
        Result("queued_arrays_rss_mb", "MB", [peak[0]], bound=Bound("≤", 300), note=note),
        Result("queued_arrays_round_s", "s", [round_s], bound=Bound("≤", 2), note="no round took longer than this"),
        Result("queued_arrays_lost", "readings", [count * SIZE - heard], bound=Bound("≤", 0), note=note),
    ]


def longest_round_s(daemon: DaemonRun) -> float:
    """No round took longer, s: the sum over the stages of the lowest bound under which all rounds lie."""
    counts: dict[str, list[tuple[float, float]]] = {}
    for bound, stage, count in _BUCKET.findall(daemon.page("/metrics").decode()):
        counts.setdefault(stage, []).append((float(bound), float(count)))
    assert counts.keys() >= set(_WORK), f"expected buckets of {_WORK} in /metrics, got {sorted(counts)}"
    return sum(next(bound for bound, count in counts[s] if count == counts[s][-1][1]) for s in _WORK)


def _send(port: int, count: int) -> None:
    """Publish at QoS 1, waiting for each PUBACK: nothing is lost on the way to the broker."""
    sock = wire.open_session("127.0.0.1", port, wire.Login("gateway"))
    begun_s = start_ns() // 10**9
    for number in range(count):
        body = array(0, begun_s + number, size=SIZE)
        sock.sendall(wire.publish_packet("load/gateway", body, qos=1, packet_id=1 + number % 65_535))
        assert sock.recv(64), "the broker hung up"
    sock.close()


@contextmanager
def _peak(meter: Meter) -> Iterator[list[float]]:
    """Highest resident memory meanwhile, MB, as the first item; the kernel's own mark would count the start, too."""
    seen, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            seen[0] = max(seen[0], meter.rss_mb)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()

"""A contestant on a broker of its own, and how fast it confirms: a closed loop, in which nothing piles up."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from bench.meter import Meter
from bench.rig import prepare, run_broker, run_daemon
from bench.scale import Scale
from bench.traffic import Counter, Traffic, plan_of

DRAIN_S = 60.0
#: Whoever is slower than this while it warms up does not take part.
WARM_RATE = 1000.0


class Pace(NamedTuple):
    """What was confirmed a second, and the processor time that one message took of the contestant, µs."""

    rate: float
    cpu_us: float


class Lane:
    """One contestant: its broker, an independent subscriber, and load.

    Args:
        port: Of its broker.
        pid: Of the contestant.
    """

    def __init__(self, port: int, pid: int, *, streams: int, qos: int) -> None:
        self.port, self.streams, self.qos = port, streams, qos
        self.meter = Meter(pid)
        self.counter = Counter(port, "echo/#", qos)
        self.traffic = Traffic(port, plan_of(streams, qos))

    def drain(self) -> None:
        """Wait until all that was sent is confirmed."""
        if not self.counter.reached(self.traffic.sent, DRAIN_S):
            print(f"    {self.traffic.sent - self.counter.read():,} were not confirmed", flush=True)

    def warm(self, rounds: int) -> None:
        """Let every stream speak so often."""
        count = self.streams * rounds
        self.traffic.begin_loop(self.counter, count=count, seconds=DRAIN_S + count / WARM_RATE)
        sent = self.traffic.end().sent
        assert sent == count, f"expected {count:,} to come back, some {sent:,} did"
        self.drain()

    def pace(self, scale: Scale) -> Pace:
        """Highest rate at which at most a second's messages are under way, over some seconds."""
        self.traffic.begin_loop(self.counter)
        time.sleep(scale.ramp_s)
        began, heard, cpu_s = time.monotonic(), self.counter.read(), self.meter.cpu_s
        time.sleep(scale.pace_s)
        took_s, heard, cpu_s = time.monotonic() - began, self.counter.read() - heard, self.meter.cpu_s - cpu_s
        self.traffic.stop()
        self.drain()
        return Pace(heard / took_s, 1e6 * cpu_s / max(1, heard))

    def close(self) -> None:
        """End the subscriber."""
        self.counter.close()


@contextmanager
def our_lane(directory: Path, *, streams: int, qos: int, **tables: Any) -> Iterator[Lane]:
    """The daemon, each of its streams warm."""
    with ExitStack() as stack:
        broker = stack.enter_context(run_broker(directory / "broker"))
        daemon = stack.enter_context(run_daemon(prepare(directory / "daemon", broker.port, qos=qos, **tables)))
        lane = Lane(broker.port, daemon.child.pid, streams=streams, qos=qos)
        stack.callback(lane.close)
        lane.warm(10)
        yield lane


@contextmanager
def peer_lane(directory: Path, module: str, *words: str, streams: int, qos: int, rounds: int) -> Iterator[Lane]:
    """A peer, its streams warm."""
    with ExitStack() as stack:
        # gmqtt raises where it should wait for room in the broker's window, so no peer is given a small one.
        broker = stack.enter_context(run_broker(directory / "broker", inflight=65_535))
        ready = Counter(broker.port, "ready", 1)
        stack.callback(ready.close)
        log = stack.enter_context((directory / "peer.log").open("wb"))
        child = stack.enter_context(_run_peer(log, module, str(broker.port), str(qos), *words))
        assert ready.reached(1, 120), f"{module} did not subscribe"
        lane = Lane(broker.port, child.pid, streams=streams, qos=qos)
        stack.callback(lane.close)
        lane.warm(rounds)
        yield lane


@contextmanager
def _run_peer(log: IO[bytes], module: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"bench.peers.{module}", *words]
    child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield child
    finally:
        child.kill()
        child.wait()

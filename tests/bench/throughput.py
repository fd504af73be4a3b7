"""The highest offered rate at which confirmed forecasts keep up, against a bare paho echo on the same broker."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from bench.results import Result
from bench.rig import BROKER, Counter, offer, prepare, run_daemon, run_echo, start_ns
from gaugecast_sim.packets import LoadPlan
from support.mosquitto import run_mosquitto

STREAMS = 10_000
PROBE_S, HOLD_S = 5.0, 20.0
#: Forecasts that may still be on their way when the load ends, in seconds of load.
LAG_S = 1.0
STEP = 1.06


class Contest:
    """One contestant on one broker: offers load and counts what comes back."""

    def __init__(self, port: int, qos: int, counter: Counter) -> None:
        self._port, self._counter = port, counter
        self._plan = LoadPlan(STREAMS, start_ns(), topic="load/{stream}", qos=qos)
        self._sent = 0

    def keeps_up(self, rate: float, seconds: float) -> bool:
        """Offer `rate` for `seconds`; whether all but `LAG_S` of it is back when the load ends, all soon after."""
        before = self._counter.read()
        began = time.monotonic()
        report = offer(self._port, self._plan, rate=rate, seconds=seconds, first=self._sent)
        self._sent += report.sent
        back = self._counter.read() - before
        offered = report.sent >= 0.97 * rate * seconds
        until = time.monotonic() + 10
        while self._counter.read() - before < report.sent and time.monotonic() < until:
            time.sleep(0.05)
        all_back = self._counter.read() - before >= report.sent
        held = offered and back >= report.sent - LAG_S * rate and all_back
        took = time.monotonic() - began
        verdict = "held" if held else "FELL"
        print(f"    {rate:8,.0f}/s for {seconds:.0f} s: sent {report.sent}, back {back}, {verdict} ({took:.1f} s)")
        return held

    def warm(self) -> None:
        """Let every stream come into being and the model warm up."""
        self.keeps_up(2500, 1.0 * STREAMS * 10 / 2500)


def highest(contest: Contest, start: float) -> float:
    """Climb in short probes, then confirm over `HOLD_S`, stepping down until it holds."""
    rate = start
    while contest.keeps_up(rate, PROBE_S):
        rate *= 1.2
    rate /= 1.2
    while not contest.keeps_up(rate, HOLD_S):
        rate /= STEP
    return rate


def contend(
    directory: Path, qos: int, contestant: Callable[[int], AbstractContextManager[object]], label: str
) -> float:
    """Highest rate of one contestant on a broker of its own."""
    print(f"  {label}, QoS {qos}")
    with run_mosquitto(directory / "broker", conf=BROKER, log_all=False) as broker:
        counter = Counter(broker.port, "echo/#", qos)
        try:
            with contestant(broker.port):
                time.sleep(1.0)
                contest = Contest(broker.port, qos, counter)
                contest.warm()
                return highest(contest, 3000)
        finally:
            counter.close()


def measure() -> list[Result]:
    """Both QoS, both contestants on a broker each."""
    return [_compare(qos) for qos in (0, 1)]


def _compare(qos: int) -> Result:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)

        def gaugecast(port: int) -> AbstractContextManager[object]:
            return run_daemon(prepare(place / "daemon", port, qos=qos))

        def echo(port: int) -> AbstractContextManager[object]:
            return run_echo(port, qos=qos)

        ours = contend(place / "ours", qos, gaugecast, "gaugecast")
        peer = contend(place / "peer", qos, echo, "paho echo")
    bound = "≥ 1.0" if qos == 0 else "≥ 0.7"
    note = f"{STREAMS} streams, LSTM(64)"
    return Result(f"throughput_qos{qos}_vs_echo", ours, "msg/s", peer, ours / peer, bound, note)

"""The highest offered rate at which confirmed forecasts keep up, against a bare paho echo on the same broker."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from bench.results import Result
from bench.rig import BROKER, Counter, DaemonRun, offer, prepare, run_daemon, run_echo, start_ns
from gaugecast.metrics.facts import STAGES
from gaugecast_sim.packets import LoadPlan
from support.mosquitto import run_mosquitto

STREAMS = 10_000
PROBE_S, HOLD_S = 5.0, 20.0
#: Forecasts that may still be on their way when the load ends, in seconds of load.
LAG_S = 1.0
STEP = 1.06


class Contest:
    """One contestant on one broker: offers load and counts what comes back.

    Attributes:
        note: What the last load cost the daemon: by how much its memory grew, and which stage took the time.
    """

    def __init__(self, port: int, qos: int, counter: Counter, run: object) -> None:
        self.note = ""
        self._daemon = run if isinstance(run, DaemonRun) else None
        self._port, self._counter = port, counter
        self._plan = LoadPlan(STREAMS, start_ns(), topic="load/{stream}", qos=qos)
        self._sent = 0

    def keeps_up(self, rate: float, seconds: float) -> bool:
        """Offer `rate` for `seconds`; whether all but `LAG_S` of it is back when the load ends, all soon after."""
        costs = self._costs()
        before = self._counter.read()
        began = time.monotonic()
        report = offer(self._port, self._plan, rate=rate, seconds=seconds, first=self._sent)
        self._sent += report.sent
        back = self._counter.read() - before
        self.note = _tell(costs, self._costs(), seconds)
        offered = report.sent >= 0.97 * rate * seconds
        until = time.monotonic() + 10
        while self._counter.read() - before < report.sent and time.monotonic() < until:
            time.sleep(0.05)
        all_back = self._counter.read() - before >= report.sent
        held = offered and back >= report.sent - LAG_S * rate and all_back
        took = time.monotonic() - began
        verdict = "held" if held else "FELL"
        if self.note:
            print(f"    {self.note}")
        print(f"    {rate:8,.0f}/s for {seconds:.0f} s: sent {report.sent}, back {back}, {verdict} ({took:.1f} s)")
        return held

    def _costs(self) -> dict[str, float]:
        """Megabytes, and seconds by stage, so far; empty for the peer."""
        daemon = self._daemon
        if daemon is None:
            return {}
        stages = {stage: daemon.metric(f'gaugecast_stage_seconds_sum{{stage="{stage}"}}') for stage in STAGES}
        return {"rss_mb": daemon.rss_mb, **stages}

    def warm(self) -> None:
        """Let every stream come into being and the model warm up."""
        self.keeps_up(2500, 1.0 * STREAMS * 10 / 2500)


def _tell(before: dict[str, float], after: dict[str, float], seconds: float) -> str:
    """`RSS +0.3 MB; the loop: advance 41 %, …`, dearest first; `poll` is waiting for messages, too."""
    if not after:
        return ""
    spent = sorted(((after[stage] - before[stage], stage) for stage in STAGES), reverse=True)
    shares = ", ".join(f"{stage} {took / seconds:.0%}" for took, stage in spent)
    return f"RSS {after['rss_mb'] - before['rss_mb']:+.1f} MB in {seconds:.0f} s; the loop: {shares}"


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
) -> tuple[float, str]:
    """Highest rate of one contestant on a broker of its own, and what it cost."""
    print(f"  {label}, QoS {qos}")
    with run_mosquitto(directory / "broker", conf=BROKER, log_all=False) as broker:
        counter = Counter(broker.port, "echo/#", qos)
        try:
            with contestant(broker.port) as run:
                time.sleep(1.0)
                contest = Contest(broker.port, qos, counter, run)
                contest.warm()
                return highest(contest, 3000), contest.note
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

        ours, costs = contend(place / "ours", qos, gaugecast, "gaugecast")
        peer, _ = contend(place / "peer", qos, echo, "paho echo")
    bound = "≥ 1.0" if qos == 0 else "≥ 0.7"
    note = f"{STREAMS} streams, LSTM(64); {costs}"
    return Result(f"throughput_qos{qos}_vs_echo", ours, "msg/s", peer, ours / peer, bound, note)

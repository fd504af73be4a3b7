"""How soon forecasts are of now again, after more came for a while than could be taken."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

from bench.results import Result
from bench.rig import BROKER, Counter, offer, prepare, run_daemon, send, start_ns
from gaugecast_sim.packets import LoadPlan
from support.mosquitto import run_mosquitto

STREAMS = 1000
#: A burst by which the rate is found at which all comes back: as fast as it goes, for so long.
BURST, BURST_S = 50_000.0, 3.0
#: Twice that rate for so long, then half of it.
OVER_S = 10.0
#: A forecast is of now where no more than so many seconds of readings lie before it.
LAG_S = 1.0
PATIENCE_S = 120.0


def measure() -> list[Result]:
    """From the end of the overload to the first moment in which no more than a second of readings waits."""
    plan = LoadPlan(STREAMS, start_ns(), topic="load/{stream}", qos=1)
    with tempfile.TemporaryDirectory() as name, run_mosquitto(Path(name) / "b", conf=BROKER, log_all=False) as broker:
        counter = Counter(broker.port, "echo/#", 1)
        with run_daemon(prepare(Path(name) / "d", broker.port, qos=1)):
            sent = offer(broker.port, plan, rate=2000.0, seconds=5.0, first=0).sent
            began, before = time.monotonic(), counter.settled()
            sent += offer(broker.port, plan, rate=BURST, seconds=BURST_S, first=sent).sent
            _wait_heard(counter, sent)
            held = (counter.read() - before) / (time.monotonic() - began)
            print(f"    a burst came back at {held:,.0f}/s", flush=True)
            sent += offer(broker.port, plan, rate=2 * held, seconds=OVER_S, first=sent).sent
            waiting = sent - counter.read()
            load = multiprocessing.get_context("fork").Process(
                target=send, args=(broker.port, plan, held / 2, PATIENCE_S + 5, sent), daemon=True
            )
            load.start()
            took_s = _recovery_s(counter, sent, held / 2)
            load.kill()
        counter.close()
    note = f"{2 * held:,.0f}/s for {OVER_S:.0f} s, then {held / 2:,.0f}/s; {waiting:,} waited at the end of it"
    return [Result("overload_recovery_s", took_s, "s", bound="≤ 60", note=note)]


def _wait_heard(counter: Counter, sent: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while counter.read() < sent and time.monotonic() < until:
        time.sleep(0.02)


def _recovery_s(counter: Counter, sent: int, rate: float) -> float:
    began = time.monotonic()
    told_s = 0.0
    while (now_s := time.monotonic() - began) < PATIENCE_S:
        behind = sent + rate * now_s - counter.read()
        if behind <= rate * LAG_S:
            return now_s
        if now_s >= told_s:
            print(f"    after {now_s:3.0f} s: {behind:9,.0f} behind", flush=True)
            told_s += 5.0
        time.sleep(0.05)
    return PATIENCE_S

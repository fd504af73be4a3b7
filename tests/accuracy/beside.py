"""`python -m accuracy.beside [ETTh2]`: the learner beside the loop, a real broker between, held against lockstep.

Rows are published at 50 a second; the daemon begins without weights, its learner hands over once a second. What was
published is taken from the ledger and scored as all else is. Needs mosquitto; takes 14,400 rows / 50 a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from accuracy.places import PLACE, find_set, keep_rows
from accuracy.runs import Rows, load, split_of
from accuracy.table import show_set
from gaugecast.fleet import Fleet
from gaugecast.learn.backtest.run import courses_of, report_on
from gaugecast.learn.backtest.score_rows import result_rows
from gaugecast.records import Float64
from gaugecast_sim.link import PublishLink
from gaugecast_sim.replay import ReplayPlan, replay
from support.daemon import DaemonProcess
from support.mosquitto import run_mosquitto, wait_until

ROWS_PER_S = 50.0
WITHIN = 1.03  # of lockstep's mean square error


def main() -> int:
    """0 if learning beside the loop is about as good as in lockstep, or that has not been run."""
    asked = _arguments()
    path = find_set(asked.set)
    split = split_of(path.stem)
    fleet, batches = load(path, split)
    courses = courses_of(fleet, batches)
    with tempfile.TemporaryDirectory(prefix="beside-") as folder:
        forecasts = run_beside(fleet, path, len(courses[0].tick), Path(folder), asked)
    report = report_on(fleet, courses, split)
    found = report.add("lstm", "beside", "cold", [forecasts]).scores[0]
    kept = keep_rows(result_rows(report, path.stem), asked.out)
    console = Console(width=None if sys.stdout.isatty() else 120)
    show_set(console, path.stem, [row for row in kept if row["set"] == path.stem])
    return _judge(console, found.overall.mse, path.stem, kept)


def run_beside(fleet: Fleet, path: Path, rows: int, folder: Path, asked: argparse.Namespace) -> Float64:
    """Forecasts of the next step (T, 1, G) as published for each of the file's first `rows` rows."""
    columns = tuple(f.name for f in fleet.features)
    plan = ReplayPlan(path, "set/one/telemetry", columns=columns, rows=rows, rows_per_s=asked.rate)
    with run_mosquitto(folder / "broker", conf="max_queued_messages 0\nmax_inflight_messages 1000\n") as broker:
        daemon = DaemonProcess(folder / "daemon", _config(fleet, broker.port, asked.cpu))
        daemon.start()
        try:
            with PublishLink("127.0.0.1", broker.port) as link:
                replay(plan, link)
            wait_until(lambda: _count(daemon) >= rows, what=f"{rows} forecasts", deadline_s=60.0)
            _tell(daemon)
            daemon.stop()
        finally:
            if daemon.running:
                daemon.kill()
    with daemon.ledger() as ledger:
        packed = [output.forecast for output in ledger.outputs(0, ledger.last_seq)]
    return np.frombuffer(b"".join(packed), "<f8").reshape(rows, 1, len(columns))


def _config(fleet: Fleet, port: int, cpu: float) -> str:
    features = "".join(f"[fleet.{fleet.name}.features.{f.name}]\n" for f in fleet.features)
    return f"""
[mqtt]
port = {port}
[learning]
mode = "child"
every_s = 1
cpu = {cpu:g}
[fleet.{fleet.name}]
subscribe = ["set/{{name}}/telemetry"]
time = "$.t"
period = "{fleet.period_ns // 10**6}ms"
stale_after = "30d"
park_after = "60d"
{features}"""


def _count(daemon: DaemonProcess) -> float:
    return daemon.metrics().total("gaugecast_forecasts_total")


def _tell(daemon: DaemonProcess) -> None:
    """What the daemon says of its learner at the end."""
    _, text = daemon.get("/metrics")
    print("\n".join(line for line in text.splitlines() if line.startswith("gaugecast_learn")))


def _judge(console: Console, mse: float, name: str, kept: Rows) -> int:
    lockstep = [
        row["mse"]
        for row in kept
        if (row["set"], row["model"], row["start"], row["learning"], row["horizon"])
        == (name, "lstm", "cold", "lockstep", 1)
    ]
    if not lockstep:
        console.print(f"{name}, beside the loop: MSE {mse:.4f}; no lockstep run to hold it against")
        return 0
    ratio = mse / lockstep[0]
    text = f"{name}, beside the loop: MSE {mse:.4f}, lockstep {lockstep[0]:.4f}, ratio {ratio:.3f}, bound {WITHIN:g}"
    console.print(text, style="green" if ratio <= WITHIN else "bold red")
    return 0 if ratio <= WITHIN else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="accuracy.beside", description=__doc__)
    parser.add_argument("set", nargs="?", default="ETTh2", help="ETTh1, ETTh2 or the path of a CSV")
    parser.add_argument("--rate", type=float, default=ROWS_PER_S, help="rows a second")
    parser.add_argument("--cpu", type=float, default=0.5, help="cores for the learner")
    parser.add_argument("--out", type=Path, default=PLACE)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

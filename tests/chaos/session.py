"""A broker that forgets our session while a batch waits: old acks must not hit new messages under the same packet ids.

The ledger's lock is held by us, so that the daemon has a batch in hand that it cannot commit; the broker is killed
and begins its packet ids anew; new messages arrive; the lock is let go for one commit. Then kill -9. A daemon that
acks the old batch on the new connection has told the broker to forget messages that it never took.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.judge import Findings
from chaos.scenario import BROKER_CONF, Scenario, config_text
from gaugecast.ledger.reader import LedgerReader
from gaugecast.records import Kind, Verdict
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, run_mosquitto, wait_until

_BEFORE, _HELD, _AFTER = 200, 300, 600
_FLUSH_S = 0.5


def run_session_loss(
    directory: Path,
    *,
    seed: int,
    command: Sequence[str] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Play it once in an empty directory. What came before the broker's death may be lost, what came after may not."""
    with run_mosquitto(directory / "broker", conf=BROKER_CONF) as broker:
        daemon = DaemonProcess(directory, config_text(broker.port, ahead=False), command=command)
        plan = Scenario(1, seed=seed).load_plan()
        try:
            daemon.start()
            _send(broker, plan, 0, _BEFORE)
            wait_until(lambda: _stepped(daemon) >= _BEFORE, what="the first readings stepped")
            _play(broker, daemon, plan)
            told("session lost, batch held, killed")
            daemon.start()
            total = _BEFORE + _HELD + _AFTER
            _settle(daemon, total)
            daemon.stop()
        finally:
            if daemon.running:
                daemon.kill()
    return _judge(daemon, plan)


def _play(broker: Mosquitto, daemon: DaemonProcess, plan: LoadPlan) -> None:
    shell = sqlite3.connect(daemon.state / "ledger.sqlite", timeout=10, isolation_level=None)
    try:
        shell.execute("BEGIN IMMEDIATE")
        _send(broker, plan, _BEFORE, _HELD)
        wait_until(
            lambda: daemon.metrics().total("gaugecast_degraded", reason="storage_busy") == 1, what="a held batch"
        )
        broker.kill()
        granted = broker.count("Sending SUBACK to chaos")
        broker.start()
        broker.wait_for("Sending SUBACK to chaos", times=granted + 1)
        _send(broker, plan, _BEFORE + _HELD, _AFTER)
        broker.wait_for("Sending PUBLISH to chaos", times=_BEFORE + _HELD + _AFTER)
        shell.execute("COMMIT")
        wait_until(lambda: _last_seq(shell) > _BEFORE + 4, what="the held batch committed")
        shell.execute("BEGIN IMMEDIATE")  # nothing more is committed
        threading.Event().wait(_FLUSH_S)  # acks, right or wrong, leave
        daemon.kill()
    finally:
        shell.close()


def _send(broker: Mosquitto, plan: LoadPlan, first: int, count: int) -> None:
    LoadGenerator("127.0.0.1", broker.port, plan, count=count, first=first).run()


def _last_seq(shell: sqlite3.Connection) -> int:
    return int(shell.execute("SELECT max(first_seq + inputs - 1) FROM batches").fetchone()[0])


def _stepped(daemon: DaemonProcess) -> float:
    return daemon.metrics().total("gaugecast_readings_total", outcome="stepped")


def _settle(daemon: DaemonProcess, most: int) -> None:
    """Until all readings are there, or none has come for some seconds."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < 3.0:
        with LedgerReader(daemon.state) as ledger:
            now = ledger.last_seq
        if now >= most + 4:
            return
        if now != seen:
            seen, since = now, time.monotonic()
        threading.Event().wait(0.1)


def _judge(daemon: DaemonProcess, plan: LoadPlan) -> Findings:
    steps: Counter[tuple[str, int]] = Counter()
    with LedgerReader(daemon.state) as ledger:
        for batch in ledger.replay(0):
            for one, verdict in zip(batch.inputs, batch.verdicts, strict=True):
                if one.kind == Kind.READING and verdict == Verdict.STEPPED:
                    steps[one.stream, one.at_ns] += 1
    first = _BEFORE + _HELD
    wanted = [_name(plan, m) for m in [*range(_BEFORE), *range(first, first + _AFTER)]]
    findings = Findings(1, len(wanted))
    findings.lost = findings.note(sum(name not in steps for name in wanted), "readings after the loss never stepped")
    findings.twice = findings.note(sum(count > 1 for count in steps.values()), "readings stepped again")
    return findings


def _name(plan: LoadPlan, message: int) -> tuple[str, int]:
    number, row = divmod(message, plan.rows)
    return plan.stream_name(row), plan.start_ns + number * plan.period_ns

"""Messages of two thousand readings each: they are under way for so long that random kills find them again and again.

Each kill comes a moment after the daemon has noted that it is taking something, so that it hits messages under way and
not the pauses between. None of them may be called poison for it.
"""

from __future__ import annotations

import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from chaos.judge import Findings
from chaos.scenario import BROKER_CONF, FLEET, config_text
from gaugecast.ledger.reader import LedgerReader
from gaugecast.records import Kind, Verdict
from gaugecast.storage.crash_note import FILE_NAME
from support.daemon import DaemonProcess
from support.mosquitto import RawClient, run_mosquitto, wait_until

READINGS = 2000
_STREAMS = 3
#: A life ends so long after it has begun to take messages, at most; every fourth may get on.
_MOST_S, _LONG_S = 0.3, 6.0
_SILENCE_S = 30.0


def run_arrays(
    directory: Path,
    *,
    kills: int,
    messages: int,
    seed: int = 1,
    command: Sequence[str] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Play it once in an empty directory.

    Args:
        messages: Of `READINGS` readings each, published before the first kill.
        command: What is called instead of `gaugecast`: a mutant.
        told: Told a line after each life.
    """
    rng = random.Random(seed)
    with run_mosquitto(directory / "broker", conf=BROKER_CONF, log_all=False) as broker:
        daemon = DaemonProcess(directory, config_text(broker.port, ahead=False), command=command)
        killed, last = 0, 0
        try:
            daemon.start()
            with RawClient(broker) as sensor:
                sensor.publish(_messages(messages))
            while killed < kills and _wait_taking(daemon, messages * READINGS, last):
                most_s = _LONG_S if killed % 4 == 3 else _MOST_S
                threading.Event().wait(rng.random() * most_s)  # the moment of death is the experiment
                daemon.kill()
                killed, last = killed + 1, _noted_at(daemon)
                told(f"{killed}: {_stepped(daemon)} of {messages * READINGS} readings durable")
                daemon.spawn()
            _settle(daemon, messages * READINGS)
            mishap = daemon.stop()
        finally:
            if daemon.running:
                daemon.kill()
    findings = _judge(daemon, messages)
    findings.kills = killed
    findings.mishaps = findings.note(int(mishap != 0), f"exit code after SIGTERM: {mishap}, expected 0")
    return findings


def _messages(count: int) -> list[tuple[str, bytes]]:
    begin = int(time.time()) - 10 * 86_400
    made = []
    for number in range(count):
        first = begin + number // _STREAMS * READINGS
        rows = [{"t": at, "pressure": 1 + at % 7, "temperature": 20 + at % 5} for at in range(first, first + READINGS)]
        made.append((f"plant/load/s{number % _STREAMS}/telemetry", msgspec.json.encode(rows)))
    return made


def _wait_taking(daemon: DaemonProcess, total: int, last: int) -> bool:
    """Wait until messages are under way; False if all are durable.

    Args:
        last: When the note of the process before was written.
    """

    def is_taking() -> bool:
        assert daemon.running, f"expected a daemon that runs; its log ends:\n{daemon.log_tail()}"
        head = (daemon.state / FILE_NAME).read_bytes()[:4]
        return _noted_at(daemon) != last and len(head) == 4 and struct.unpack("<I", head)[0] > 0

    wait_until(lambda: is_taking() or _stepped(daemon) >= total, what="messages under way", deadline_s=60.0)
    return _stepped(daemon) < total


def _noted_at(daemon: DaemonProcess) -> int:
    return (daemon.state / FILE_NAME).stat().st_mtime_ns


def _stepped(daemon: DaemonProcess) -> int:
    with LedgerReader(daemon.state) as ledger:
        return ledger.last_position


def _settle(daemon: DaemonProcess, total: int) -> None:
    """Until all readings are there, or none has come for some seconds."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < _SILENCE_S:
        assert daemon.running, f"expected a daemon that runs; its log ends:\n{daemon.log_tail()}"
        now = _stepped(daemon)
        if now >= total:
            break
        if now != seen:
            seen, since = now, time.monotonic()
        threading.Event().wait(0.1)
    daemon.wait_ready()


def _judge(daemon: DaemonProcess, messages: int) -> Findings:
    steps: Counter[tuple[str, int]] = Counter()
    with LedgerReader(daemon.state) as ledger:
        poison = len(ledger.quarantined(1000, reason="poison"))
        for batch in ledger.replay(0):
            for one, verdict in zip(batch.inputs, batch.verdicts, strict=True):
                if one.kind == Kind.READING and verdict == Verdict.STEPPED:
                    steps[one.stream, one.at_ns] += 1
        numbers = [(out.stream, out.step) for out in ledger.outputs(0, ledger.last_seq) if out.fleet == FLEET]
    findings = Findings(0, messages * READINGS)
    findings.lost = findings.note(findings.readings - len(steps), "readings never stepped")
    findings.twice = findings.note(sum(count > 1 for count in steps.values()), "readings stepped again")
    findings.twice += findings.note(len(numbers) - len(set(numbers)), "step numbers used again")
    findings.notes += [f"{poison} innocent messages called poison"] if poison else []
    return findings

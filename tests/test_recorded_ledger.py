"""What version 0.1.0 left on the disk is understood for ever: replayed to the byte, opened, and gone on with.

`recorded/README.md` says what the ledger holds. The tests use what an operator has (the command line, MQTT, the log)
and the reader of the ledger, so that they say the same however the code inside is arranged.
"""

from __future__ import annotations

import json
import lzma
import math
import re
import sqlite3
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from gaugecast.engine.selftest import fingerprint
from gaugecast.events import LineageBegun, SessionLost, StreamUnparked
from gaugecast.ledger.reader import LedgerReader
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Heard, Mosquitto, RawClient, run_mosquitto, wait_until

RECORDED = Path(__file__).parent / "recorded" / "first_ledger"
OUTPUTS, UNCONFIRMED = 3396, 218
#: The fleets with a network: their forecasts have the same bits only where they were computed in the same way.
MODELLED = ("tanks", "vats")
#: What numbers may differ by elsewhere, relative and absolute.
TOLERANCE = 1e-4
#: As it is, and as if a version before it had written it.
VERSIONS = ("0.1.0", "0.0.9")
#: Streams that speak again; `north/lost` was parked when the recording ended.
SPEAKERS = {
    ("meters", "north/m1"),
    ("meters", "north/lost"),
    ("tanks", "a"),
    ("vats", "a"),
    ("counters", "a"),
    ("probes", "a"),
}


class Said(NamedTuple):
    """One message that was published when the ledger was made."""

    position: int
    fleet: str
    stream: str
    step: int
    body: bytes


@cache
def recorded() -> tuple[Said, ...]:
    """All of them, in the order of their positions."""
    lines = lzma.decompress((RECORDED / "bodies.tsv.xz").read_bytes()).splitlines()
    rows = (line.split(b"\t", 4) for line in lines)
    return tuple(Said(int(p), f.decode(), s.decode(), int(step), body) for p, f, s, step, body in rows)


@cache
def same_bits() -> bool:
    """Whether this machine computes the bits of the recording; our own version does not count."""
    return _without_version(fingerprint()) == _without_version((RECORDED / "fingerprint").read_text().strip())


def _without_version(text: str) -> list[str]:
    return [part for part in text.split("; ") if not part.startswith("gaugecast ")]


def laid_out(directory: Path, *, version: str = "0.1.0", port: int = 1883) -> DaemonProcess:
    """A copy of the recorded state directory, as if `version` had written it, and a daemon (not started) for it."""
    daemon = DaemonProcess(directory, "")
    with tarfile.open(RECORDED / "state.tar.xz") as archive:
        archive.extractall(daemon.state, filter="data")
    with closing(sqlite3.connect(daemon.state / "ledger.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE fingerprints SET text = replace(text, 'gaugecast 0.1.0;', ?)", (f"gaugecast {version};",)
        )
    text = (RECORDED / "gaugecast.toml").read_text()
    known = {"HOST": "127.0.0.1", "PORT": port, "DIRECTORY": daemon.state, "HTTP_PORT": daemon.http_port}
    for name, value in known.items():
        text = text.replace(f"@{name}@", str(value))
    daemon.config_path.write_text(text)
    return daemon


def check_replay(daemon: DaemonProcess, later: Sequence[bytes] = ()) -> None:
    """`gaugecast replay` makes the recorded messages again, and those that were published `later`."""
    out = daemon.config_path.with_name("replayed")
    ended = run_command("replay", "-c", str(daemon.config_path), "--out", str(out))
    made = out.read_bytes().splitlines()
    expected = [*(said.body for said in recorded()), *later]

    assert len(made) == len(expected), ended.stdout + ended.stderr
    assert not list(differing(expected, made))
    if same_bits():
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert f"{len(expected)} messages reproduced byte for byte" in " ".join(ended.stdout.split())


def differing(expected: Iterable[bytes], made: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Pairs that are not equal, nor near where only that can be asked."""
    for one, other in zip(expected, made, strict=True):
        if one != other and (same_bits() or not excused(json.loads(one), json.loads(other))):
            yield one, other


def excused(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two messages of a network differ in the last digits only."""
    return one["fleet"] in MODELLED and is_near(one, other)


def is_near(one: object, other: object) -> bool:
    """Whether two JSON values are the same but for what another machine computes otherwise."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(is_near(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_near, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return one == other


def new_readings(now_s: float) -> list[tuple[str, bytes]]:
    """What the speakers say, a year or more after the recording."""
    meter = json.dumps({"t": now_s, "power": 101.5, "voltage": 231.25}).encode()
    tank = {"t": round(now_s * 1000), "values": {"p": 3.5, "t": 61.0}, "valve": 1}
    return [
        ("site/north/m1/reading", meter),
        ("site/north/lost/reading", meter),
        ("plant/a/telemetry", json.dumps(tank).encode()),
        ("vat/a/flow", json.dumps({"t": now_s, "v": 8.5}).encode()),
        ("vat/a/level", json.dumps({"t": now_s, "v": 50.5}).encode()),
        ("counter/a", b'{"n": 1000000, "count": 7}'),
        ("probe/a", b"20.5"),
    ]


def observing(heard: Iterable[Heard]) -> set[tuple[str, str]]:
    """Streams of which something was observed: not only that they have fallen silent."""
    messages = (json.loads(one.payload) for one in heard)
    return {(m["fleet"], m["stream"]) for m in messages if any(v is not None for v in m["observed"].values())}


def check_steps(later: Iterable[bytes]) -> None:
    """Every stream goes on counting where the recording ended."""
    newest = {(said.fleet, said.stream): said.step for said in recorded()}
    for message in map(json.loads, later):
        name = (message["fleet"], message["stream"])
        assert message["step"] == newest[name] + 1, f"expected {name} to go on after step {newest[name]}"
        newest[name] += 1


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of which nobody has been a client before."""
    with run_mosquitto(tmp_path / "broker") as started:
        yield started


def test_the_ledger_names_the_recorded_bodies(tmp_path: Path) -> None:
    """The two recorded files belong together, and the reader finds every row of the ledger."""
    with LedgerReader(laid_out(tmp_path).state) as ledger:
        stored = list(ledger.outputs(0, ledger.last_seq))
        pending = ledger.pending(0, OUTPUTS)

    named = [(row.position, row.fleet, row.stream, row.step, row.body_crc) for row in stored]
    assert named == [(*said[:4], crc32(said.body)) for said in recorded()]
    assert len(stored) == OUTPUTS
    assert [(row.position, row.body) for row in pending] == [(s.position, s.body) for s in recorded()[-UNCONFIRMED:]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_is_reproduced_from_the_first_input_on(tmp_path: Path, version: str) -> None:
    """Each body is made again to the byte; a network's within the tolerance where bits are computed otherwise."""
    check_replay(laid_out(tmp_path, version=version))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_daemon_goes_on_where_the_recorded_one_was_killed(tmp_path: Path, broker: Mosquitto, version: str) -> None:
    """It recovers, publishes what was not confirmed before anything else, and takes new readings of old streams."""
    daemon = laid_out(tmp_path / "d", version=version, port=broker.port)
    with LedgerReader(daemon.state) as ledger:
        pending, recorded_seq = ledger.pending(0, OUTPUTS), ledger.last_seq
    with RawClient(broker, subscribe="gaugecast/+/+/#") as client:
        try:
            daemon.start()
            first = client.wait_heard(UNCONFIRMED)[:UNCONFIRMED]
            client.publish(new_readings(time.time()))
            wait_until(lambda: observing(client.heard[UNCONFIRMED:]) >= SPEAKERS, what="forecasts of all speakers")
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()
        with LedgerReader(daemon.state) as ledger:
            told = {type(event) for _, _, event in ledger.events(recorded_seq)}
            assert ledger.confirmed == ledger.last_position
            client.wait_heard(ledger.last_position - OUTPUTS + UNCONFIRMED)
    later = [one.payload for one in client.heard[UNCONFIRMED:]]

    (recovery,) = re.findall(r"recovered .*", daemon.log_text())
    assert re.search(r"checkpoint=[1-9]\d* inputs=[1-9]\d* .*differing=0\b", recovery)
    assert [(one.topic, one.payload) for one in first] == [
        (row.topic, said.body) for row, said in zip(pending, recorded()[-UNCONFIRMED:], strict=True)
    ]
    assert told == {LineageBegun, SessionLost, StreamUnparked}, "expected no new configuration"
    assert len({json.loads(message)["lineage"] for message in later}) == 1
    check_steps(later)
    check_replay(daemon, later)

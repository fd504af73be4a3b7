"""`gaugecast discover` and what comes after it, as an operator types it, on a broker that carries whatever there is."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from field.stage import FIELD, need, render
from support.daemon import run_command
from support.mosquitto import Mosquitto, RawClient

TEN = (
    "01-tasmota-energy", "04-shelly-gen1-emeter", "06-shelly-gen2-status", "09-esphome", "17-sparkplug-b",
    "18-senml-json", "20-telegraf-influx", "22-nodered-ms", "25-opcua-pubsub", "29-evcc",
)  # fmt: skip
NOISE = [
    ("noise/word", b"hello"),
    ("noise/switch", b"ON"),
    ("noise/bytes", bytes(range(160, 255))),
    ("noise/list", b"[]"),
]


def messages_of(folder: str, now_ns: int) -> list[tuple[str, bytes]]:
    """A folder's messages, with times up to now."""
    return [
        (
            line["topic"],
            base64.b64decode(line["payload_b64"])
            if "payload_b64" in line
            else render(line["payload"], now_ns).encode(),
        )
        for line in map(json.loads, (need(folder) / "messages.jsonl").read_text().splitlines())
        if not line["topic"].startswith("$")
    ]


@contextmanager
def playing(broker: Mosquitto, folders: list[str]) -> Iterator[None]:
    """All folders side by side, over and over, a message each tenth of a second, until the block ends."""
    ended = threading.Event()
    begun_ns = time.time_ns()
    plays = [messages_of(folder, begun_ns) for folder in folders]

    def play() -> None:
        with RawClient(broker) as sensor:
            place = 0
            while not ended.wait(0.1):
                sensor.publish([each[place % len(each)] for each in plays if each] + NOISE, qos=0)
                place += 1

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def settle(file: Path, directory: Path) -> None:
    """Have the state below the test's directory, unless the file has its own already: one that is not root wrote it."""
    if "[storage]" not in file.read_text():
        file.write_text(file.read_text() + f'\n[storage]\ndirectory = "{directory}/state"\n')


@pytest.mark.long
def test_ten_layouts_with_noise_become_a_configuration_that_runs(tmp_path: Path, broker: Mosquitto) -> None:
    """Written, tested, and checked against the broker, without a change by hand."""
    file = tmp_path / "gaugecast.toml"
    with playing(broker, list(TEN)):
        found = run_command("discover", "--broker", f"127.0.0.1:{broker.port}", "--for", "10", "--write", str(file))
        assert found.returncode == 0, found.stdout + found.stderr
        tested = run_command("test", "-c", str(file))
        settle(file, tmp_path)
        checked = run_command("check", "--online", "--seconds", "4", "-c", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert max(len(line) for line in found.stdout.splitlines() if not line.startswith("Wrote ")) <= 80
    for topic in ("tele/plug1/SENSOR", "senml/dev1", "telegraf/srv1/cpu", "nodered/office", "opcua/line1/data"):
        assert f'"{topic}"' in file.read_text()
    for pattern in ('evcc/site/{feature}"', 'livingroom/sensor/{feature}/state"'):
        assert pattern in file.read_text()


@pytest.mark.long
def test_on_all_layouts_at_once_it_finishes_and_what_it_proposes_runs(tmp_path: Path, broker: Mosquitto) -> None:
    """One broker with everything on it; the fleets stand in one file."""
    need(TEN[0])
    folders = sorted(place.name for place in FIELD.iterdir() if place.is_dir())
    file = tmp_path / "gaugecast.toml"
    with playing(broker, folders):
        found = run_command("discover", "--broker", f"127.0.0.1:{broker.port}", "--for", "6", "--write", str(file))
    assert found.returncode == 0, found.stdout + found.stderr
    assert file.read_text().count("\nsubscribe = ") >= 25
    tested = run_command("test", "-c", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr
    settle(file, tmp_path)
    checked = run_command("check", "-c", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_file_that_names_nothing_but_a_broker_will_do(tmp_path: Path, broker: Mosquitto) -> None:
    """What the broker has kept is proposed, too; a file that is there is not written over; nothing heard is a no."""
    file = tmp_path / "gaugecast.toml"
    file.write_text(f"[mqtt]\nport = {broker.port}\n")
    with RawClient(broker) as sensor:
        empty = run_command("discover", "-c", str(file), "--for", "0.5")
        kept = [(f"plant/{tank}/tele", b'{"level": 2.5, "flow": {"in": "3,5 l"}}') for tank in ("t1", "t2")]
        sensor.publish([*kept, ("home/bath/temperature", b"20.5")], retain=True)
        found = run_command("discover", "-c", str(file), "--for", "2")
        fresh = run_command("discover", "-c", str(file), "--for", "1", "--no-retained")
    assert (empty.returncode, "nothing was heard" in empty.stdout) == (1, True)
    assert found.returncode == 0, found.stderr
    for line in ('subscribe = ["plant/{level2}/tele"]', 'subscribe = ["home/bath/temperature"]', 'unit = "l"'):
        assert line in found.stdout
    assert fresh.returncode == 1
    refused = run_command("discover", "-c", str(file), "--write", str(file))
    assert (refused.returncode, "not there yet" in refused.stderr) == (2, True)

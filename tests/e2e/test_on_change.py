"""Silence, stragglers, counters and batches through a real broker: all in the books, and a replay to the byte."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from e2e.scenes import START_NS, Listener, check_books, check_messages
from support.daemon import run_command, run_daemon
from support.mosquitto import Mosquitto, RawClient, wait_until

START_S = START_NS // 10**9
FILE = """
[mqtt]
port = {port}
[fleet.rooms]
subscribe = ["rooms/{{room}}"]
time = "$.t"
period = "5m"
hold = "2h"
[fleet.rooms.features.temperature]
[fleet.doors]
subscribe = ["doors/{{door}}"]
payload = "number"
period = "500ms"
hold = "1h"
[fleet.doors.features.open]
[fleet.buffered]
subscribe = ["buffered/{{device}}"]
time = "$.t"
period = "1s"
stale_after = "1h"
lateness = "10s"
[fleet.buffered.features.level]
[fleet.meters]
subscribe = ["meters/{{meter}}"]
stale_after = "1h"
time = "$.t"
period = "1s"
[fleet.meters.features.energy]
kind = "counter"
per = "1h"
[fleet.kettles]
subscribe = ["kettles/{{kettle}}"]
stale_after = "1h"
time = "$.t"
period = "1s"
begins = "$.batch"
[fleet.kettles.features.heat]
[fleet.kettles.features.never]
"""


def _json(topic: str, **fields: Any) -> tuple[str, bytes]:
    return topic, json.dumps(fields).encode()


def _of(lines: list[tuple[str, bytes]], fleet: str) -> list[dict[str, Any]]:
    messages = [json.loads(body) for _, body in lines]
    return [message for message in messages if message["fleet"] == fleet]


def test_what_sensors_leave_unsaid_is_stepped_and_accounted_for(tmp_path: Path, broker: Mosquitto) -> None:
    """A kill in the middle of silence costs nothing, and `replay` gives every message again."""
    reports = [(0, 20.0), (1200, 21.0), (1500, 21.5), (9000, 22.0)]
    shuffled = [0, 1, 2, 5, 4, 3, 7, 6, 8, 30]
    sent = [_json("rooms/hall", t=START_S + at, temperature=value) for at, value in reports]
    sent += [_json("buffered/b", t=START_S + at, level=at) for at in shuffled]
    sent += [_json("meters/m", t=START_S + i, energy=total) for i, total in enumerate((5, 6, 0, 8, 2, 3))]
    sent += [_json("kettles/k", t=START_S + i, heat=50 + i, batch=1 + i // 14) for i in range(16)]
    with Listener(broker, tmp_path) as listener, RawClient(broker) as sensor:
        with run_daemon(tmp_path / "d", FILE.format(port=broker.port)) as daemon:
            sensor.publish([*sent, ("doors/front", b"1")])
            wait_until(lambda: len(_of(listener.lines, "doors")) >= 4, what="a door that says nothing is held")
            daemon.kill()
            before = len(_of(listener.lines, "doors"))
            daemon.start()
            wait_until(lambda: len(_of(listener.lines, "doors")) > before + 3, what="and goes on to be held")
            sensor.publish([("doors/front", b"0")])
            wait_until(lambda: len(_of(listener.lines, "kettles")) >= 16, what="kettles")
            wait_until(lambda: len(_of(listener.lines, "buffered")) >= 10, what="what waited ten seconds")
            wait_until(lambda: _of(listener.lines, "doors")[-1]["observed"] == {"open": 0}, what="the door is shut")
            check_books(daemon, late=0, duplicate=0, rejected=0)
            assert daemon.stop() == 0
        found = check_messages(listener.lines, copies=True)
        replayed = run_command("replay", "-c", str(daemon.config_path))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    _check_rooms(found["hall"], reports)
    assert [m["observed"]["level"] for m in found["b"]] == sorted(shuffled)
    assert [m["observed"]["energy"] for m in found["m"]] == [None, 3600.0, None, 3600.0, None, 3600.0]
    assert [m["totals"]["energy"] for m in found["m"]] == [5, 6, 0, 8, 2, 3]
    assert ["warming" in m["quality"] for m in found["k"]] == [True, *[False] * 13, True, False]
    assert all("partial" not in m["quality"] and m["forecast"]["never"] is None for m in found["k"])
    door = found["front"]
    assert all(("unchanged" in m["quality"]) == (i > 0) for i, m in enumerate(door) if m["observed"]["open"] == 1)


def _check_rooms(messages: list[dict[str, Any]], reports: list[tuple[int, float]]) -> None:
    """A step each five minutes, held for two hours, and then a gap."""
    assert [m["at"] - START_S for m in messages[:6]] == [0, 300, 600, 900, 1200, 1500]
    assert [m["observed"]["temperature"] for m in messages[:6]] == [20, 20, 20, 20, 21, 21.5]
    held = messages[6:-1]
    assert len(held) == 24
    assert all(m["quality"] == ["fallback", "unchanged"] and m["observed"]["temperature"] == 21.5 for m in held)
    assert messages[-1]["observed"]["temperature"] == reports[-1][1]
    assert "unchanged" not in messages[-1]["quality"]


def test_while_we_are_away_silence_is_ours(tmp_path: Path, broker: Mosquitto) -> None:
    """What the broker kept for us is taken before anything is held: none of it is late."""
    text = FILE.format(port=broker.port).replace('period = "500ms"', 'time = "$.t"\nperiod = "1s"')
    text = text.replace('payload = "number"\n', "")
    with RawClient(broker) as sensor, run_daemon(tmp_path / "d", text) as daemon:
        sensor.publish([_json("doors/front", t=time.time(), open=1)])
        daemon.wait_metric("gaugecast_readings_total", 1, outcome="stepped")
        assert daemon.stop() == 0
        began = time.time()
        wait_until(lambda: time.time() > began + 4, what="time to pass, of which the sensor tells")
        sensor.publish([_json("doors/front", t=began + i, open=i % 2) for i in range(1, 4)])
        daemon.start()
        daemon.wait_metric("gaugecast_readings_total", 3, outcome="stepped")
        check_books(daemon, stepped=3, late=0, same_period=0)

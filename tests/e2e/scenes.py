"""What the end-to-end tests share: a fleet of tanks, somebody who sends, somebody who listens, and the books."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np

from gaugecast.config import load_settings, resolve_fleets
from gaugecast.testing import random_model
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Mosquitto, RawClient, wait_until
from support.seeding import seed_state

START_NS = 1_767_225_600 * 10**9  # 2026-01-01: long past, so that event times are never far in the future


def tanks_config(port: int, *, mqtt: str = "", fleet: str = "", loop: str = "", learning: str = 'mode = "off"') -> str:
    """A fleet `tanks` of JSON messages with event times, as `send_tanks` sends them."""
    return f"""
[mqtt]
port = {port}
reconnect_max_s = 0.3
{mqtt}
[learning]
{learning}
[loop]
{loop}
[fleet.tanks]
subscribe = ["plant/load/{{tank}}/telemetry"]
time = "$.t"
period = "1s"
stale_after = "1d"
{fleet}
[fleet.tanks.features.pressure]
unit = "bar"
[fleet.tanks.features.temperature]
unit = "°C"
"""


def seed_model(daemon: DaemonProcess, *, units: Sequence[int] = (16,)) -> None:
    """Put a small random LSTM in force for the daemon's only fleet, before its first start."""
    (fleet,) = resolve_fleets(load_settings(daemon.config_path, {}))
    features = [(f.name, f.role) for f in fleet.features]
    model = random_model(
        fleet.name, features, fleet.rows, units=units, period_s=fleet.period_ns / 1e9, seed=3, gain=0.05
    )
    seed_state(daemon.state, fleet, model)


def tanks_plan(streams: int = 8) -> LoadPlan:
    """Messages of some tanks, a second of event time apart."""
    return LoadPlan(streams, START_NS, qos=1)


def send_tanks(
    broker: Mosquitto, count: int, *, first: int = 0, streams: int = 8, rate: float | None = 2000.0, **login: Any
) -> None:
    """Publish messages `first` to `first + count - 1` of the plan at QoS 1, and wait until the broker has them."""
    plan = tanks_plan(streams)
    LoadGenerator("127.0.0.1", broker.port, plan, rate=rate, count=count, first=first, **login).run()


class Listener:
    """A `mosquitto_sub` process at QoS 1 with a session of its own; what it prints is what a consumer gets."""

    def __init__(
        self, broker: Mosquitto, directory: Path, filters: Sequence[str] = ("gaugecast/+/+",), *words: str
    ) -> None:
        self._path = directory / "heard"
        command = ["mosquitto_sub", "-h", "localhost" if broker.certificates else "127.0.0.1", "-p", str(broker.port)]
        command += ["-i", "listener", "-c", "-q", "1", "-F", "%t %p", *words]
        for one in filters:
            command += ["-t", one]
        with self._path.open("wb") as out, (directory / "heard.err").open("wb") as err:
            self._child = subprocess.Popen(["stdbuf", "-oL", *command], stdout=out, stderr=err)
        broker.wait_for("Sending SUBACK to listener")

    @property
    def lines(self) -> list[tuple[str, bytes]]:
        """Topic and body of each whole message so far."""
        whole, _, _ = self._path.read_bytes().rpartition(b"\n")
        return [(t.decode(), body) for t, _, body in (line.partition(b" ") for line in whole.splitlines())]

    @property
    def count(self) -> int:
        """Messages so far."""
        return self._path.read_bytes().count(b"\n")

    def names(self) -> list[tuple[str, int]]:
        """(stream, step) of each message so far."""
        return [(m["stream"], m["step"]) for m in map(msgspec.json.decode, (body for _, body in self.lines))]

    def wait_distinct(self, count: int, *, deadline_s: float = 40.0) -> list[tuple[str, bytes]]:
        """Wait until `count` different forecasts were heard; all lines so far."""
        wait_until(
            lambda: self.count >= count and len(set(self.names())) >= count,
            what=f"{count} different forecasts, {len(set(self.names()))} heard",
            deadline_s=deadline_s,
        )
        return self.lines

    def close(self) -> None:
        """End it, by its id."""
        self._child.kill()
        self._child.wait()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_SCHEMA = msgspec.json.decode(files("gaugecast.forecast").joinpath("forecast.schema.json").read_bytes())
_VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)


def check_messages(lines: Iterable[tuple[str, bytes]], *, copies: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Hold messages against the schema and the promises on order; by stream, first copies only.

    Args:
        copies: Whether identical copies may come; without kills and cut connections none do.
    """
    first: dict[tuple[str, int], bytes] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    keys = list(_SCHEMA["properties"])
    for topic, body in lines:
        message = msgspec.json.decode(body)
        _VALIDATOR.validate(message)
        assert list(message) == [key for key in keys if key in message], "expected the keys in the schema's order"
        assert topic == f"gaugecast/{message['fleet']}/{message['stream']}"
        name = (message["stream"], message["step"])
        if name in first:
            assert copies, f"expected {name} once"
            assert first[name] == body, f"expected identical copies of {name}"
            continue
        first[name] = body
        found.setdefault(message["stream"], []).append(message)
    for stream, messages in found.items():
        steps = [m["step"] for m in messages]
        assert steps == list(range(1, len(steps) + 1)), f"expected steps 1, 2, … of {stream} in order"
    return found


def values_of(plan: LoadPlan, stream: int, feature: int, rounds: int) -> list[float]:
    """What a stream says of a feature in so many rounds, in the feature's unit."""
    each = np.arange(rounds)
    values: list[float] = (plan.values(np.full_like(each, stream), feature, each) / 1000).tolist()
    return values


def check_tanks(lines: Iterable[tuple[str, bytes]], count: int, *, streams: int = 8, copies: bool = False) -> None:
    """One forecast for each of the first `count` messages of the plan, of what they said."""
    plan, found = tanks_plan(streams), check_messages(lines, copies=copies)
    assert sum(map(len, found.values())) == count
    for number in range(streams):
        messages = found[plan.stream_name(number)]
        rounds = range(len(messages))
        expected = [values_of(plan, number, feature, len(messages)) for feature in range(2)]
        assert [m["at"] for m in messages] == [START_NS // 10**9 + r for r in rounds]
        assert [m["observed"]["pressure"] for m in messages] == expected[0]
        assert [m["observed"]["temperature"] for m in messages] == expected[1]


def check_books(daemon: DaemonProcess, **outcomes: int) -> None:
    """The outcomes of this life that are named (`stepped=…`), as soon as /metrics has them: it is told once a second.
    The accounting identity holds exactly, whenever it is looked at."""

    def told() -> dict[str, int]:
        counts = daemon.metrics()
        assert counts.unaccounted == 0
        return {name: round(counts.total("gaugecast_readings_total", outcome=name)) for name in outcomes}

    wait_until(lambda: told() == outcomes, what=lambda: f"{outcomes} counted, not {told()}", deadline_s=10.0)


class Announcements(RawClient):
    """Hears the daemon's status topic, and nothing else."""

    def __init__(self, broker: Mosquitto) -> None:
        super().__init__(broker, subscribe="gaugecast-notices/daemon/gaugecast")

    def newest(self) -> str | None:
        """What it says now."""
        return self.heard[-1].payload.decode() if self.heard else None


def check_trouble(daemon: DaemonProcess, verb: str, why: str, *, announced: Callable[[], str | None]) -> None:
    """Whoever asks is told that it does not forecast, and why: probes, Prometheus, people, and who listens to MQTT.

    Args:
        verb, why: The first word of the state, and a part of its reason.
        announced: The newest message on the status topic.
    """

    def is_told() -> bool:
        code, body = daemon.get("/readyz")
        return code == 503 and msgspec.json.decode(body)["reason"].startswith(f"{verb}: ") and why in body

    wait_until(is_told, what=lambda: f"/readyz to say {verb}: … {why}; it says {daemon.get('/readyz')[1][:300]}")
    assert daemon.metrics().total("gaugecast_ready") == 0
    found = run_command("status", "-c", str(daemon.config_path))
    assert found.returncode == 1, found.stdout + found.stderr
    assert found.stdout.startswith(f"○ {verb}: ")
    assert why in " ".join(found.stdout.split())
    wait_until(lambda: is_announced(announced(), verb, why), what=lambda: f"{verb}: {why} announced, not {announced()}")


def is_announced(text: str | None, verb: str, why: str = "") -> bool:
    """Whether a message on the status topic says so."""
    if text is None:
        return False
    said = msgspec.json.decode(text)
    return said["status"] == "online" and said.get("doing") == verb and why in said["why"]

"""What is changed from the console: a live daemon does as it is told, and says why where it will not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.conftest import payload
from console.serving import Served, served
from console.test_guard import TOKEN, WRITE, bearer
from gaugecast.console import acting, asked
from gaugecast.console.views import World
from gaugecast.control import Acknowledge, Silence
from gaugecast.storage.models import ModelStore
from support.daemon import DaemonProcess
from support.mosquitto import RawClient, wait_until


@pytest.fixture(scope="module")
def writable(daemon: DaemonProcess) -> Iterator[Served]:
    """A console that changes things for whoever has the token."""
    with served(daemon.config_path, daemon.state, None, WRITE) as made:
        yield made


def told(console: Served, name: str, **body: str) -> str:
    """Have something done, and what is said of it."""
    answer = console.post(name, body, bearer(WRITE))
    assert answer.status == 200, answer.body
    return str(answer.json["done"])


def names(console: Served) -> set[str]:
    """Streams that are active."""
    return {row["stream"] for row in console.ask("streams")["rows"]}


def test_a_stream_is_reset_renamed_and_forgotten(writable: Served, sensors: RawClient, daemon: DaemonProcess) -> None:
    """One of its own, so that the others stay as they are; the table shows it at once."""
    sensors.publish([("plant/spare", payload(step, 4)) for step in range(3)])
    wait_until(lambda: "spare" in names(writable), what="the spare tank")
    assert told(writable, "streams/reset", fleet="tanks", stream="spare") == "spare begins anew"
    assert "spare begins anew" not in daemon.log_text()
    assert told(writable, "streams/rename", fleet="tanks", stream="spare", to="moved") == "spare goes on as moved"
    wait_until(lambda: "moved" in names(writable), what="its new id")
    assert "spare" not in names(writable)
    assert told(writable, "streams/forget", fleet="tanks", stream="moved") == "moved is forgotten"
    wait_until(lambda: "moved" not in names(writable), what="a stream that is gone")


def test_models_are_put_on_trial_promoted_and_rolled_back(writable: Served, daemon: DaemonProcess) -> None:
    """Stored weights of the fleet's shape; the list tells the role of each at every turn."""
    (version,) = ModelStore(daemon.state).versions("tanks")

    def role() -> str | None:
        """Of the weights that are stored."""
        (row,) = writable.ask("models")["models"]
        return str(row["role"]) if row["role"] else None

    assert role() is None
    assert "is on trial" in told(writable, "models/shadow", fleet="tanks", version=version)
    wait_until(lambda: role() == "shadow", what="a model on trial")
    told(writable, "models/promote", fleet="tanks")
    wait_until(lambda: role() == "in_force", what="a model in force")
    told(writable, "models/rollback", fleet="tanks")
    wait_until(lambda: role() is None, what="persistence")


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("streams/forget", {"fleet": "tanks", "stream": "none"}, "no stream 'none'"),
        ("streams/reset", {"fleet": "none", "stream": "t1"}, "none"),
        ("models/promote", {"fleet": "tanks"}, "shadow"),
        ("streams/acknowledge", {"fleet": "tanks", "stream": "t1"}, "does not look for anomalies"),
        ("streams/silence", {"fleet": "tanks", "stream": "t1", "for_s": 60}, "does not look for anomalies"),
        ("models/shadow", {"fleet": "tanks", "version": "../../etc"}, ""),
    ],
)
def test_what_the_daemon_will_not_do_it_says(name: str, body: dict[str, object], why: str, writable: Served) -> None:
    """409, and a sentence."""
    answer = writable.post(name, body, bearer(WRITE))
    assert answer.status == 409
    assert why in answer.json["error"]


def test_an_anomaly_is_acknowledged_and_a_stream_silenced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the commands of the control socket; what is said tells which it was."""
    world, sent = World(tmp_path, tmp_path, tmp_path), list[object]()
    monkeypatch.setattr(world.asking, "order", sent.append)
    done = [
        acting.acknowledge(world, asked.StreamBody(fleet="f", stream="a")).done,
        acting.silence(world, asked.SilenceBody(fleet="f", stream="a", for_s=60.0)).done,
        acting.silence(world, asked.SilenceBody(fleet="f", stream="a", for_s=0.0)).done,
    ]
    assert done == ["a: the anomaly is acknowledged", "a is silenced", "a is no longer silenced"]
    assert sent[0] == Acknowledge(fleet="f", stream="a")
    assert sent[1:] == [Silence(fleet="f", stream="a", for_s=for_s) for for_s in (60.0, 0.0)]


def test_a_whole_fleet_is_not_reset_from_here(writable: Served) -> None:
    """The command line takes an empty stream for all of them; a slip of the page must not."""
    answer = writable.post("streams/reset", {"fleet": "tanks", "stream": ""}, bearer(WRITE))
    assert answer.status == 400


def test_a_token_that_looks_does_nothing(writable: Served) -> None:
    """Nor does it where it is no token here at all."""
    assert writable.post("streams/forget", {"fleet": "tanks", "stream": "t1"}, bearer(TOKEN)).status == 403
    assert "t1" in names(writable)

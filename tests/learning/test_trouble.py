"""Poisoned weights through the socket, a learner that is asked to end while it compiles, a second learner."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e.scenes import tanks_config
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.control import SOCKET_NAME, call
from gaugecast.errors import CommandRefused
from gaugecast.model import Model, seal_model
from gaugecast.service import learning
from gaugecast.service.models import ModelStore
from learning.stage import model_events
from support.daemon import DaemonProcess, run_command
from support.models import random_model
from support.mosquitto import Mosquitto, RawClient, wait_until
from support.seeding import seed_state


class Field:
    """A daemon with known weights in force, and tanks that climb."""

    def __init__(self, directory: Path, broker: Mosquitto) -> None:
        config = tanks_config(broker.port).replace('mode = "off"', 'mode = "unit"')
        self.daemon = DaemonProcess(directory, config)
        (fleet,) = resolve_fleets(load_settings(self.daemon.config_path, {}))
        features = [(f.name, f.role) for f in fleet.features]
        self.model = biased(random_model(fleet.name, features, fleet.rows, units=(4,), gain=0.0), 0.5)
        self.store = ModelStore(self.daemon.state)
        seed_state(self.daemon.state, fleet, self.model)
        self._tick, self._random = 0, np.random.default_rng(0)
        self._levels = np.zeros(2)

    def run(self, client: RawClient, steps: int) -> None:
        """So many readings of one tank, each forecast before the next is sent."""
        for _ in range(steps):
            self._levels += 1 + 0.1 * self._random.standard_normal(2)
            self._tick += 1
            pressure, temperature = self._levels.tolist()
            body = f'{{"t": {1_767_225_600 + self._tick}, "pressure": {pressure}, "temperature": {temperature}}}'
            client.publish([("plant/load/t/telemetry", body.encode())])
        client.wait_heard(self._tick)

    def hand_over(self, version: str, role: str = "in_force") -> dict[str, Any]:
        request = {"command": "hand_over", "fleet": "tanks", "version": version, "role": role}
        return call(self.daemon.state / SOCKET_NAME, request)

    @property
    def roles(self) -> dict[str, Any]:
        answer = call(self.daemon.state / SOCKET_NAME, {"command": "models"})
        return {role: known["version"] for role, known in answer["fleets"]["tanks"]["roles"].items()}


def biased(model: Model, bias: float) -> Model:
    """Forecasts the last value plus `bias` scales."""
    weights = dict(model.weights)
    weights["dense/bias"] = np.full_like(weights["dense/bias"], bias)
    return seal_model(model.manifest, weights)


@pytest.fixture
def field(tmp_path: Path, broker: Mosquitto):
    """Running."""
    made = Field(tmp_path / "d", broker)
    made.daemon.start()
    yield made
    if made.daemon.running:
        made.daemon.kill()


def damaged(field: Field) -> str:
    """Weights whose digest is not the manifest's."""
    version = field.store.add("tanks", biased(field.model, 0.7))
    path = field.store.place("tanks", version) / "weights.npz"
    path.write_bytes(path.read_bytes()[:-30] + b"x" * 30)
    return version


def of_another_shape(field: Field) -> str:
    """Fit for the fleet, but not to go on from what is in force."""
    return field.store.add("tanks", random_model(units=(6,)))


def of_another_fleet(field: Field) -> str:
    """By its manifest."""
    other = biased(field.model, 0.6)
    return field.store.add("tanks", seal_model(replace(other.manifest, fleet="ships"), dict(other.weights)))


@pytest.mark.parametrize("poison", [damaged, of_another_shape, of_another_fleet, lambda _: "../../x", lambda _: "ab12"])
def test_poisoned_weights_are_refused_and_the_loop_goes_on(
    field: Field, broker: Mosquitto, poison: Callable[[Field], str]
) -> None:
    """Counted; the forecasts are still those of the model in force."""
    with RawClient(broker, subscribe="gaugecast/tanks/+") as client:
        field.run(client, 20)
        with pytest.raises(CommandRefused):
            field.hand_over(poison(field))
        field.daemon.wait_metric("gaugecast_learner_failures_total", 1)
        field.run(client, 5)
        last = client.heard[-1].payload
    assert field.roles == {"in_force": field.model.manifest.version}
    assert field.model.manifest.version.encode() in last
    assert "weights refused" in field.daemon.log_text()


def test_weights_that_are_huge_but_finite_are_rolled_back_and_replay_reproduces_it(
    field: Field, broker: Mosquitto
) -> None:
    """To the last good ones, although the daemon was killed in between."""
    good, huge = biased(field.model, 0.9), biased(field.model, 1e30)
    for model in (good, huge):
        field.store.add("tanks", model)
    with RawClient(broker, subscribe="gaugecast/tanks/+") as client:
        field.run(client, 30)
        field.hand_over(good.manifest.version)
        field.run(client, 40)
        field.hand_over(huge.manifest.version)
        wait_until(lambda: field.roles["in_force"] == huge.manifest.version, what="the huge weights in force")
        field.daemon.kill()
        field.daemon.start()
        field.run(client, 40)
        wait_until(lambda: field.roles.get("in_force") == good.manifest.version, what="a rollback to the good weights")
        field.run(client, 5)
        field.daemon.wait_metric("gaugecast_rollbacks_total", 1)
    assert model_events(field.daemon)[-1] == ("in_force", good.manifest.version)
    assert field.daemon.stop() == 0
    found = run_command("replay", "-c", str(field.daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr


def test_lost_weights_cost_the_model_not_the_forecasts(field: Field, broker: Mosquitto) -> None:
    """The file that the ledger names is damaged at the start: persistence, and the log says why."""
    with RawClient(broker, subscribe="gaugecast/tanks/+") as client:
        field.run(client, 20)
        assert field.daemon.stop() == 0
        path = field.store.place("tanks", field.model.manifest.version) / "weights.npz"
        path.write_bytes(path.read_bytes()[:-30] + b"x" * 30)
        field.daemon.start()
        field.run(client, 5)
        last = client.heard[-1].payload
    assert field.roles == {}
    assert b'"fallback"' in last
    assert "weights lost" in field.daemon.log_text()
    assert field.daemon.stop() == 0


@pytest.mark.keras
def test_a_learner_that_compiles_ends_when_it_is_asked(field: Field, broker: Mosquitto, tmp_path: Path) -> None:
    """The main thread is inside of TensorFlow; SIGTERM is heard by another."""
    with RawClient(broker, subscribe="gaugecast/tanks/+") as client:
        field.run(client, 60)
    log = tmp_path / "learner.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "gaugecast", "learn", "-c", str(field.daemon.config_path)]
        child = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_until(lambda: b"following" in log.read_bytes(), what="the learner's start", deadline_s=90)
        child.terminate()
        assert child.wait(timeout=30) == 0, log.read_text()
    finally:
        child.kill()
        child.wait()


def test_a_second_learner_waits_for_the_first(tmp_path: Path) -> None:
    """Two would hand over against each other."""
    first = learning._take_lock(tmp_path)
    assert first is not None
    assert learning._take_lock(tmp_path) is None


def test_waiting_ends_when_it_is_asked_to_stop(tmp_path: Path) -> None:
    """There is no ledger yet."""
    stopping = learning.Stopping()

    def attempt() -> None:
        assert learning._open_ledger(tmp_path) is None
        stopping.ask()

    assert learning._wait_for(attempt, stopping) is None

"""Poisoned weights through the socket, a learner that is asked to end while it compiles, a second learner."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e.scenes import tanks_config
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.control import SOCKET_NAME, call
from gaugecast.errors import CommandRefused
from gaugecast.model import Model, pack_weights, seal_model
from gaugecast.model.manifest import encode_manifest
from gaugecast.service import learning
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from learning.stage import model_events
from support.daemon import DaemonProcess, run_command
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
def field(tmp_path: Path, broker: Mosquitto) -> Iterator[Field]:
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


def cut_off(field: Field) -> str:
    """As a copy that was interrupted leaves them."""
    version = field.store.add("tanks", biased(field.model, 0.8))
    path = field.store.place("tanks", version) / "weights.npz"
    path.write_bytes(path.read_bytes()[:200])
    return version


def without_manifest(field: Field) -> str:
    """As a learner leaves them that died between the two files."""
    version = field.store.add("tanks", biased(field.model, 0.9))
    (field.store.place("tanks", version) / "model.json").unlink()
    return version


def vouched(field: Field, packed: bytes) -> str:
    """Any bytes as weights, with a manifest that has their digest: whoever can write files can do that."""
    digest = hashlib.sha256(packed).hexdigest()
    place = field.store.place("tanks", digest[:12])
    place.mkdir()
    (place / "weights.npz").write_bytes(packed)
    (place / "model.json").write_bytes(
        encode_manifest(replace(field.model.manifest, sha256=digest, version=digest[:12]))
    )
    return digest[:12]


def not_finite(field: Field) -> str:
    """One NaN among them."""
    kernel = field.model.weights["dense/kernel"].copy()
    kernel[0, 0] = np.nan
    return vouched(field, pack_weights({**field.model.weights, "dense/kernel": kernel}))


def of_a_wrong_shape(field: Field) -> str:
    """One more bias than the manifest says."""
    return vouched(field, pack_weights({**field.model.weights, "dense/bias": np.zeros(2, np.float32)}))


def no_archive(field: Field) -> str:
    """A pickle, say."""
    return vouched(field, pickle.dumps({"dense/bias": 1.0}))


def of_another_shape(field: Field) -> str:
    """Fit for the fleet, but not to go on from what is in force."""
    return field.store.add("tanks", random_model(units=(6,)))


def of_another_fleet(field: Field) -> str:
    """By its manifest."""
    other = biased(field.model, 0.6)
    return field.store.add("tanks", seal_model(replace(other.manifest, fleet="ships"), dict(other.weights)))


POISONS: dict[str, Callable[[Field], str]] = {
    "expected sha256": damaged,
    "weights.npz: expected sha256": cut_off,
    "model.json: expected a readable file": without_manifest,
    "expected finite numbers": not_finite,
    "dense/bias": of_a_wrong_shape,
    "expected an npz archive": no_archive,
    "of the shape of those in force": of_another_shape,
    "fleet 'tanks' expected": of_another_fleet,
    "hexadecimal": lambda _: "../../x",
    "found nothing": lambda _: "ab12",
}


def test_poisoned_weights_are_refused_and_the_loop_goes_on(field: Field, broker: Mosquitto) -> None:
    """Each with its reason, counted and logged; the forecasts are still those of the model in force."""
    with RawClient(broker, subscribe="gaugecast/tanks/+") as client:
        field.run(client, 20)
        for count, (why, poison) in enumerate(POISONS.items(), start=1):
            with pytest.raises(CommandRefused, match=why):
                field.hand_over(poison(field))
            field.run(client, 2)
            assert field.model.manifest.version.encode() in client.heard[-1].payload
            field.daemon.wait_metric("gaugecast_learner_failures_total", count)
    assert field.roles == {"in_force": field.model.manifest.version}
    assert field.daemon.log_text().count("weights refused") == len(POISONS)
    assert field.daemon.metrics().unaccounted == 0
    assert field.daemon.stop() == 0


@pytest.mark.keras  # where nothing could learn, nothing that people put in force is taken back
@pytest.mark.parametrize("bias", [-5 * 0.9, 1e30])
def test_finite_weights_that_forecast_nonsense_are_rolled_back_and_replay_reproduces_it(
    field: Field, broker: Mosquitto, bias: float
) -> None:
    """To the last good ones, within 40 readings and although the daemon was killed in between."""
    good, bad = biased(field.model, 0.9), biased(field.model, bias)
    for model in (good, bad):
        field.store.add("tanks", model)
    with RawClient(broker, subscribe="gaugecast/tanks/+") as client:
        field.run(client, 30)
        field.hand_over(good.manifest.version)
        field.run(client, 40)
        field.hand_over(bad.manifest.version)
        wait_until(lambda: field.roles["in_force"] == bad.manifest.version, what="the bad weights in force")
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

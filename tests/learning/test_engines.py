"""A model whose engine takes seconds to load: the loop turns meanwhile, and answers once it is there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.scenes import Listener, send_tanks, tanks_config
from gaugecast import events
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Learning, Loop
from gaugecast.control import SOCKET_NAME, call
from gaugecast.errors import CommandRefused, GaugecastError, ModelError
from gaugecast.loop.engines import EngineLoader, EngineLoading
from gaugecast.loop.model_roles import ModelRoles
from gaugecast.model import Layer, Model
from gaugecast.pipeline import Pipeline
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from learning.stage import model_events
from learning.worlds import configured, event
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, wait_until

#: Takes TensorFlow's place until the test says go; then it is broken, or steps aside for the real one.
SLOW_TENSORFLOW = """
import pathlib, sys, time
place = pathlib.Path(__file__).parent.parent
(place / "begun").touch()
while not (place / "go").exists():
    time.sleep(0.01)
(place / "go").unlink()
if (place / "broken").exists():
    raise ImportError("libtensorflow.so: no room for it")
sys.path.remove(str(place))
del sys.modules["tensorflow"]
import tensorflow
"""


class SlowBuild:
    """An engine's maker that waits for the test, then fails if it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.failure: Exception | None = None
        self.threads: list[str] = []

    def __call__(self, model: Model) -> None:
        self.threads.append(threading.current_thread().name)
        if model.manifest.engine == "tensorflow":
            assert self.go.wait(10)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def build() -> Iterator[SlowBuild]:
    """Lets go of what still waits."""
    made = SlowBuild()
    yield made
    made.go.set()


def gru(seed: int = 0) -> Model:
    """For the TensorFlow engine."""
    return random_model("tanks", layers=[Layer(2, cell="gru")], engine="tensorflow", seed=seed)


def demand(loader: EngineLoader, model: Model) -> None:
    """Ask, round after round, until the engine is there or is known not to come."""

    def there() -> bool:
        try:
            loader.demand(model)
        except EngineLoading:
            return False
        return True

    wait_until(there, what="the engine")


def test_an_engine_that_is_slow_to_load_is_loaded_in_one_thread_of_its_own(build: SlowBuild) -> None:
    """Whoever asks meanwhile is told to ask again, for whatever model; NumPy's are made where they are asked for."""
    loader = EngineLoader(build)
    model = gru()
    for other in (model, model, gru(1)):
        with pytest.raises(EngineLoading):
            loader.demand(other)
    loader.demand(random_model("tanks"))
    build.go.set()
    demand(loader, model)
    demand(loader, gru(1))
    assert sorted(build.threads) == ["MainThread", "engine", "engine"]


def test_an_engine_that_does_not_load_is_refused_and_tried_again_when_asked_again(build: SlowBuild) -> None:
    """Whatever the foreign library raises; the next try may find it mended."""
    loader, model = EngineLoader(build), gru()
    build.go.set()
    for build.failure, words in (
        (ModelError("no TensorFlow here"), "^no TensorFlow here$"),
        (MemoryError("all gone"), r"cannot be loaded: MemoryError\('all gone'\)"),
    ):
        with pytest.raises(ModelError, match=words):
            demand(loader, model)
    build.failure = None
    demand(loader, model)


def test_weights_get_their_role_once_their_engine_is_there(tmp_path: Path, build: SlowBuild) -> None:
    """Until then nothing is on its way; that it cannot be had is a refusal like any other."""
    store = ModelStore(tmp_path)
    pipeline = Pipeline(Loop(), store.load)
    pipeline.advance([configured()])
    keeper = ModelRoles(pipeline, store, Learning(), pending=lambda _: False, engines=EngineLoader(build))
    version = store.add("tanks", gru())

    def attempt() -> events.Event | None:
        try:
            return keeper.hand_over("tanks", version, "shadow", "asked")[0].event
        except EngineLoading:
            return None

    assert attempt() is None
    build.failure = ModelError("broken")
    build.go.set()
    with pytest.raises(ModelError, match="broken"):
        wait_until(attempt, what="the refusal")
    assert keeper.standing("tanks").refused_total == 1
    build.failure = None
    assert wait_until(attempt, what="the event") == events.ModelInstalled(
        "shadow", version, sha256=gru().manifest.sha256, reason="asked"
    )
    assert keeper.standing("tanks").handovers_total == 1


def test_a_rollback_waits_for_the_engine_of_what_it_goes_back_to(
    tmp_path: Path, build: SlowBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart the good weights may be the only ones that need TensorFlow; the keeper judges again later."""
    store = ModelStore(tmp_path)
    bad, good = (store.add("tanks", model) for model in (random_model("tanks"), gru()))
    pipeline = Pipeline(Loop(), store.load)
    pipeline.advance([configured(), event(events.ModelInstalled("in_force", bad))])
    keeper = ModelRoles(pipeline, store, Learning(mode="child"), pending=lambda _: False, engines=EngineLoader(build))
    keeper.remember([("tanks", events.ModelInstalled("in_force", bad, good=good))])
    monkeypatch.setattr(keeper, "_failing", lambda _: "lost to persistence")
    assert keeper.judge() == keeper.judge() == []
    assert keeper.standing("tanks").rollbacks_total == 0
    build.go.set()
    (order,) = wait_until(keeper.judge, what="the rollback")
    assert order.event == events.ModelInstalled("in_force", good, reason=events.ROLLBACK, good=good)
    assert build.threads == ["engine"]


class Asked(threading.Thread):
    """`models shadow` as the command line asks for it, beside the test."""

    def __init__(self, daemon: DaemonProcess, version: str) -> None:
        super().__init__(daemon=True)
        self._daemon, self._version = daemon, version
        self.outcome: dict[str, Any] | GaugecastError | None = None
        self.start()

    def run(self) -> None:
        request = {"command": "hand_over", "fleet": "tanks", "version": self._version, "role": "shadow"}
        try:
            self.outcome = call(self._daemon.state / SOCKET_NAME, {**request, "reason": "asked"}, timeout_s=60)
        except GaugecastError as exc:
            self.outcome = exc


@pytest.mark.keras
def test_readings_are_forecast_while_tensorflow_is_imported(tmp_path: Path, broker: Mosquitto) -> None:
    """A first import fails, and the command says why; a second is slow, and its model is in shadow in the end."""
    place = tmp_path / "slow"
    (place / "tensorflow").mkdir(parents=True)
    (place / "tensorflow" / "__init__.py").write_text(SLOW_TENSORFLOW)
    (place / "broken").touch()
    path = os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])
    daemon = DaemonProcess(tmp_path / "d", tanks_config(broker.port), environment={"PYTHONPATH": path})
    (fleet,) = resolve_fleets(load_settings(daemon.config_path, {}))
    features = [(f.name, f.role) for f in fleet.features]
    model = random_model(fleet.name, features, fleet.rows, layers=[Layer(2, cell="gru")], engine="tensorflow")
    version = ModelStore(daemon.state).add("tanks", model)
    with Listener(broker, tmp_path) as listener:
        daemon.start()
        try:
            for turn in range(2):
                asked = Asked(daemon, version)
                wait_until((place / "begun").exists, what="the import")
                send_tanks(broker, 20, first=20 * turn, streams=4)
                listener.wait_distinct(20 * (turn + 1))
                late = Asked(daemon, version)
                late.join(10)
                assert isinstance(late.outcome, CommandRefused)
                assert "being loaded for another command; ask again" in str(late.outcome)
                assert asked.outcome is None
                assert model_events(daemon) == []
                (place / "begun").unlink()
                (place / "go").touch()
                asked.join(60)
                if turn == 0:
                    assert isinstance(asked.outcome, CommandRefused)
                    assert "needs the TensorFlow engine" in str(asked.outcome)
                    assert "no room for it" in str(asked.outcome)
                    (place / "broken").unlink()
            assert asked.outcome == {}, daemon.log_tail()
            send_tanks(broker, 20, first=40, streams=4)
            listener.wait_distinct(60)
            assert model_events(daemon) == [("shadow", version)]
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()

"""A user's `.keras` file, from plain Keras to a live fleet: imported, in shadow, promoted, published, replayed.

Once for each engine: LSTM layers go to NumPy, GRU layers to TensorFlow in the daemon's own process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from e2e.scenes import Listener, check_messages, send_tanks, tanks_config, tanks_plan, values_of
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Mosquitto, run_mosquitto

pytestmark = [pytest.mark.keras, pytest.mark.long]
STREAMS = 4
ROUND = 25 * STREAMS


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that drops nothing."""
    with run_mosquitto(tmp_path / "broker", conf="max_queued_messages 0\n") as running:
        yield running


def fit_plain_keras(path: Path, cells: str) -> None:
    """What a user has: a Normalization layer, a recurrent and a Dense layer, fitted to what the tanks send."""
    import keras

    plan = tanks_plan(STREAMS)
    rows = np.array([values_of(plan, 0, feature, 200) for feature in range(2)], np.float32).T
    norm = keras.layers.Normalization()
    norm.adapt(rows)
    recurrent = getattr(keras.layers, cells)(8, return_sequences=True)
    net = keras.Sequential([keras.Input((None, 2)), norm, recurrent, keras.layers.Dense(2)])
    net.compile("adam", "mse")
    net.fit(rows[None, :-1], rows[None, 1:], epochs=3, verbose=0)
    net.save(path)


def ask(daemon: DaemonProcess, *words: str) -> str:
    """One `gaugecast models` command that must succeed; what it says."""
    ended = run_command("models", *words, "-c", str(daemon.config_path), deadline_s=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(("cells", "engine"), [("LSTM", "numpy"), ("GRU", "tensorflow")])
def test_a_plain_keras_model_serves_a_live_fleet(tmp_path: Path, broker: Mosquitto, cells: str, engine: str) -> None:
    """Forecasts carry its version after the promotion and across a kill -9; the ledger reproduces them to the byte."""
    fit_plain_keras(tmp_path / "own.keras", cells)
    daemon = DaemonProcess(tmp_path / "daemon", tanks_config(broker.port, fleet='rows = "joint"\nhorizon = 3'))
    version = ask(daemon, "import", str(tmp_path / "own.keras")).split()[0]
    assert f'"engine": "{engine}"' in ask(daemon, "show", version)
    with Listener(broker, tmp_path) as listener:
        daemon.start()
        try:
            send_tanks(broker, ROUND, streams=STREAMS)
            listener.wait_distinct(ROUND)
            ask(daemon, "shadow", version)
            send_tanks(broker, ROUND, first=ROUND, streams=STREAMS)
            listener.wait_distinct(2 * ROUND)
            ask(daemon, "promote")
            send_tanks(broker, ROUND, first=2 * ROUND, streams=STREAMS)
            listener.wait_distinct(3 * ROUND)
            assert daemon.kill() == -9
            daemon.start(deadline_s=90)
            send_tanks(broker, ROUND, first=3 * ROUND, streams=STREAMS)
            found = check_messages(listener.wait_distinct(4 * ROUND), copies=True)
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()
    for messages in found.values():
        assert {m["model"] for m in messages[:50]} == {None}
        assert {m["model"] for m in messages[50:]} == {version}
        assert all(np.isfinite(h["forecast"]["pressure"]) for m in messages[50:] for h in m["horizons"])
    replayed = run_command("replay", "-c", str(daemon.config_path))
    assert replayed.returncode == 0, replayed.stderr
    assert f"{4 * ROUND} messages reproduced byte for byte" in replayed.stdout

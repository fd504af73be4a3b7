"""What a training keeps while it runs, and what it and the daemon show of a network's inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.cli.train import curves_to
from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.learn.fit.fitting import Epoch
from gaugecast.learn.train.begin import Checkpoint, load_run, settings_of_run
from gaugecast.learn.train.job import run_training
from gaugecast.learn.train.task import Silent, Task
from gaugecast.testing import T0, LocalDaemon, fleet_of, model_for
from train.series import waves, write_csv

SMALL: dict[str, Any] = {"units": [4], "segment": 8, "learning_rate": 0.01, "schedule": "constant", "test": 0.0}
CONFIG = """
[mqtt]
host = "nowhere.invalid"
[storage]
directory = "{directory}"
[fleet.tanks]
subscribe = ["tank/{{tank}}"]
period = "1s"
time = "$.t"
[fleet.tanks.features.p]
[fleet.tanks.features.q]
"""


class Dies(Silent):
    """The power fails after so many epochs."""

    def __init__(self, after: int) -> None:
        self._after = after

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == self._after:
            raise SystemError("the power has failed")


@pytest.mark.keras
def test_the_best_so_far_lies_on_disk_while_a_training_runs_and_can_be_gone_on_with(tmp_path: Path) -> None:
    """Weights, settings and the optimiser's state of the second epoch; the epochs after it are those of a whole run."""
    path = write_csv(tmp_path / "waves.csv", waves(200))
    kept = Checkpoint(tmp_path / "run.unfinished", every_s=0.0)
    train = Train(**SMALL, epochs=9)
    with pytest.raises(SystemError):
        run_training(Task((path,), train, checkpoint=kept), Dies(after=2))
    begun = load_run(kept.directory)
    assert begun.moments
    assert settings_of_run(kept.directory)["units"] == [4]
    more = run_training(Task((path,), train.model_copy(update={"epochs": 1}), begin=kept.directory))
    whole = run_training(Task((path,), train.model_copy(update={"epochs": 3})))
    assert whole.fit.best == 3, "expected each epoch to be the best so far"
    assert more.fit.epochs[0].train == pytest.approx(whole.fit.epochs[2].train, rel=1e-6)
    kept.drop()
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_is_not_due_is_not_written(tmp_path: Path) -> None:
    """A short training writes its run, and nothing else."""
    kept = Checkpoint(tmp_path / "run.unfinished", every_s=3600.0)
    kept.keep(Train(), None)  # type: ignore[arg-type]  # not looked at
    assert not kept.directory.exists()
    with pytest.raises(ConfigError, match="expected the directory of a run"):
        load_run(kept.directory)


@pytest.mark.keras
def test_curves_are_written_for_tensorboard(tmp_path: Path) -> None:
    """Each epoch's training and validation loss and rate, at its number; where nothing is held out, no validation."""
    from tensorflow.core.util import event_pb2
    from tensorflow.data import TFRecordDataset
    from tensorflow.python.framework.tensor_util import MakeNdarray

    with curves_to(tmp_path / "board") as note:
        note(Epoch(1, 0.5, 0.75, 1e-3))
        note(Epoch(2, 0.25, None, 1e-4))
    (file,) = (tmp_path / "board").iterdir()
    found: dict[tuple[int, str], float] = {}
    for record in TFRecordDataset(str(file)):
        event = event_pb2.Event.FromString(record.numpy())
        found |= {(event.step, value.tag): float(MakeNdarray(value.tensor)) for value in event.summary.value}
    rate = pytest.approx(1e-3), pytest.approx(1e-4)
    assert found == {
        (1, "train"): 0.5, (1, "validation"): 0.75, (1, "rate"): rate[0], (2, "train"): 0.25, (2, "rate"): rate[1],
    }  # fmt: skip


def test_nothing_is_written_for_tensorboard_where_nobody_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is TensorFlow loaded for it."""
    monkeypatch.chdir(tmp_path)
    with curves_to(None) as note:
        note(Epoch(1, 0.5, 0.75, 1e-3))
    assert list(tmp_path.iterdir()) == []


def test_the_state_that_a_stream_carries_is_shown_in_numbers_and_as_a_picture(tmp_path: Path) -> None:
    """As the daemon has it after its last reading: h and c of each layer, of each row."""
    fleet = fleet_of("pq")
    with LocalDaemon(fleet, models=[model_for(fleet)], directory=tmp_path / "state") as daemon:
        for second in range(5):
            daemon.say("tank/a", {"t": T0 // 10**9 + second, "p": float(second), "q": 2.0})
        part = daemon.core.pipeline.parts["tanks"]
        assert part.in_force is not None
        carried = part.in_force.columns["state"][part.table.slots["a"]].copy()
    config = tmp_path / "gaugecast.toml"
    config.write_text(CONFIG.format(directory=tmp_path / "state"))
    words = ["state", "a", "-c", str(config)]
    told = CliRunner().invoke(app, [*words, "--json", "--plot", str(tmp_path / "state.png")])
    assert told.exit_code == 0, told.output
    parts = json.loads(told.stdout)
    assert list(parts) == ["p, LSTM 1, h", "p, LSTM 1, c", "q, LSTM 1, h", "q, LSTM 1, c"]
    np.testing.assert_allclose(np.concatenate(list(parts.values())), carried.ravel(), atol=1e-6)
    assert np.abs(carried).max() > 0.0
    assert (tmp_path / "state.png").read_bytes().startswith(b"\x89PNG")
    shown = CliRunner().invoke(app, words).output
    assert all(name in shown for name in parts)
    unknown = CliRunner().invoke(app, ["state", "b", "-c", str(config)])
    assert "found none called 'b'" in str(unknown.exception)


@pytest.mark.keras
@pytest.mark.parametrize(("forget", "least", "most"), [(-6.0, 8, 8), (3.5, 20, 64)])
def test_imported_weights_say_warming_for_as_long_as_they_remember(
    tmp_path: Path, forget: float, least: int, most: int
) -> None:
    """By their own forget gates: a network that forgets at once is warm after the least, a slow one later."""
    import keras

    from gaugecast.learn.keras_models.importing import import_keras

    net = keras.Sequential(
        [
            keras.Input((None, 2)),
            keras.layers.LSTM(3, return_sequences=True, seed=1),
            keras.layers.TimeDistributed(keras.layers.Dense(2)),
        ]
    )
    kernel, recurrent, bias = net.layers[0].get_weights()
    bias[3:6] = forget
    net.layers[0].set_weights([kernel, 0.1 * recurrent, bias])
    net.save(tmp_path / "own.keras")
    found = import_keras(tmp_path / "own.keras", fleet_of("pq", rows="joint")).manifest.warmup_steps
    assert least <= found <= most

"""One schema for command line and file; what does not go together is refused with the reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.cli.sources import read_table
from gaugecast.config.table import Table
from gaugecast.config.training import Train
from gaugecast.config.tuning import Tune
from gaugecast.errors import ConfigError
from gaugecast.learn.fit.fitting import Fit
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.train.job import provenance_of
from gaugecast.learn.train.task import Task
from gaugecast.testing import random_model
from train.series import fleet_of

#: A value for each key that is not its default.
OTHER: dict[str, Any] = {
    "units": [5, 4], "activation": "relu", "recurrent_activation": "hard_sigmoid", "layer_norm": True, "head": "none",
    "learn_initial": True, "dropout": 0.1, "recurrent_dropout": 0.2, "l2": 0.001, "rows": "joint",
    "cell": "gru", "scaling": "minmax", "clock": True, "target": "last", "horizon": 3, "decoder": "repeat",
    "decoder_units": [6],
    "stateful": True, "look_back": 12, "stride": 12, "shuffle": False, "segment": 30, "batch_size": 4, "epochs": 7,
    "loss": "pinball", "quantile": 0.9, "huber_delta": 2.0, "optimizer": "rmsprop", "learning_rate": 0.01,
    "weight_decay": 0.01, "clip_norm": 5.0, "clip_value": 0.5, "schedule": "plateau", "rate_factor": 0.3,
    "rate_patience": 2, "rate_floor": 0.0001, "early_stop": 3, "validation": 0.2, "test": 0.1, "season": 24, "seed": 9,
    "bridge": 2,
}  # fmt: skip
SEARCHES: dict[str, Any] = {
    "trials": 3, "sampler": "grid", "units": [8], "layers": [1, 2], "learning_rate": [0.001, 0.01],
    "dropout": [0.0, 0.3], "segment": [8, 16], "look_back": [4, 8], "epochs": [2, 4], "batch_size": [1, 2],
    "tune_seed": 5,
}  # fmt: skip
NEEDS: dict[str, dict[str, Any]] = {"decoder_units": {"decoder": "repeat"}, "look_back": {"stateful": False}}


TABLES: dict[str, type[Table]] = {"train": Train, "tune": Tune}


def parse(tmp_path: Path, given: dict[str, Any], *, how: str, table: str = "train") -> Any:
    """The settings from options, or from the same keys in a file."""
    if how == "options":
        raw = {k: v if isinstance(v, bool) else str(v).strip("[]") for k, v in given.items()}
        return read_table(None, table, TABLES[table], raw, None)[0]
    path = tmp_path / f"{table}.toml"
    path.write_text(f"[{table}]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in given.items()) + "\n")
    return read_table(path, table, TABLES[table], {}, None)[0]


def test_every_key_has_a_trial_here() -> None:
    """A new setting cannot be forgotten."""
    assert set(OTHER) == set(Train.model_fields)
    assert set(SEARCHES) == set(Tune.model_fields)


@pytest.mark.parametrize("key", sorted(OTHER))
def test_options_and_file_mean_the_same(tmp_path: Path, key: str) -> None:
    """Each key, from the command line and from TOML, ends as the same value, and it is not the default."""
    given = {**NEEDS.get(key, {}), key: OTHER[key]}
    if key == "head":
        given["units"] = [2]
    one, other = (parse(tmp_path, given, how=how) for how in ("options", "file"))
    assert one == other
    assert getattr(one, key) == OTHER[key] != getattr(Train(), key)


@pytest.mark.parametrize("key", sorted(SEARCHES))
def test_options_and_file_search_the_same(tmp_path: Path, key: str) -> None:
    """So it is with what is searched."""
    one, other = (parse(tmp_path, {key: SEARCHES[key]}, how=how, table="tune") for how in ("options", "file"))
    assert one == other
    assert getattr(one, key) == SEARCHES[key] != getattr(Tune(), key)


@pytest.mark.parametrize("command", ["train", "tune"])
def test_help_explains_every_key(command: str) -> None:
    """`--help` has each option with its description; `tune` has those of training too, but for what it searches."""
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    flat = re.sub(r"[\s│]+", " ", text)
    for key, field in {**Train.model_fields, **TABLES[command].model_fields}.items():
        assert f"--{key.replace('_', '-')}" in flat
        assert re.sub(r"\s+", " ", (field.description or "")[1:40]) in flat


@pytest.mark.long
@pytest.mark.keras
def test_the_manifest_records_every_key(tmp_path: Path) -> None:
    """Each setting under its own name, as it was and not as it is by default."""
    recording = Recording(tmp_path, fleet_of("x"))
    for key, value in OTHER.items():
        train = Train.model_construct(**{**Train().model_dump(), key: value})
        found = provenance_of(Task((tmp_path,), train), recording, Fit(random_model()), {})
        assert {name for name in found if name.startswith("train.")} == {f"train.{name}" for name in Train.model_fields}
        assert found[f"train.{key}"] == as_recorded(value)


def as_recorded(value: object) -> object:
    """A setting as a manifest can hold it: numbers and text."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, list) else value


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "overlap": ({"stateful": True, "look_back": 10}, r"overlapping windows.*share 9 steps.*stepped twice"),
    "no window": ({"stateful": False}, r"needs windows: set --look-back"),
    "plateau floor": (
        {"schedule": "plateau", "learning_rate": 0.001, "rate_floor": 0.001},
        r"floor of 0.001 is not below the rate that training starts with, 0.001",
    ),
    "cosine floor": ({"rate_floor": 0.5}, r"must lie below"),
    "no training part": ({"validation": 0.5, "test": 0.5}, r"leave nothing to train on"),
    "decay": ({"weight_decay": 0.1, "optimizer": "rmsprop"}, r"AdamW's"),
    "repeat without head": ({"decoder": "repeat", "head": "none"}, r"ends in a Dense layer"),
    "no such loss": ({"loss": "mape"}, r"--loss: expected 'mse'.*got 'mape'"),
    "not a number": ({"epochs": "many"}, r"--epochs: expected a whole number.*got 'many'"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_does_not_go_together_is_refused(tmp_path: Path, case: str) -> None:
    """Each with its reason."""
    given, words = REFUSED[case]
    with pytest.raises(ConfigError, match=words):
        parse(tmp_path, given, how="options")

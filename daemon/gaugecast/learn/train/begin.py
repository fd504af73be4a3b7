"""Going on from an earlier run: its weights, its settings, and what its optimiser remembered."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.config.training import Train
from gaugecast.errors import ConfigError, ModelError
from gaugecast.learn.fit.descent import Array
from gaugecast.learn.fit.fitting import Fit
from gaugecast.model import Manifest, Model, load_model, save_model, seal_model

SETTINGS_NAME = "settings.json"
MOMENTS_NAME = "optimizer.npz"
#: So often the best weights so far are kept on disk, at most, while a training runs.
CHECKPOINT_S = 30.0
#: What must be the same for weights to be gone on with.
_SHAPE = ("features", "rows", "layers", "head", "look_back", "decoder", "decode_steps")


@dataclass(frozen=True, slots=True)
class Begun:
    """What is gone on with; no `moments` where the run left none."""

    model: Model
    moments: tuple[Array, ...]


def load_run(directory: Path) -> Begun:
    """Weights and optimiser of a run directory.

    Raises:
        ConfigError: There is no model in it, or what is there is damaged.
    """
    try:
        model = load_model(directory)
        path = directory / MOMENTS_NAME
        if not path.exists():
            return Begun(model, ())
        with np.load(path, allow_pickle=False) as kept:
            return Begun(model, tuple(kept[f"m{i}"] for i in range(len(kept.files))))
    except (ModelError, OSError, ValueError, KeyError) as exc:
        raise ConfigError(f"--from {directory}: expected the directory of a run: {exc}") from exc


def settings_of_run(directory: Path) -> dict[str, Any]:
    """The settings of a run, to be begun with again; none where it is a model without them."""
    try:
        return dict(json.loads((directory / SETTINGS_NAME).read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as exc:
        raise ConfigError(f"--from {directory}: expected settings in {SETTINGS_NAME}: {exc}") from exc


def save_moments(moments: list[Array], directory: Path) -> None:
    """Keep what the optimiser remembered."""
    np.savez(directory / MOMENTS_NAME, **{f"m{i}": array for i, array in enumerate(moments)})  # type: ignore[arg-type]


def save_settings(train: Train, directory: Path) -> None:
    """Keep the settings."""
    (directory / SETTINGS_NAME).write_text(json.dumps(train.model_dump(), indent=2) + "\n")


@dataclass(slots=True)
class Checkpoint:
    """The best of a training so far, on disk: as much of a run as `--from` asks for.

    Attributes:
        directory: Where it lies; made when there is something to keep, each time anew in the place of the old.
        every_s: Seconds between two, at least.
    """

    directory: Path
    every_s: float = CHECKPOINT_S
    _kept_at_s: float = field(default_factory=time.monotonic)

    def keep(self, train: Train, fitted: Fit) -> None:
        """Write it, if it is time. Whenever the process dies, one of the two is whole."""
        if time.monotonic() - self._kept_at_s < self.every_s:
            return
        fresh = self._fresh
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        model = fitted.model
        save_model(seal_model(model.manifest, dict(model.weights)), fresh)
        save_moments(fitted.moments, fresh)
        save_settings(train, fresh)
        shutil.rmtree(self.directory, ignore_errors=True)
        fresh.rename(self.directory)
        self._kept_at_s = time.monotonic()

    def drop(self) -> None:
        """The run itself is written."""
        for place in (self.directory, self._fresh):
            shutil.rmtree(place, ignore_errors=True)

    @property
    def _fresh(self) -> Path:
        return self.directory.with_name(self.directory.name + ".new")


def check_goes_on(begun: Begun, manifest: Manifest) -> None:
    """Refuse weights of another shape.

    Raises:
        ConfigError: With what is not the same.
    """
    old = begun.model.manifest
    wrong = [name for name in _SHAPE if getattr(old, name) != getattr(manifest, name)]
    if wrong:
        pairs = [f"{name}: expected {getattr(old, name)!r}, got {getattr(manifest, name)!r}" for name in wrong]
        raise ConfigError(f"--from: the settings mean a network of another shape: {'; '.join(pairs)}")

"""Going on from an earlier run: its weights, its settings, and what its optimiser remembered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.errors import ConfigError, ModelError
from gaugecast.learn.fit.descent import Array
from gaugecast.model import Manifest, Model, load_model

SETTINGS_NAME = "settings.json"
MOMENTS_NAME = "optimizer.npz"
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

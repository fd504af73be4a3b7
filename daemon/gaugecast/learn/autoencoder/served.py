"""A detector as weights of the store: what `models import` makes of what `gaugecast autoencoder` leaves."""

from __future__ import annotations

from pathlib import Path

from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.learn.autoencoder.detector import Detector
from gaugecast.learn.autoencoder.saved import DETECTOR_NAME, Origin, load_detector
from gaugecast.model import Detection, Layer, Manifest, Model, Recipe, seal_model

MADE_BY = "gaugecast autoencoder"


def read_served(source: Path, fleet: Fleet) -> Model:
    """The detector of a directory, as weights for a fleet.

    Raises:
        ModelError: It is damaged, or larger than what is served; or the directory has several.
    """
    if not (source / DETECTOR_NAME).is_file():
        several = sorted(path.parent.name for path in source.glob(f"*/{DETECTOR_NAME}"))
        raise ModelError(
            f"{source}: expected one detector, found those of {len(several)} files: name one of its folders"
        )
    return served(*load_detector(source), fleet)


def served(detector: Detector, origin: Origin, fleet: Fleet) -> Model:
    """A detector as weights for a fleet; whether the fleet has what it is fed, `check_meaning` asks.

    Raises:
        ModelError: It is larger than what is served.
    """
    settings, found = detector.settings, detector.calibration
    roles = {feature.name: feature.role for feature in fleet.features}
    width = len(found.features)
    manifest = Manifest(
        fleet=fleet.name, features=tuple((name, roles.get(name, "forecast")) for name in found.features),
        period_s=fleet.period_ns / 1e9, rows="joint",
        recipe=Recipe(half_life_steps=1.0, kind="standard", centre=found.centre, spread=found.spread),
        layers=tuple(map(Layer, settings.encoder)), input_size=width, output_size=width,
        decoder=tuple(map(Layer, settings.decoder)), decode_steps=settings.window,
        detection=Detection(found.threshold, settings.error, settings.windows_held, settings.stride),
        provenance={
            "made_by": MADE_BY, "file": origin.file, "rows": origin.rows, "rows_sha256": origin.rows_sha256,
            "epochs": found.epochs_run, "loss": found.loss,
        },
    )  # fmt: skip
    return seal_model(manifest, {_name(name): weights for name, weights in detector.weights.items()})


def _name(name: str) -> str:
    """`encoder/lstm0/kernel` is `lstm0/kernel` there, `decoder/lstm0/kernel` `decoder0/kernel`; `decoder/dense/bias`
    `dense/bias`.
    """
    stack, _, rest = name.partition("/")
    return rest.replace("lstm", "decoder", 1) if stack == "decoder" and rest.startswith("lstm") else rest

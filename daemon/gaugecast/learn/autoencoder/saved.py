"""A detector in a directory: `detector.json` and `weights.npz`, read without running code, and `.keras` files beside.

The `.keras` files (encoder, decoder, both together) are for whoever goes on in Keras; we never read them.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from pydantic import ValidationError

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.errors import ConfigError, ModelError
from gaugecast.files import regular
from gaugecast.learn.autoencoder.detector import Calibration, Detector, weight_shapes
from gaugecast.learn.autoencoder.networks import KerasAutoencoder
from gaugecast.learn.autoencoder.rows import FileRows
from gaugecast.learn.fit.backend import versions
from gaugecast.model import pack_weights, unpack_weights
from gaugecast.records import Float32

DETECTOR_NAME = "detector.json"
WEIGHTS_NAME = "weights.npz"
CURVES_NAME = "curves.csv"
FORMAT = 1
_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """What a detector was fitted to: so many first rows of a file, and their digest."""

    file: str
    rows: int
    rows_sha256: str

    @classmethod
    def of(cls, rows: FileRows, count: int) -> Origin:
        """The first `count` of these rows."""
        return cls(rows.name, count, rows.digest(count))

    def learned_of(self, rows: FileRows) -> int:
        """How many of a file's first rows the detector was fitted to: all of `rows`, or none."""
        return self.rows if len(rows.at) >= self.rows and rows.digest(self.rows) == self.rows_sha256 else 0


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What `detector.json` says."""

    format: int
    sha256: str
    calibration: Calibration
    origin: Origin
    settings: dict[str, object]
    versions: dict[str, str]


def save_detector(detector: Detector, origin: Origin, networks: KerasAutoencoder, directory: Path) -> None:
    """Write everything into `directory`; `networks` hold the detector's weights."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, net in (("encoder", networks.encoder), ("decoder", networks.decoder), ("autoencoder", networks.whole)):
        net.save(directory / f"{name}.keras")
    packed = pack_weights(detector.weights)
    (directory / WEIGHTS_NAME).write_bytes(packed)
    manifest = _Manifest(
        FORMAT,
        hashlib.sha256(packed).hexdigest(),
        detector.calibration,
        origin,
        detector.settings.model_dump(),
        versions(),
    )
    with (directory / CURVES_NAME).open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("epoch", *networks.curves))
        lines.writerows((n, *row) for n, row in enumerate(zip(*networks.curves.values(), strict=True), 1))
    (directory / DETECTOR_NAME).write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def load_detector(directory: Path) -> tuple[Detector, Origin]:
    """Read what `save_detector` wrote.

    Raises:
        ModelError: A file is absent, damaged, or the two do not fit each other.
    """
    manifest, settings = _read_manifest(directory / DETECTOR_NAME)
    weights = _read_weights(directory / WEIGHTS_NAME, manifest, settings)
    return Detector(settings, manifest.calibration, weights), manifest.origin


def load_curves(directory: Path) -> dict[str, list[float]]:
    """Losses by epoch of a detector's fitting, by name; empty where they were not kept."""
    try:
        with regular(directory / CURVES_NAME).open(newline="") as file:
            (_, *names), *rows = csv.reader(file)
        return {name: [float(row[i]) for row in rows] for i, name in enumerate(names, 1)}
    except (OSError, ValueError, IndexError):
        return {}


def holds_detector(directory: Path) -> bool:
    """Whether `directory` is a detector's, or has detectors in its folders."""
    return (directory / DETECTOR_NAME).is_file() or any(directory.glob(f"*/{DETECTOR_NAME}"))


def places_of(directory: Path, files: Sequence[Path]) -> list[Path]:
    """The detector's directory for each file: the folder of the file's name, or `directory` itself for all.

    Raises:
        ConfigError: There is none for a file.
    """
    if (directory / DETECTOR_NAME).is_file():
        return [directory] * len(files)
    for path in files:
        if not (directory / path.stem / DETECTOR_NAME).is_file():
            raise ConfigError(
                f"{directory}: expected {DETECTOR_NAME} in it, or in {path.stem}/ for {path}; "
                "`gaugecast autoencoder` writes them"
            )
    return [directory / path.stem for path in files]


def _read_manifest(path: Path) -> tuple[_Manifest, Autoencoder]:
    try:
        manifest = msgspec.json.decode(regular(path).read_bytes(), type=_Manifest)
        settings = Autoencoder.model_validate(manifest.settings)
    except (OSError, msgspec.MsgspecError, ValidationError, UnicodeDecodeError, RecursionError) as exc:
        raise ModelError(f"{path}: expected what `gaugecast autoencoder` writes: {exc}") from exc
    if manifest.format != FORMAT:
        raise ModelError(f"{path}: format: expected {FORMAT}, got {manifest.format}")
    found = manifest.calibration
    if not len(found.features) == len(found.centre) == len(found.spread) > 0:
        raise ModelError(
            f"{path}: calibration: expected a centre and a spread for each of {len(found.features)} features"
        )
    return manifest, settings


def _read_weights(path: Path, manifest: _Manifest, settings: Autoencoder) -> dict[str, Float32]:
    try:
        with regular(path).open("rb") as file:
            packed = file.read(_MOST_BYTES)
    except OSError as exc:
        raise ModelError(f"{path}: expected a readable file: {exc.strerror}") from exc
    digest = hashlib.sha256(packed).hexdigest()
    if digest != manifest.sha256:
        raise ModelError(f"{path}: expected sha256 {manifest.sha256!r}, got {digest!r}")
    shapes = weight_shapes(settings, len(manifest.calibration.features))
    weights = unpack_weights(packed, shapes)
    if missing := sorted(set(shapes) - set(weights)):
        raise ModelError(f"{path}: expected {missing[0]!r}, got only {sorted(weights)}")
    return weights

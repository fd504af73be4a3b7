"""The weights that a state directory keeps: `models/FLEET/VERSION/`. Immutable once written."""

from __future__ import annotations

from pathlib import Path

from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.model.weights import Model, load_model, save_model

FOLDER = "models"
#: Models that come with the package, each for the one fleet that its manifest names.
SHIPPED = Path(__file__).resolve().parent.parent / "shipped"


class ModelStore:
    """Weights by fleet and version. Any thread; files are never changed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / FOLDER

    def place(self, fleet: str, version: str) -> Path:
        """Folder of one version."""
        return self.directory / fleet / version

    def load(self, fleet: str, version: str) -> Model:
        """Read weights that an event or a checkpoint names.

        Raises:
            ModelError: They are gone or damaged.
        """
        place = self.place(fleet, version)
        if not place.is_dir():
            raise ModelError(f"weights {version} of fleet {fleet!r} expected in {place}, found nothing")
        return load_model(place)

    def add(self, fleet: str, model: Model) -> str:
        """Store weights durably, before any event may name them; their version."""
        place = self.place(fleet, model.manifest.version)
        if not (place / "model.json").exists():
            save_model(model, place)
        return model.manifest.version

    def versions(self, fleet: str) -> list[str]:
        """Versions on disk, oldest first."""
        folders = [p for p in (self.directory / fleet).glob("*") if (p / "model.json").exists()]
        return [p.name for p in sorted(folders, key=lambda p: p.stat().st_mtime_ns)]


def shipped_model(fleet: Fleet) -> Model | None:
    """The model that comes with the package for this very fleet, if there is one and it fits."""
    place = SHIPPED / fleet.name
    if not place.is_dir():
        return None
    model = load_model(place)
    try:
        check_fits(model, fleet)
    except ModelError:
        return None
    return model


def check_fits(model: Model, fleet: Fleet) -> None:
    """Hold a model against the fleet that it is to forecast.

    Raises:
        ModelError: Names what was expected and what the manifest says.
    """
    manifest = model.manifest
    wanted = (
        ("fleet", fleet.name, manifest.fleet),
        ("features", tuple((f.name, f.role) for f in fleet.features), manifest.features),
        ("period_s", fleet.period_ns / 1e9, manifest.period_s),
        ("rows", fleet.rows, manifest.rows),
    )
    for key, expected, got in wanted:
        if expected != got:
            raise ModelError(f"model {manifest.version}: {key} {expected!r} expected by the fleet, got {got!r}")

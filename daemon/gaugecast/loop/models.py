"""Weights on their way to the pipeline: from the state directory, or with the package."""

from __future__ import annotations

from pathlib import Path

from gaugecast.engine import engine_for
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.logs import get
from gaugecast.loop.ports import Models
from gaugecast.model.weights import Model, load_model
from gaugecast.pipeline.fits import check_fits

log = get("gaugecast")

#: Models that come with the package, each for the one fleet that its manifest names.
SHIPPED = Path(__file__).resolve().parent.parent / "shipped"


class LossyLoader:
    """Loads weights for a pipeline; where they cannot be read or run, the role stays empty: persistence beats silence.

    Attributes:
        lost: (fleet, version) of those.
    """

    def __init__(self, store: Models) -> None:
        self.lost: list[tuple[str, str]] = []
        self._store = store

    def __call__(self, fleet: str, version: str) -> Model | None:
        """The weights, or `None`."""
        try:
            model = self._store.load(fleet, version)
            engine_for(model)
            return model
        except ModelError as exc:
            log.error("weights lost", fleet=fleet, version=version, why=str(exc))
            self.lost.append((fleet, version))
            return None


def shipped_model(fleet: Fleet) -> Model | None:
    """The model that comes with the package for this very fleet, if there is one and it fits."""
    place = SHIPPED / fleet.name
    try:
        if not place.is_dir():
            return None
        model = load_model(place)
    except (ModelError, OSError) as exc:
        log.error("shipped model not read", fleet=fleet.name, why=str(exc))
        return None
    try:
        check_fits(model, fleet)
    except ModelError:
        return None
    return model

"""Whether a model fits a fleet: the same features in the same period, and an engine that steps it here."""

from __future__ import annotations

from gaugecast.engine import engine_for
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.model.weights import Model


def check_fits(model: Model, fleet: Fleet) -> None:
    """Hold a model against the fleet that it is to forecast, and against this machine.

    Raises:
        ModelError: Names what was expected and what the manifest says; or its engine cannot be had here.
    """
    check_meaning(model, fleet)
    engine_for(model)


def check_meaning(model: Model, fleet: Fleet) -> None:
    """Hold a model against the fleet that it is to forecast; whether it runs here is not asked.

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

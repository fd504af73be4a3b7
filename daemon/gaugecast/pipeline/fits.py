"""Whether a model fits a fleet: the same features in the same period, and an engine that steps it here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gaugecast.engine import engine_for
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.model.manifest import Manifest
from gaugecast.model.weights import Model


def check_fits(model: Model, fleet: Fleet) -> None:
    """Hold a model against the fleet that it is to forecast, and against this machine.

    Raises:
        ModelError: Names what was expected and what the manifest says; or its engine cannot be had here.
    """
    check_meaning(model, fleet)
    engine_for(model)


def check_meaning(model: Model, fleet: Fleet, *, detects: bool = False) -> None:
    """Hold a model against the fleet that it is to forecast; whether it runs here is not asked.

    Args:
        detects: It is to find what is unusual of the fleet's streams instead.

    Raises:
        ModelError: Names what was expected and what the manifest says.
    """
    why = misfit_of_detector(model.manifest, fleet) if detects else misfit(model.manifest, fleet)
    if why:
        raise ModelError(f"model {model.manifest.version}: {why}")


def misfit(manifest: Manifest, fleet: Fleet) -> str:
    """What the fleet expects and the manifest says otherwise; empty where the two fit."""
    if manifest.detection is not None:
        return "a forecaster expected, got an autoencoder, which `gaugecast models promote VERSION` puts in force"
    wanted = (
        ("fleet", fleet.name, manifest.fleet),
        ("features", tuple((f.name, f.role) for f in fleet.features), manifest.features),
        ("period_s", fleet.period_ns / 1e9, manifest.period_s),
        ("rows", fleet.rows, manifest.rows),
    )
    return _first_unlike(wanted)


def misfit_of_detector(manifest: Manifest, fleet: Fleet) -> str:
    """Why an autoencoder cannot look at the fleet's streams; empty where it can. It need not be fed all features."""
    if manifest.detection is None:
        return "an autoencoder expected, got a forecaster, which `gaugecast models shadow VERSION` tries"
    if fleet.anomaly is None:
        return f"a table [fleet.{fleet.name}.anomaly] expected: the fleet does not look for anomalies"
    known = {(f.name, f.role) for f in fleet.features}
    if strangers := [name for name, role in manifest.features if (name, role) not in known]:
        names = ", ".join(f.name for f in fleet.features)
        return f"features of the fleet expected, some of {names}; got {strangers[0]!r}"
    wanted = (("fleet", fleet.name, manifest.fleet), ("period_s", fleet.period_ns / 1e9, manifest.period_s))
    return _first_unlike(wanted)


def _first_unlike(wanted: Iterable[tuple[str, object, object]]) -> str:
    differing = (
        f"{key} {expected!r} expected by the fleet, got {got!r}" for key, expected, got in wanted if expected != got
    )
    return next(differing, "")


class PutAway(NamedTuple):
    """A model in force that a configuration has no place for; its weights stay in the store."""

    fleet: str
    version: str
    why: str

    def __str__(self) -> str:
        """Without the verb: it may be yet to come."""
        return f"the model of {self.fleet} ({self.version}): {self.why}"


def models_put_away(in_force: Iterable[Manifest], fleets: Sequence[Fleet]) -> list[PutAway]:
    """Which of the models in force the fleets, as they are to be, have no place for."""
    by_name = {fleet.name: fleet for fleet in fleets}
    found = []
    for manifest in in_force:
        fleet = by_name.get(manifest.fleet)
        why = "the fleet is left out" if fleet is None else misfit(manifest, fleet)
        if why:
            found.append(PutAway(manifest.fleet, manifest.version, why))
    return found

"""What a fleet's configuration asks of the detectors of anomalies."""

from __future__ import annotations

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly import detectors
from gaugecast.forecast.anomaly import layout as at


def rules_of(fleet: Fleet) -> detectors.Rules:
    """What the fleet's configuration asks of the detectors."""
    settings = fleet.anomaly
    assert settings is not None
    count = len(fleet.features)
    scored = np.zeros(count, bool)
    scored[list(fleet.forecast_places)] = True
    judges = np.repeat(scored[None], len(at.DETECTORS), axis=0)
    if fleet.hold_ns:  # a sensor that reports on change stands still, and is absent, in between
        judges[[at.STUCK, at.DROPOUT]] = False
    names = [feature.name for feature in fleet.features]
    mode = names.index(settings.mode) if settings.mode else -1
    least, sides = np.zeros((2, count))
    for name, value in settings.least:
        least[names.index(name)] = value
    for name, side in settings.sides:
        sides[names.index(name)] = 1.0 if side == "above" else -1.0
    return detectors.Rules(
        scored=scored, healthy=settings.healthy, settle=settings.settle, tolerance=settings.tolerance, judges=judges,
        mode=mode, off=settings.off, refit=settings.refit, least=least, sides=sides,
    )  # fmt: skip

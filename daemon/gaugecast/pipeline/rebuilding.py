"""The autoencoder that looks for anomalies of a fleet's streams beside other detectors, once it was put in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gaugecast.forecast.anomaly.autoencoder import AUTOENCODER, Autoencoder
from gaugecast.forecast.anomaly.detectors import Rules
from gaugecast.model import Model
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array, Columns

if TYPE_CHECKING:
    from gaugecast.fleet import Fleet

#: The role of such weights, and the name of the table of what is remembered for them.
DETECTOR: Final = "detector"
REBUILT = AUTOENCODER


class Rebuilding:
    """An autoencoder at work, and what it remembers of each stream. Owned by the loop's thread."""

    def __init__(self, fleet: Fleet, model: Model, capacity: int) -> None:
        self.version = model.manifest.version
        self._net = Autoencoder(model, [feature.name for feature in fleet.features])
        self.columns = Columns(self._net.spec(), capacity)

    def step(self, slots: Int64, x: Float64, rules: Rules, *, parted: Bool, quiet: Bool) -> tuple[Array, Float64]:
        """Scores of these steps, and by how much values are away, both (N, F); as `Autoencoder.step` has them."""
        state = {name: array.take(slots, axis=0) for name, array in self.columns}
        away = self._net.step(state, x, rules, parted=parted, quiet=quiet)
        for name, rows in state.items():
            self.columns[name][slots] = rows
        return state["score"], away

    def knows(self, slots: Int64) -> Bool:
        """Of which streams there is a whole window (N,)."""
        return np.asarray(self.columns["filled"][slots] >= self._net.window)

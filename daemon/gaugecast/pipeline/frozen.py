"""What goes into the ledger, for the record, when the reference of a stream's anomalies is frozen."""

from __future__ import annotations

import numpy as np

from gaugecast.events import ReferenceFrozen
from gaugecast.forecast.anomaly.calibration import FROZEN
from gaugecast.forecast.anomaly.layout import DETECTORS
from gaugecast.known import all_known
from gaugecast.records import Int64
from gaugecast.streams.columns import Array


def newly_frozen(state: dict[str, Array], stage: Array) -> Int64:
    """Rows whose reference is frozen by this step; `stage` is that of before it."""
    return np.flatnonzero((state["stage"] == FROZEN) & (stage != FROZEN))


def reference_of(state: dict[str, Array], row: int, mode: float | None) -> ReferenceFrozen:
    """What was found of one stream.

    Args:
        state: Columns of N streams.
        row: Which.
        mode: Value that says the machine's state; `None` = states are not told apart.
    """
    return ReferenceFrozen(
        steps=int(state["counted"][row]), mode=mode, origin=_known(state["origin"][row]),
        weights=[_known(of) for of in state["weights"][row]], precision=[_known(of) for of in state["precision"][row]],
        mean=_known(state["mean"][row]), spread=_known(state["spread"][row]),
        limits={name: _known(state["limit"][row, place]) for place, name in enumerate(DETECTORS)},
    )  # fmt: skip


def _known(values: Array) -> list[float | None]:
    return all_known(values.tolist())

"""What makes a model a detector: an autoencoder rebuilds the last steps of a stream, and an error above its threshold
is unusual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Detection:
    """When windows that were rebuilt are unusual.

    Attributes:
        threshold: Errors above it are, in deviations, or their squares.
        error: Mean `absolute` or mean `squared` error of a window.
        hold: Steps in a row that windows were above the threshold before the last counts.
        stride: Steps from one window that is rebuilt to the next.
    """

    threshold: float
    error: Literal["absolute", "squared"] = "absolute"
    hold: int = 1
    stride: int = 1


def fault_of(one: Detection) -> tuple[str, str, object] | None:
    """The first field that is out of its bounds: its name, what is expected, what came."""
    if not 0 < one.threshold < math.inf:
        return "threshold", "a positive number", one.threshold
    for name, steps in (("hold", one.hold), ("stride", one.stride)):
        if not 1 <= steps <= MOST_STEPS:
            return name, f"1 to {MOST_STEPS}", steps
    return None

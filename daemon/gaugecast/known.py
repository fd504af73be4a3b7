"""What is no number is not known: JSON has neither NaN nor infinities."""

from __future__ import annotations

import math
from collections.abc import Iterable


def known(value: float | None) -> float | None:
    """`None` for NaN and infinities."""
    return value if value is not None and math.isfinite(value) else None


def all_known(values: Iterable[float]) -> list[float | None]:
    """Each as `known` has it; of an array, what its `tolist` gives."""
    return [known(value) for value in values]

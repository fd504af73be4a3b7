"""Activations in place, as Keras 3 defines them, on C-contiguous float32 arrays.

Contiguous only: NumPy's vector loops for `tanh` give the same bits at every position of such an array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from gaugecast.records import Float32

_HALF = np.float32(0.5)
_THREE = np.float32(3)
_SIX = np.float32(6)
_SIXTH = np.float32(1 / 6)


def _tanh(z: Float32) -> None:
    np.tanh(z, out=z)


def _sigmoid(z: Float32) -> None:
    """½·tanh(½·z) + ½: as near to 1/(1+e⁻ᶻ) as float32 can tell (10⁻⁷), and without overflow."""
    np.multiply(z, _HALF, out=z)
    np.tanh(z, out=z)
    np.multiply(z, _HALF, out=z)
    np.add(z, _HALF, out=z)


def _hard_sigmoid(z: Float32) -> None:
    """relu6(z + 3) / 6."""
    np.add(z, _THREE, out=z)
    np.clip(z, np.float32(0), _SIX, out=z)
    np.multiply(z, _SIXTH, out=z)


def _relu(z: Float32) -> None:
    np.maximum(z, np.float32(0), out=z)


def _linear(z: Float32) -> None:
    """Leave `z` as it is."""


ACTIVATIONS: Mapping[str, Callable[[Float32], None]] = MappingProxyType(
    {"tanh": _tanh, "sigmoid": _sigmoid, "hard_sigmoid": _hard_sigmoid, "relu": _relu, "linear": _linear}
)

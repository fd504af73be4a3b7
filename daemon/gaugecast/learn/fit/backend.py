"""TensorFlow and Keras, imported when first asked for: 4 s and half a gigabyte that only the learner pays."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

import gaugecast
from gaugecast.engine import runtime


def load_tensorflow() -> tuple[Any, Any]:
    """The modules `tensorflow` and `keras` (Keras 3 on TensorFlow), kept to one thread."""
    tf = runtime.load_tensorflow()
    import keras

    return tf, keras


def versions() -> dict[str, str]:
    """Of all that takes part in a training, by name."""
    tf, keras = load_tensorflow()
    return {
        "gaugecast": gaugecast.__version__, "keras": keras.__version__, "tensorflow": tf.__version__,
        "numpy": np.__version__, "python": platform.python_version(),
    }  # fmt: skip

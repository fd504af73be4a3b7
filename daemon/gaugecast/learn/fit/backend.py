"""TensorFlow and Keras, imported when first asked for: 4 s and half a gigabyte that only the learner pays."""

from __future__ import annotations

from typing import Any

from gaugecast.engine import runtime


def load_tensorflow() -> tuple[Any, Any]:
    """The modules `tensorflow` and `keras` (Keras 3 on TensorFlow), kept to one thread."""
    tf = runtime.load_tensorflow()
    import keras

    return tf, keras

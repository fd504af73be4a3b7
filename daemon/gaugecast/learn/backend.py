"""TensorFlow and Keras, imported when first asked for: 4 s and half a gigabyte that only the learner pays."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep TensorFlow's greetings off stderr: they come before its own log level is in force."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@functools.cache
def load_tensorflow() -> tuple[Any, Any]:
    """The modules `tensorflow` and `keras` (Keras 3 on TensorFlow), kept to one thread.

    A window of twelve steps is too little work to share; a second thread would only take the loop's processor.
    Where something has set TensorFlow up before us, its threads stay as they are.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # nets this small are slower on an accelerator
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _silenced():
        import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # the runtime is up already
        pass
    import keras

    return tf, keras

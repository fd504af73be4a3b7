"""TensorFlow, imported when first asked for: seconds and half a gigabyte that only few processes pay.

With `selftest`, the only place of the middle that touches the machine: an import leaves no other choice.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from gaugecast.errors import ModelError

DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu")
#: How TensorFlow, XLA and CUDA begin what they write to stderr past every log level, `E0000 00:00:17… cuda.cc] …`, and
#: Matplotlib, which Keras imports, where it finds no home.
_GREETING = re.compile(
    rb"[IWE]\d{4} \d\d:|WARNING: All log messages before absl|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    rb"|mkdir -p failed for path .*matplotlib|Matplotlib created a temporary cache"
)

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",  # nets this small are slower on an accelerator
    "KERAS_BACKEND": "tensorflow",
}
#: Products by Eigen's compiled code alone. What oneDNN generates at run time sums in an order that hangs on the
#: processor, and on whether the process may execute what it writes: systemd's MemoryDenyWriteExecute changed bits
#: (docs/decisions/0005).
_COMPILED_ONLY = {"TF_ENABLE_ONEDNN_OPTS": "0", "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "0"}


def load_runtime() -> Any:
    """The module `tensorflow` as engines need it: one thread, no accelerator, bits that repeat.

    Raises:
        ModelError: It is not installed, or cannot be imported.
    """
    os.environ.update(_COMPILED_ONLY)  # no use, and no harm, where it is imported already
    try:
        return load_tensorflow()
    except ImportError as exc:
        raise ModelError(f"this model needs the TensorFlow engine: {say_missing(exc)}") from exc


def say_missing(exc: ImportError) -> str:
    """What to do where TensorFlow cannot be imported."""
    found = f"expected TensorFlow in this Python, found none that can be imported ({exc})"
    return f"{found}; mend: {sys.executable} -m pip install tensorflow"


@functools.cache
def load_tensorflow() -> Any:
    """The module `tensorflow`, kept to one thread and silent.

    Steps and updates of nets this small are too little work to share; a second thread would only take the
    loop's processor. Where something has set TensorFlow up before us, its threads stay as they are.

    Raises:
        ImportError: It is not there, or broken.
    """
    for name, wanted in _QUIET.items():
        os.environ.setdefault(name, wanted)
    with _without_greetings():
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # the runtime is up already
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.constant(0.0)  # what is said of absent GPUs is said at the first operation
    return tf


def tensorflow_version() -> str:
    """Of the installed TensorFlow, without importing it; `none` where there is none."""
    for name in DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "none"


@contextlib.contextmanager
def _without_greetings() -> Iterator[None]:
    """Keep stderr back meanwhile, then write on what is not TensorFlow's greeting: other threads log there too."""
    sys.stderr.flush()
    kept, aside = os.dup(2), os.memfd_create("stderr")
    os.dup2(aside, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        with os.fdopen(aside, "rb") as said:
            said.seek(0)
            os.write(2, b"".join(line for line in said if _GREETING.match(line) is None))

"""Engines that take seconds to load are loaded in a thread of their own, while the loop turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gaugecast.engine import engine_for
from gaugecast.errors import ModelError
from gaugecast.logs import get
from gaugecast.model import Model

log = get("gaugecast")


class EngineLoading(Exception):
    """The engine is being loaded beside the loop; ask again in a later round."""


class EngineLoader:
    """Owned by the loop's thread, and no more than one thread beside it.

    That thread is given a model, which nobody writes to, and leaves its engine with `engine_for`, which keeps it. It
    is waited for when the process ends: TensorFlow must not be torn down in the midst of its import.

    Args:
        build: Makes a model's engine, and keeps it.
    """

    def __init__(self, build: Callable[[Model], object] = engine_for) -> None:
        self._build = build
        self._load: _Load | None = None

    def demand(self, model: Model) -> None:
        """Return where the model's engine can be had at once.

        Raises:
            EngineLoading: It cannot yet.
            ModelError: It cannot be had here; who asks again has it tried again.
        """
        if model.manifest.engine == "numpy":
            self._build(model)
            return
        load = self._load
        if load is None or (load.model is not model and not load.is_alive()):
            log.info("engine loads", fleet=model.manifest.fleet, version=model.manifest.version)
            self._load = load = _Load(model, self._build)
            load.start()
        if load.is_alive():
            raise EngineLoading
        self._load = None
        log.info("engine loaded", version=model.manifest.version, seconds=round(load.seconds, 3), failure=load.failure)
        if load.failure:
            raise ModelError(load.failure)


class _Load(threading.Thread):
    """Makes one engine. `failure`, empty where there is none, and `seconds` are read when the thread has ended."""

    def __init__(self, model: Model, build: Callable[[Model], object]) -> None:
        super().__init__(name="engine")
        self.model, self._build = model, build
        self.failure, self.seconds = "", 0.0

    def run(self) -> None:
        began = time.monotonic()
        try:
            self._build(self.model)
        except Exception as exc:  # whatever a foreign library raises is a refusal: the loop goes on
            self.failure = str(exc) if isinstance(exc, ModelError) else f"its engine cannot be loaded: {exc!r}"
        self.seconds = time.monotonic() - began

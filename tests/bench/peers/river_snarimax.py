"""River's SNARIMAX behind paho: a model a stream and feature that learns from each reading, then forecasts the next."""

from __future__ import annotations

import json
from typing import Any

from river import time_series

from bench.peers.paho_client import serve

_FEATURES = ("pressure", "temperature")


def main() -> None:
    """Forecast until killed."""
    models: dict[tuple[str, str], Any] = {}

    def answer(topic: str, payload: bytes) -> str:
        reading = json.loads(payload)
        predicted = {}
        for name in _FEATURES:
            model = models.get((topic, name))
            if model is None:
                model = models[topic, name] = time_series.SNARIMAX(p=3, d=1, q=1)
            model.learn_one(reading[name])
            predicted[name] = model.forecast(horizon=1)[0]
        return json.dumps({"at": reading["t"], "predicted": predicted})

    serve(answer)


if __name__ == "__main__":
    main()

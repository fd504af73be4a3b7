"""`python -m bench.autoencoder`: what a trained autoencoder costs a reading, and a stream's state, beside all else.

By hand, apart from the groups: what it comes to hangs on its layers, its window and its stride.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from anomaly.rebuilding import autoencoder_for, promoted
from bench.anomaly import FEATURES, STREAMS, Stand
from gaugecast.config.autoencoding import Autoencoder
from gaugecast.model import Layer, Model, seal_model
from gaugecast.service.allocator import keep_freed_memory
from gaugecast.testing import fleet_of
from gaugecast.testing.models import draw_weights
from gaugecast.watching import AnomalySettings

ROUNDS, WINDOW_S = 7, 0.7


class Kind(NamedTuple):
    """A network, and how often it looks."""

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    window: int
    stride: int

    def __str__(self) -> str:
        layers = "+".join(map(str, (*self.encoder, *self.decoder)))
        return f"LSTM {layers}, window {self.window}, stride {self.stride}"


_USUAL = Autoencoder()
_LAYERS = tuple(_USUAL.encoder), tuple(_USUAL.decoder)
#: What `gaugecast autoencoder` makes by itself, the same that looks at every tenth step, and small ones.
KINDS = (
    Kind(*_LAYERS, _USUAL.window, 1),
    Kind(*_LAYERS, _USUAL.window, 10),
    Kind((16, 8), (16,), _USUAL.window, 1),
    Kind((16, 8), (16,), 30, 10),
)


class Watched(Stand):
    """Streams with all detectors, and an autoencoder among them; the windows' phases differ from stream to stream."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(AnomalySettings())
        model = network(kind)
        self._pipeline.load_model = lambda _fleet, _version: model
        self._pipeline.advance([promoted(model)])
        for _ in range(kind.window):
            self._advance()
        watching = self._pipeline.parts["tanks"].anomalies
        assert watching is not None
        assert watching.rebuilding is not None
        watching.rebuilding.columns["wait"][:STREAMS] = np.arange(STREAMS) % kind.stride + 1


def network(kind: Kind) -> Model:
    """With random weights."""
    fleet = fleet_of(FEATURES, anomaly=AnomalySettings())
    like = autoencoder_for(fleet, units=kind.encoder, window=kind.window, stride=kind.stride, hold=kind.window - 1)
    manifest = replace(like.manifest, decoder=tuple(map(Layer, kind.decoder)), sha256="", version="")
    return seal_model(manifest, draw_weights(manifest, seed=0, gain=0.05, learned_initial=False))


def main() -> None:
    """Print what each adds to streams without, measured in turn."""
    keep_freed_memory()
    plain = Stand(AnomalySettings())
    print(
        f"{STREAMS} streams of {len(FEATURES)} features a batch; all other detectors, and the messages, are not in it"
    )
    for kind in KINDS:
        watched = Watched(kind)
        more = [watched.cost_us(WINDOW_S) - plain.cost_us(WINDOW_S) for _ in range(ROUNDS)]
        size = watched.row_bytes - plain.row_bytes
        print(f"{kind}: {np.median(more):.1f} µs a step ({min(more):.1f} … {max(more):.1f}), {size} bytes a stream")


if __name__ == "__main__":
    main()

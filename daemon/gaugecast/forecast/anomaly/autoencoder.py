"""The trained autoencoder as one more detector: the newest window of a stream is rebuilt, and what is missed is scored.

Its weights, scaling and threshold were fitted once, by `gaugecast autoencoder`; nothing is learned here. Of each stream
the last steps are kept as they are fed. Pure; what is found of a stream depends on its own steps alone.
Source: Malhotra et al. 2016, "LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection".
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gaugecast.engine import NumpyEngine
from gaugecast.forecast.anomaly.detectors import Rules
from gaugecast.model import Model
from gaugecast.records import Bool, Float32, Float64, Int64
from gaugecast.streams.columns import Array, Column

#: What finds something strange, beside `DETECTORS`.
AUTOENCODER = "autoencoder"
#: Score of windows that are above the threshold for less long than is asked for.
_NEARLY = 0.99
_MOST_SCORE = 1e6
#: Deviations from the centre count as this at most: errors stay numbers.
_MOST_FED = 1e6
#: Windows that are rebuilt at once.
_MOST_WINDOWS = 2048


class Rebuilder:
    """Two stacks: the encoder's last output (many-to-one) is what the decoder is fed at each step (one-to-many)."""

    def __init__(self, encoder: Model, decoder: Model) -> None:
        self._encoder, self._decoder = NumpyEngine(encoder), NumpyEngine(decoder)

    @classmethod
    def of(cls, model: Model) -> Rebuilder:
        """Of a model whose layers encode, and whose decoder decodes."""
        one, coded = model.manifest, model.manifest.layers[-1].units
        alone = replace(one, detection=None, decoder=(), decode_steps=1)
        encoder = replace(alone, output_size=coded, head="none")
        decoder = replace(alone, layers=one.decoder, input_size=coded)
        ours = {name: model.weights[name] for name in encoder.weight_shapes()}
        theirs = {name: model.weights[name.replace("lstm", "decoder")] for name in decoder.weight_shapes()}
        return cls(Model(encoder, ours), Model(decoder, theirs))

    def rebuild(self, windows: Float32) -> Float32:
        """What is left of windows (N, W, F) after encoder and decoder, the same shape."""
        parts = np.array_split(windows, len(windows) // _MOST_WINDOWS + 1)
        return np.concatenate([self._rebuild(part) for part in parts])

    def _rebuild(self, windows: Float32) -> Float32:
        n, steps, _ = windows.shape
        coded, _ = self._encoder.sequence(np.ascontiguousarray(windows.swapaxes(0, 1)), self._encoder.initial_state(n))
        repeated = np.repeat(coded[-1:], steps, axis=0)
        rebuilt, _ = self._decoder.sequence(repeated, self._decoder.initial_state(n))
        return rebuilt.swapaxes(0, 1)


class Autoencoder:
    """A trained autoencoder, for streams of a fleet. One thread's.

    Args:
        model: Of an autoencoder.
        features: Names of the fleet's F features.

    Attributes:
        window: Steps that it rebuilds, W.
    """

    def __init__(self, model: Model, features: list[str]) -> None:
        manifest, detection = model.manifest, model.manifest.detection
        assert detection is not None
        self.window, self._detection, self._count = manifest.decode_steps, detection, len(features)
        self._places = np.array([features.index(name) for name, _ in manifest.features], np.int64)
        self._centre, self._spread = np.array(manifest.recipe.centre), np.array(manifest.recipe.spread)
        self._net = Rebuilder.of(model)

    def spec(self) -> list[Column]:
        """The columns of one stream."""
        return [
            Column("window", "<f4", (self.window, len(self._places))),  # the last steps as fed, the newest last
            Column("filled", "<i4"),  # how many of them follow one another without a gap
            Column("wait", "<i4"),  # steps until a window is rebuilt, the next among them
            Column("over", "<i4"),  # steps in a row that windows have been above the threshold
            Column("score", "<f4", (self._count,)),
            Column("blame", "<f4", (self._count,)),  # the part of an open event that is ours; see `alarm`
        ]

    def step(self, state: dict[str, Array], x: Float64, rules: Rules, *, parted: Bool, quiet: Bool) -> Float64:
        """Take in a step of N streams, in place; 1.0 of the column `score` is the threshold.

        The feature that is missed most has the score of the whole window, the others have theirs in proportion.

        Args:
            state: Columns of `spec` of these streams, copies.
            x: Values as fed (N, F); what was never seen lies at the centre.
            rules: As configured.
            parted: The step does not follow the one before, tick by tick (N,): the window begins anew.
            quiet: The step is not judged (N,).

        Returns by how much it finds another value than it makes of the window (N, F), NaN where it rebuilds none.
        """
        fed = np.nan_to_num((x[:, self._places] - self._centre) / self._spread)
        fed = np.maximum(np.minimum(fed, _MOST_FED), -_MOST_FED).astype(np.float32)
        state["window"] = np.concatenate([state["window"][:, 1:], fed[:, None]], axis=1)
        state["filled"] = np.where(parted, 1, np.minimum(state["filled"] + 1, self.window)).astype(np.int32)
        for name in ("wait", "over"):
            state[name] = np.where(parted, 0, state[name]).astype(np.int32)
        state["wait"] = np.maximum(state["wait"] - 1, 0).astype(np.int32)
        state["score"] = np.where(parted[:, None], np.float32(0.0), state["score"])
        away = np.full(x.shape, np.nan)
        due = np.flatnonzero((state["filled"] >= self.window) & (state["wait"] == 0))
        if len(due):
            self._judge(state, due, away, rules)
        state["score"] = np.where(quiet[:, None], np.float32(0.0), state["score"])
        return away

    def _judge(self, state: dict[str, Array], due: Int64, away: Float64, rules: Rules) -> None:
        windows, places, how = state["window"][due], self._places, self._detection
        missed = windows.astype(np.float64) - self._net.rebuild(windows)
        away[due[:, None], places] = missed[:, -1] * self._spread
        by_feature = _mean(np.square(missed) if how.error == "squared" else np.abs(missed))  # (K, features fed)
        ratio = _mean(by_feature) / (how.threshold * rules.tolerance)
        over = np.where(ratio >= 1.0, np.minimum(state["over"][due] + how.stride, how.hold), 0)
        ratio = np.where(over >= how.hold, np.minimum(ratio, _MOST_SCORE), np.minimum(ratio, _NEARLY))
        most = by_feature.max(axis=1, keepdims=True)
        share = np.divide(by_feature, most, out=np.zeros_like(by_feature), where=most > 0.0)
        score = np.zeros((len(due), self._count))
        score[:, places] = ratio[:, None] * share
        score *= rules.scored
        if rules.gates:
            score *= rules.matters(away[due])
        state["score"][due] = score
        state["over"][due], state["wait"][due] = over, how.stride


def _mean(sizes: Float64) -> Float64:
    """Over the second axis, one after the other: each row's bits depend on that row alone."""
    total = np.zeros_like(sizes[:, 0])
    for place in range(sizes.shape[1]):
        total += sizes[:, place]
    mean: Float64 = total / sizes.shape[1]
    return mean

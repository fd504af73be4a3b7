"""Learning while serving: small steps on the newest window and on a few older ones, from the states that were.

The learner never computes a state for the loop. It takes the state that a stream had before a window, unrolls the
window under its own weights and forgets where it ended: the live state, some steps further on, goes on untouched.
(Overwriting it with the window's end cost 3 % of accuracy.)
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from gaugecast.config.training import Train
from gaugecast.errors import ModelError
from gaugecast.learn.fit.descent import Descent, TrainingBatch
from gaugecast.learn.fit.network import TrainableNetwork
from gaugecast.learn.online.memory import Track, Window
from gaugecast.model import Model
from gaugecast.records import Float32

# Chosen on ETTh1 and on the first 3,600 rows of ETTh2 (hourly, seven features, LSTM-64, from no weights at all);
# mean square error on ETTh1's 10,800 test rows: one window every 4 steps 0.210, with three older ones beside it
# every 2 steps 0.201, these at a quarter of the weight 0.195, and not older than 1,000 steps 0.191 (seeds 0 and 1).
# A noise-free sine of 77 steps had a skill of 0.87 without replay, 0.997 with it.
LEARNING_RATE = 1e-3
EVERY = 2
WINDOW = 12
SEGMENTS = 4
REPLAY_WEIGHT = 0.25
SPAN = 1000
#: Share of a window's error in a stream's running error, by which streams are drawn for replay.
_ERROR_SHARE = 0.1
_LEAST_ERROR = 0.01


class OnlineLearner:
    """Test-then-train on one fleet's streams: shown every step, it gives new weights when enough have come.

    A batch is `segments` windows: up to `newest` of streams that have moved on, the rest replayed. Thousands of
    streams need no more than their sample: whoever calls chooses which are shown, and `forget`s them.
    Owned by one thread. The same calls with the same seed give the same weights.
    """

    def __init__(
        self,
        model: Model,
        *,
        learning_rate: float = LEARNING_RATE,
        every: int = EVERY,
        window: int = WINDOW,
        seed: int = 0,
        segments: int = SEGMENTS,
        newest: int = 1,
        replay_weight: float = REPLAY_WEIGHT,
        span: int = SPAN,
        compiled: bool = True,
    ) -> None:
        """Begin with `model`'s weights and empty moments.

        Args:
            model: Shapes and first weights.
            learning_rate: Adam's.
            every: Steps of a stream between two updates on it; also the stride at which states are kept.
            window: Steps of truncated BPTT, a multiple of `every`.
            seed: Of the draws for replay.
            segments: Windows a batch.
            newest: How many of them may be new ones; 1 for a single stream.
            replay_weight: Weight of an older window's error; the newest window's is 1.
            span: How many steps back windows are replayed from.
            compiled: Use XLA: 4 s at the first update, a third of the time at each later one.
        """
        if window % every:
            raise ValueError(f"window: expected a multiple of every = {every}, got {window}")
        if model.manifest.engine != "numpy":
            raise ModelError(
                f"model {model.manifest.version}: expected LSTM layers to go on learning with, found layers that only "
                "the TensorFlow engine steps; it can be served, and scored with learning off"
            )
        self._network = TrainableNetwork(model)
        self._descent = Descent(self._network, Train(learning_rate=learning_rate), compiled=compiled)
        self._every, self._window, self._span = every, window, span
        self._segments, self._newest, self._replay_weight = segments, newest, replay_weight
        self._random = np.random.default_rng(seed)
        self._tracks: dict[Hashable, Track] = {}
        self._moved: dict[Hashable, None] = {}  # streams with news, in the order in which they had it
        self.updates_total = 0

    @property
    def learning_rate(self) -> float:
        """Adam's rate for the updates to come."""
        return self._descent.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._descent.learning_rate = rate

    def resize(self, *, segments: int, newest: int) -> None:
        """Other batches from the next update on; each new size compiles once."""
        self._segments, self._newest = segments, newest

    @property
    def due(self) -> bool:
        """Whether streams wait for their turn; a break may have left them nothing for `update` to learn from."""
        return bool(self._moved)

    def observe(
        self, x: Float32, state_before: Float32, target: Float32 | None, *, stream: Hashable = "", fresh: bool = False
    ) -> None:
        """Show one step of a stream, once its target is known.

        Args:
            x: What the model was fed (R, I).
            state_before: The state that it had before that step (R, S).
            target: What it should have given (R, O), NaN in parts that are not known; `None` where nothing is.
            stream: Whose step it is.
            fresh: The step does not follow the last one shown (first after a reset, or some were left out).
        """
        track = self._tracks.get(stream)
        if track is None:
            track = self._tracks[stream] = Track(self._like(x, state_before), span=self._span, stride=self._every)
        track.add(x, state_before, target, fresh=fresh)
        if track.count % self._every == 0 and track.newest() is not None:
            self._moved[stream] = None

    def forget(self, stream: Hashable) -> None:
        """Drop what is remembered of a stream."""
        self._tracks.pop(stream, None)
        self._moved.pop(stream, None)

    def load(self, model: Model) -> None:
        """Go on from other weights of the same shape; the moments stay."""
        self._network.load(model)

    def update(self) -> Model | None:
        """One step of descent, and the weights after it; `None` where nothing new has come.

        Call it until it gives `None`, or as often as the budget allows: streams that wait are learned from
        their newest window when their turn comes. The model has no version before it is sealed.
        """
        return self.model() if self.step() else None

    def model(self) -> Model:
        """The weights as they stand.

        Raises:
            ModelError: A weight is not finite.
        """
        return self._network.to_model()

    def step(self) -> bool:
        """`update` without reading the weights back, which takes a sixth of it; False where nothing new has come."""
        chosen = self._take_newest()
        if not chosen:
            return False
        self._learn(chosen + self._draw_replay(self._segments - len(chosen)))
        self.updates_total += 1
        return True

    def _take_newest(self) -> list[tuple[Track, int, float]]:
        """Newest windows of streams that wait for their turn, (track, first step, weight); none that was cut since.

        A stream may have had a break after it had moved on, before its turn came.
        """
        taken: list[tuple[Track, int, float]] = []
        for stream in list(self._moved):
            if len(taken) == self._newest:
                break
            del self._moved[stream]
            start = self._tracks[stream].newest()
            if start is not None:
                taken.append((self._tracks[stream], start, 1.0))
        return taken

    def _like(self, x: Float32, state: Float32) -> Window:
        outputs = self._network.manifest.output_size
        target = np.zeros((self._window, len(x), outputs), np.float32)
        return Window(np.zeros((self._window, *x.shape), np.float32), state, target)

    def _draw_replay(self, n: int) -> list[tuple[Track, int, float]]:
        """Windows of streams drawn by their recent error, (track, first step, weight); a draw may hit a break."""
        tracks = list(self._tracks.values())
        error = np.array([max(track.error, _LEAST_ERROR) for track in tracks])
        drawn = self._random.choice(len(tracks), n, p=error / error.sum())
        starts = [(tracks[i], tracks[i].draw(self._random)) for i in drawn]
        return [(track, start, self._replay_weight) for track, start in starts if start is not None]

    def _learn(self, chosen: list[tuple[Track, int, float]]) -> None:
        """Fill the batch's fixed shape from at least one window; what stays empty has no weight."""
        first, start, _ = chosen[0]
        like = first.window(start)
        rows = like.x.shape[1]
        x, target, weight = (np.zeros((self._window, self._segments, rows, k), np.float32) for k in self._widths(like))
        state = np.zeros((self._segments, *like.state.shape), np.float32)
        for b, (track, start, share) in enumerate(chosen):
            window = track.window(start)
            known = np.isfinite(window.target)
            x[:, b], state[b] = window.x, window.state
            target[:, b], weight[:, b] = np.where(known, window.target, 0.0), share * known
        flat = (self._window, self._segments * rows, -1)
        batch = TrainingBatch(x.reshape(flat), target.reshape(flat), weight.reshape(flat))
        error = self._descent.step(batch, state.reshape(flat[1:])).rows
        for (track, _, _), found in zip(chosen, error.reshape(self._segments, rows).mean(axis=1), strict=False):
            if np.isfinite(found):
                track.error += _ERROR_SHARE * (float(found) - track.error)

    @staticmethod
    def _widths(like: Window) -> tuple[int, int, int]:
        return like.x.shape[2], like.target.shape[2], like.target.shape[2]

"""What the learner remembers of streams: their last steps, and the states from which windows can be learned again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.records import Float32


class Window(NamedTuple):
    """T successive steps of one stream, R rows a step."""

    x: Float32  # (T, R, I)
    state: Float32  # before the first step (R, S)
    target: Float32  # (T, R, O), NaN where there is none


class Track:
    """The last steps of one stream, in a ring; states are kept at every `stride`-th step only, being the largest part.

    Steps are numbered from 0. A *run* is a stretch of steps that follow each other without a break; a window
    never spans two. Owned by the learner.
    """

    def __init__(self, like: Window, *, span: int, stride: int) -> None:
        """Make room for `span` steps and a window more; `like` gives the shapes.

        Pages of zeros cost nothing before they are written, so a short stream stays small.
        """
        self._window = len(like.x)
        self._stride = stride
        self._capacity = -(-(span + self._window) // stride) * stride
        self._run = np.full(self._capacity, -1, np.int64)
        self._x = np.zeros((self._capacity, *like.x.shape[1:]), np.float32)
        self._target = np.zeros((self._capacity, *like.target.shape[1:]), np.float32)
        self._state = np.zeros((self._capacity // stride, *like.state.shape), np.float32)
        self.count = 0
        self.runs = 0
        #: Mean square error of the windows learned, discounted: how much there is to learn here.
        self.error = 1.0

    def add(self, x: Float32, state: Float32, target: Float32 | None, *, fresh: bool) -> None:
        """Append a step; `fresh` says that it does not follow the one before."""
        at = self.count % self._capacity
        self.runs += fresh
        self._run[at] = self.runs
        self._x[at] = x
        self._target[at] = np.nan if target is None else target
        if at % self._stride == 0:
            self._state[at // self._stride] = state
        self.count += 1

    def newest(self) -> int | None:
        """First step of the newest window that can be learned; `None` where there is none yet."""
        start = self.count // self._stride * self._stride - self._window
        return start if start >= 0 and self._whole(start) else None

    def draw(self, rng: np.random.Generator) -> int | None:
        """First step of a window drawn evenly from what is remembered, or `None` if the draw hits a break."""
        oldest = max(0, -(-(self.count - self._capacity) // self._stride))
        latest = self.count // self._stride - self._window // self._stride
        if latest < oldest:
            return None
        start = int(rng.integers(oldest, latest + 1)) * self._stride
        return start if self._whole(start) else None

    def window(self, start: int) -> Window:
        """The window that begins at step `start`, as `newest` or `draw` gave it."""
        at = np.arange(start, start + self._window) % self._capacity
        return Window(self._x[at], self._state[at[0] // self._stride], self._target[at])

    def _whole(self, start: int) -> bool:
        last = start + self._window - 1
        return bool(self._run[start % self._capacity] == self._run[last % self._capacity])

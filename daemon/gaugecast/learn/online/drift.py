"""Has the world changed? Page–Hinkley on the prequential loss, and a learning rate that follows from it."""

from __future__ import annotations

import math

#: The loss is a mean square in units of the running scale, about 1 for persistence; a value counts at most so much.
_LARGEST_LOSS = 25.0
_LARGEST_RISE = 5.0
_WARM = 200
_LEAST_DEVIATION = 1e-3


class PageHinkley:
    """Tells when the mean of a series has risen. Source: Page 1954; Hinkley 1971; Gama et al. 2014, section 3.2.

    Values are taken in units of the series' own deviation from its own mean since the last drift, and capped: a loss
    with heavy tails raises no more alarms than one without. On stationary noise there is silence for some
    e^(2·delta·threshold) values.

    Args:
        delta: Rises below this, in deviations, are not looked for.
        threshold: λ, in deviations: how much evidence a drift takes; larger means later and surer.
    """

    def __init__(self, *, delta: float = 0.25, threshold: float = 50.0) -> None:
        self._delta, self._threshold = delta, threshold
        self._reset()

    def _reset(self) -> None:
        self._count, self._mean, self._squares, self._sum, self._least = 0, 0.0, 0.0, 0.0, 0.0

    def add(self, loss: float) -> bool:
        """Take one value; True where a drift is declared. The test then begins anew."""
        loss = min(loss, _LARGEST_LOSS)
        off = loss - self._mean
        if self._count >= _WARM:
            deviation = max(math.sqrt(self._squares / self._count), _LEAST_DEVIATION)
            self._sum += min(off / deviation, _LARGEST_RISE) - self._delta
            self._least = min(self._least, self._sum)
        self._count += 1
        self._mean += off / self._count
        self._squares += off * (loss - self._mean)
        if self._sum - self._least <= self._threshold:
            return False
        self._reset()
        return True


class RateControl:
    """Adam's rate: raised for a while after a drift, lowered step by step while the loss does not fall.

    Attributes:
        rate: For the next updates.
        drifts_total: Drifts declared.
    """

    #: Highest and least rate, as multiples of the base.
    RAISED, LOWEST = 1.5, 0.5
    #: Steps that a raised rate lasts; steps between two looks at the loss; what a look takes off a stalled rate.
    RAISED_STEPS, LOOK_STEPS, LOWER = 200, 500, 0.8

    def __init__(self, base: float) -> None:
        self.rate = base
        self.drifts_total = 0
        self._base = base
        self._detector = PageHinkley()
        self._steps = 0
        self._raised_until = 0
        self._sum = 0.0
        self._before = float("inf")

    def add(self, loss: float) -> None:
        """Take the loss of one forecast that was made before its target was known."""
        self._steps += 1
        self._sum += min(loss, _LARGEST_LOSS)
        if self._detector.add(loss):
            self.drifts_total += 1
            self._raised_until = self._steps + self.RAISED_STEPS
            self.rate = self.RAISED * self._base
        elif self._steps == self._raised_until:
            self.rate = self._base
        if self._steps % self.LOOK_STEPS == 0:
            self._look()

    def slow_down(self) -> None:
        """The last weights failed: learn more carefully."""
        self.rate = self.LOWEST * self._base
        self._raised_until = 0

    def _look(self) -> None:
        mean, self._sum = self._sum / self.LOOK_STEPS, 0.0
        if mean >= 0.99 * self._before and self._steps > self._raised_until:
            self.rate = max(self.LOWEST * self._base, self.LOWER * self.rate)
        elif mean < 0.9 * self._before and self.rate < self._base:
            self.rate = self._base
        self._before = mean

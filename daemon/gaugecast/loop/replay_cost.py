"""What it would cost to replay what came since the last checkpoint, learned from what the loop's own rounds take.

A replay takes inputs by the two thousand, the loop as they come, mostly a few at a time. So the time that a batch took
says little; what counts is how often the engine is called (`turns`: in each a stream has one reading at most) and how
many inputs there are: seconds ≈ a · turns + b · inputs. Both a and b are learned by least squares from rounds in which
the two stand in different proportions, and inputs are then counted in batches as a replay would make them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gaugecast.batch import Inputs
from gaugecast.records import Input, Kind

#: Inputs in one batch of a replay (`ledger.replay`).
REPLAY_BATCH = 2000
#: What is believed before anything was measured, seconds a turn and an input; where all rounds are alike, how the two
#: stand to each other.
PRIOR_TURN_S, PRIOR_INPUT_S = 300e-6, 20e-6
#: To read an input back, and to compare what is made of it, seconds.
READ_BACK_S = 10e-6
#: The prior weighs as much as so many inputs; measurements fade over so many.
_PRIOR_INPUTS, _FADE_INPUTS = 100.0, 100_000.0
#: A round that takes longer than so many times what is expected was held up by something else.
_HELD_UP = 4.0


class Replay(NamedTuple):
    """What there is to replay."""

    turns: int = 0
    inputs: int = 0


def turns_of(counts: Mapping[str, Counter[str]]) -> int:
    """How often engines are called for so many readings of each: in a fleet as often as its busiest stream speaks."""
    return sum(max(by_stream.values()) for by_stream in counts.values())


def _spoken(inputs: Inputs) -> dict[str, list[str]]:
    """By fleet the streams of all readings."""
    fleets = inputs.fleet
    if inputs.kind.count(Kind.READING) == fleets.count(fleets[0]) == len(inputs):
        return {fleets[0]: inputs.stream}
    found: dict[str, list[str]] = {}
    for kind, fleet, stream in zip(inputs.kind, fleets, inputs.stream, strict=True):
        if kind == Kind.READING:
            found.setdefault(fleet, []).append(stream)
    return found


class ReplayCost:
    """Owned by the loop's thread."""

    def __init__(self) -> None:
        self._whole = Replay()  # complete batches
        self._batch: dict[str, Counter[str]] = {}
        self._batch_inputs = 0
        # Of seconds an input over turns an input: Σw, Σwx, Σwy, Σwxx, Σwxy, with the inputs as weights.
        self._sums = [0.0] * 5

    def add(self, inputs: Sequence[Input], seconds: float) -> None:
        """A round took these inputs, and `advance` so long for them."""
        if not inputs:
            return
        spoken = _spoken(Inputs.of(inputs))
        self._learn(turns_of({fleet: Counter(streams) for fleet, streams in spoken.items()}), len(inputs), seconds)
        for fleet, streams in spoken.items():
            self._batch.setdefault(fleet, Counter()).update(streams)
        self._batch_inputs += len(inputs)
        if self._batch_inputs >= REPLAY_BATCH:
            self._whole = self.pending
            self._batch.clear()
            self._batch_inputs = 0

    @property
    def pending(self) -> Replay:
        """What came since it was last taken."""
        return Replay(self._whole.turns + turns_of(self._batch), self._whole.inputs + self._batch_inputs)

    @property
    def seconds(self) -> float:
        """What it would cost to replay all that is pending."""
        return self.seconds_of(self.pending)

    def seconds_of(self, replay: Replay) -> float:
        """What a replay would cost, as far as is known."""
        turn_s, input_s = self._known()
        return turn_s * replay.turns + (input_s + READ_BACK_S) * replay.inputs

    def take(self) -> Replay:
        """All that is pending; from now on it counts from zero."""
        taken, self._whole, self._batch_inputs = self.pending, Replay(), 0
        self._batch.clear()
        return taken

    def give_back(self, taken: Replay) -> None:
        """The checkpoint that was to cover it has not come about."""
        self._whole = Replay(self._whole.turns + taken.turns, self._whole.inputs + taken.inputs)

    def _learn(self, turns: int, inputs: int, seconds: float) -> None:
        turn_s, input_s = self._known()
        seconds = min(seconds, _HELD_UP * (turn_s * turns + input_s * inputs))
        x, y = turns / inputs, seconds / inputs
        fade = max(0.0, 1 - inputs / _FADE_INPUTS)
        terms = (1.0, x, y, x * x, x * y)
        self._sums = [fade * old + inputs * term for old, term in zip(self._sums, terms, strict=True)]

    def _known(self) -> tuple[float, float]:
        """Seconds a turn, and an input."""
        sums = list(self._sums)
        expected = PRIOR_TURN_S * sums[1] + PRIOR_INPUT_S * sums[0]
        slower = sums[2] / expected if expected else 1.0  # than the machine that the prior is of
        for x in (0.0, 1.0):
            y = slower * (PRIOR_TURN_S * x + PRIOR_INPUT_S)
            for i, term in enumerate((1.0, x, y, x * x, x * y)):
                sums[i] += _PRIOR_INPUTS * term
        w, wx, wy, wxx, wxy = sums
        turn_s = max(0.0, (w * wxy - wx * wy) / (w * wxx - wx * wx))
        input_s = (wy - turn_s * wx) / w
        if input_s < 0:
            return wxy / wxx, 0.0
        return turn_s, input_s

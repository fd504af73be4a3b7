"""Making a checkpoint due without a round of the loop."""

from __future__ import annotations

from math import ceil

from gaugecast.loop.checkpointing import Checkpointer
from gaugecast.loop.replay_cost import Replay


def add_replay(checkpointer: Checkpointer, seconds: float) -> None:
    """Let there be so much more to replay."""
    each_s = checkpointer.cost.seconds_of(Replay(0, 1))
    checkpointer.cost.give_back(Replay(0, ceil(seconds / each_s)))

"""As it was forecast then: steps of a stream that were computed again, held against what was published."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from gaugecast.console.asked import Instant, Name
from gaugecast.control.answers import StreamRow
from gaugecast.errors import WrongUse

MOST_STEPS = 2000


class Again(NamedTuple):
    """What was computed again.

    Attributes:
        steps: Oldest first, of each a row a feature.
        differing: Those that are not, byte for byte, what was published.
    """

    steps: list[list[StreamRow]]
    differing: int


#: Fleet, stream, and event times in ns, both included: the newest `MOST_STEPS` steps in between.
LookBack = Callable[[str, str, int, int], Again]


class ThenParams(msgspec.Struct, frozen=True, kw_only=True):
    """Of which stream, and when.

    Attributes:
        at_s: The last step that is not after this is told of.
        from_s: Intervals of the steps since then are remembered, and stand in `series` from then on.
    """

    fleet: Name
    stream: Name
    at_s: Instant
    from_s: Annotated[Instant | None, Meta(description="At most 2,000 steps before `at_s`.")] = None


class ThenView(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a stream at one instant of the past.

    Attributes:
        rows: A row a feature, with the path ahead and its intervals as they were then; none where there was no step.
        steps: How many were computed again.
        differing: Of these, how many are not what was published, byte for byte.
        words: What is to be known of the forecasts then.
    """

    rows: list[StreamRow]
    steps: int
    differing: int
    words: str = ""


class Looking:
    """One looks back at a time: it costs the processor something. Any thread."""

    def __init__(self, look_back: LookBack | None) -> None:
        self._look_back = look_back
        self._lock = threading.Lock()

    def at(self, wanted: ThenParams) -> Again:
        """The steps that are asked for.

        Raises:
            WrongUse: There is no way back so far.
        """
        if self._look_back is None:
            raise WrongUse("this console cannot look back")
        at_ns = round(wanted.at_s * 1e9)
        from_ns = at_ns if wanted.from_s is None else round(wanted.from_s * 1e9)
        with self._lock:
            return self._look_back(wanted.fleet, wanted.stream, from_ns, at_ns)

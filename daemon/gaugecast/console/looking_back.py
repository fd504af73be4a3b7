"""Looking back: steps of a stream that were computed again, held against what was published."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from gaugecast.console.asked import Instant, Name
from gaugecast.console.explained import Explain, ExplainParams, ExplainView
from gaugecast.control.answers import StreamRow
from gaugecast.errors import Unreachable, WrongUse

MOST_STEPS = 2000
#: What a time in seconds loses as a float, and more: no two readings of a stream are as near.
_ROUNDED_NS = 1000
#: Whoever waits holds a thread, of which there are some forty for all that is asked.
_PATIENCE_S = 5.0


class Again(NamedTuple):
    """What was computed again.

    Attributes:
        steps: Oldest first, of each a row a feature.
        compared: Messages that were held against those published, of which so many `differing`.
        elsewhere: Another machine made some, which are compared within a tolerance; all others byte for byte.
    """

    steps: list[list[StreamRow]]
    compared: int = 0
    differing: int = 0
    elsewhere: bool = False


#: Fleet, stream, and event times in ns, both included: the newest `MOST_STEPS` steps in between.
LookBack = Callable[[str, str, int, int], Again]


class ReplayParams(msgspec.Struct, frozen=True, kw_only=True):
    """Of which stream, and when.

    Attributes:
        at_s: The last step that is not after this is told of.
        from_s: Intervals of the steps since then are remembered, and stand in `series` from then on.
    """

    fleet: Name
    stream: Name
    at_s: Instant
    from_s: Annotated[Instant | None, Meta(description="At most 2,000 steps before `at_s`.")] = None


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a stream at one instant of the past.

    Attributes:
        rows: A row a feature, with the path ahead and its intervals as they were then; none where there was no step.
        steps: How many were computed again.
        compared: Messages of theirs that were held against those published, of which so many `differing`.
        elsewhere: Another machine made some, which are compared within a tolerance; all others byte for byte.
        words: What is to be known of the forecasts then.
    """

    rows: list[StreamRow]
    steps: int
    compared: int = 0
    differing: int = 0
    elsewhere: bool = False
    words: str = ""


class Looking:
    """One looks back at a time: it costs the processor something. Any thread."""

    def __init__(self, look_back: LookBack | None, explain: Explain | None = None) -> None:
        self._look_back, self._explain = look_back, explain
        self._lock = threading.Lock()

    def at(self, wanted: ReplayParams) -> Again:
        """The steps that are asked for.

        Raises:
            WrongUse: There is no way back so far.
            Unreachable: Others look back, for longer than one may wait.
        """
        if self._look_back is None:
            raise WrongUse("this console cannot look back")
        at_ns = _ns(wanted.at_s)
        from_ns = at_ns if wanted.from_s is None else round(wanted.from_s * 1e9)
        with self._alone():
            return self._look_back(wanted.fleet, wanted.stream, from_ns, at_ns)

    def why(self, wanted: ExplainParams) -> ExplainView:
        """What was known at the steps that are asked for.

        Raises:
            WrongUse: There is no way back so far, or nothing was observed until then.
            Unreachable: Others look back, for longer than one may wait.
        """
        if self._explain is None:
            raise WrongUse("this console cannot look back")
        at_ns = time.time_ns() if wanted.at_s is None else _ns(wanted.at_s)
        with self._alone():
            return self._explain(wanted.fleet, wanted.stream, at_ns, wanted.steps)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise Unreachable("the console is looking back for somebody else; ask again in a moment")
        try:
            yield
        finally:
            self._lock.release()


def _ns(at_s: float) -> int:
    """The step of an instant is meant by the instant as the API tells it."""
    return round(at_s * 1e9) + _ROUNDED_NS

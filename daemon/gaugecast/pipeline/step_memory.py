"""The last step number of every stream that is not in memory: (stream, step) names a message for ever.

A stream is away while it is parked, after its parked state was let go of, and while its fleet is not configured. When
it comes back, in whatever way, its messages go on from here.
"""

from __future__ import annotations

from typing import Any

import msgspec

#: So many absent names of a fleet are remembered one by one, at some 150 bytes each.
MOST = 200_000


class _Absent(msgspec.Struct):
    """Streams of one fleet: `floor` is the highest number of those that are no longer remembered by name."""

    floor: int = 0
    steps: dict[str, int] = msgspec.field(default_factory=dict)  # in the order in which they left


class StepMemory:
    """Part of a pipeline's state; owned by its thread.

    Args:
        most: Names of a fleet. Those that left first are then only counted in a floor: who comes back unknown goes
            on above it. Numbers may then leave a gap, but none is used twice.
    """

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._fleets: dict[str, _Absent] = {}
        self._text = "{}"  # JSON of `_fleets`, or empty where it has changed since

    def leave(self, fleet: str, stream: str, step: int) -> None:
        """A stream goes whose last message had this number; 0 = it has said nothing."""
        if step == 0:
            return
        absent = self._fleets.setdefault(fleet, _Absent())
        absent.steps.pop(stream, None)
        absent.steps[stream] = step
        if len(absent.steps) > self._most:
            oldest = next(iter(absent.steps))
            absent.floor = max(absent.floor, absent.steps.pop(oldest))
        self._text = ""

    def come_back(self, fleet: str, stream: str, *, parked: int = 0) -> int:
        """The number after which a stream that comes into being goes on; forgets its name.

        Args:
            parked: What its parked state says, if there is one.
        """
        absent = self._fleets.get(fleet)
        if absent is None:
            return parked
        step = absent.steps.pop(stream, None)
        if step is None:
            return parked or absent.floor
        if not absent.steps and not absent.floor:
            del self._fleets[fleet]
        self._text = ""
        return max(step, parked)

    def fleets(self) -> set[str]:
        """Those of which some stream is away."""
        return set(self._fleets)

    def to_text(self) -> str:
        """All of it, for a checkpoint."""
        if not self._text:
            self._text = msgspec.json.encode(self._fleets).decode()
        return self._text

    def restore(self, text: str) -> None:
        """Take over what a checkpoint has.

        Raises:
            ValueError: It is nothing that `to_text` gave.
        """
        self._fleets = msgspec.json.decode(text, type=dict[str, _Absent])
        self._text = text

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, StepMemory) and self._fleets == other._fleets

    __hash__ = None  # type: ignore[assignment]

"""What names the sequence that a reading belongs to: a field of its payload, or the shift in which it was measured."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gaugecast.fleet import Fleet
from gaugecast.payloads.fields import plain_text
from gaugecast.payloads.ours import Look

#: Characters of a name that are kept.
MOST_NAME = 64

_MINUTE_NS = 60 * 10**9


class SequenceNames:
    """Names the sequences of one fleet. The name goes into the ledger, so that no replay asks for the time zone.

    Attributes:
        asked: Whether the fleet has sequences.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.asked = fleet.has_sequences
        self._path = fleet.begins_path
        self._begins, self._zone = sorted(fleet.begins_at), ZoneInfo(fleet.timezone)
        self._shift_of = lru_cache(maxsize=4096)(self._shift)

    def name(self, look: Look, at_ns: int) -> str:
        """The name of the sequence of a reading; empty where it has none.

        Args:
            look: What the payload has at a path.
            at_ns: Event time.
        """
        if self._path is None:
            return self._shift_of(at_ns // _MINUTE_NS)
        name = plain_text(look(self._path))
        return (name or "")[:MOST_NAME].encode(errors="replace").decode()

    def _shift(self, minute: int) -> str:
        """The local day, and the minute of it, at which the shift began that this minute since 1970 belongs to."""
        local = datetime.fromtimestamp(60 * minute, self._zone)
        now = 60 * local.hour + local.minute
        begun = [begin for begin in self._begins if begin <= now]
        day = local.date() if begun else local.date() - timedelta(days=1)
        return f"{day} {(begun or self._begins)[-1]}"

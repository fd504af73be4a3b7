"""A lane: readings of one kind on one topic, and how they are read."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from gaugecast.payloads.discovery.clocks import Clock
from gaugecast.payloads.discovery.heard import Layout, Record
from gaugecast.payloads.discovery.kinds import Kind
from gaugecast.payloads.fields import plain_text
from gaugecast.topics import FieldPath


class Lane(NamedTuple):
    """Readings of one kind on one topic, and how they are read."""

    topic: str
    layout: Layout
    kind: Kind
    ids: tuple[FieldPath, ...]
    clock: Clock | None

    def stream_of(self, record: Record) -> str:
        """What tells this reading's stream from others that are proposed together."""
        return "/".join([self.topic, *(plain_text(record.fields.get(path)) or "" for path in self.ids)])

    def instants(self) -> dict[str, list[int]]:
        """When readings were made, by stream; of retained ones that bring no time nothing is known."""
        found: dict[str, list[int]] = defaultdict(list)
        for record in self.kind.records:
            at = self._instant(record)
            if at is not None:
                found[self.stream_of(record)].append(at)
        return found

    def _instant(self, record: Record) -> int | None:
        if self.clock is not None:
            return self.clock.read(record.fields.get(self.clock.path), record.at_ns)
        own = record.fields.get(("time",)) if self.layout.within else None
        if type(own) is int:
            return own
        return record.at_ns if record.fresh else None

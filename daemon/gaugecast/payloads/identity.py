"""Whose reading it is, and which one: routes of topics, stream ids, names of deliveries."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gaugecast.config.saying import id_fault
from gaugecast.errors import DecodeError
from gaugecast.fleet import Fleet
from gaugecast.records import Message
from gaugecast.topics import FieldPath, Template

_PERCENT = re.compile(r"%(?=2[B35])")
MOST_KNOWN = 131_072  # ids from payload fields that are remembered, some 30 MB
_STRIDE, _ALL = 0x9E3779B97F4A7C15, (1 << 64) - 1
LAST_SEQUENCE = 2**63 - 1  # of sequence numbers, and the first is as far below zero: what the ledger's integers hold


class Route(NamedTuple):
    """What a topic says by itself.

    Attributes:
        reader: Position in the decoder's list of readers: the fleet, and the feature if the topic names it.
        stream: Id of the stream; empty where payload fields are part of it.
        captures: Captured levels, for ids that need the payload, too.
        fault: Why every message on this topic is refused, or `None`.
        ours: Whether the topic names a feature of the fleet, and is not to be ignored.
        quick: Whether the quick readers may be asked.
        others: What the topic says to further fleets that subscribe it.
    """

    reader: int
    stream: str
    captures: Mapping[str, str]
    fault: DecodeError | None = None
    ours: bool = True
    quick: bool = False
    others: tuple[Route, ...] = ()


def stream_id(
    fleet: Fleet, template: Template, *, captures: Mapping[str, str], fields: Sequence[str | int] = ()
) -> str:
    """The id of a stream of the fleet, from captured levels and payload fields by the fleet's parsed template.

    Raises:
        DecodeError: `bad_stream` for an empty part, more than 256 bytes, or a forecasts' topic that no broker
            takes.
    """
    texts = [_escaped(str(field)) for field in fields]
    if not all(texts) or not all(captures[name] for name in template.captures):
        raise DecodeError("bad_stream", f"{template.text}: each part needs at least one character")
    stream = template.render(captures, texts)
    fault = id_fault(fleet, stream)
    if fault:
        raise DecodeError("bad_stream", fault)
    return stream


def _escaped(text: str) -> str:
    """A field's text without `+` and `#`, which no topic may have, so that no two texts become the same."""
    if "+" not in text and "#" not in text and "%2" not in text:
        return text
    return _PERCENT.sub("%25", text).replace("+", "%2B").replace("#", "%23")


class StreamIds:
    """Ids from payload fields, remembered: making one costs as much as all the rest of a reading. Bounded."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._template = Template.parse(fleet.stream)
        self._known: dict[tuple[str, tuple[str | int, ...]], str] = {}

    @property
    def paths(self) -> Sequence[FieldPath]:
        """Where a payload has the fields."""
        return self._template.paths

    def find(self, topic: str, route: Route, fields: tuple[str | int, ...]) -> str:
        """The id of the stream that topic and fields name.

        Raises:
            DecodeError: As `stream_id`.
        """
        stream = self._known.get((topic, fields))
        if stream is None:
            stream = stream_id(self._fleet, self._template, captures=route.captures, fields=fields)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[topic, fields] = stream
        return stream


def delivery_hash(message: Message) -> int:
    """64-bit name of the delivery of a message's first reading, never 0; `nth_delivery` has those of the others.

    Tells a redelivery from the next reading where the payload itself does not. What the broker kept comes under a new
    packet id each time: there the topic and the payload are the name.
    """
    topic = message.topic.encode(errors="surrogatepass")
    head = struct.pack("<IIH", int(message.retain), len(topic), 0 if message.retain else message.mid & 0xFFFF)
    digest = hashlib.blake2b(head + topic, digest_size=8)
    digest.update(message.payload)
    return int.from_bytes(digest.digest(), "little", signed=True) or 1


def nth_delivery(first: int, position: int) -> int:
    """The name of the reading at `position` of a message (from 0) whose first has the name `first`.

    Equal readings of one array are not copies. An odd stride, so that no two positions of a message have one name;
    it is as good as random between messages, since `first` is.
    """
    name = (first + position * _STRIDE) & _ALL
    return name - ((name >> 63) << 64) or 1

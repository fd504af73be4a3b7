"""What can be published: topic names as MQTT and real brokers have them.

MQTT 5.0, sections 1.5.4 and 4.7 (the same in 3.1.1), say which texts are topic names; brokers may hang up on what is
none, and on control and non-characters. mosquitto 2.0.11 does, measured for every kind below, and at more than 200
slashes, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_TOPIC_BYTES = 65_535  # the length of an MQTT string is a 16-bit number
MAX_SLASHES = 200

_MOST_BYTES = 4  # of one character in UTF-8
_NO_TEXT = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
)


def text_fault(text: str) -> str:
    """Why `text` can be neither a topic nor a filter, or an empty text where it can."""
    if not text:
        return "expected at least one character, got an empty text"
    plain = text.isascii() and text.isprintable()  # nearly all are, and a search costs 6 µs
    found = None if plain else _NO_TEXT.search(text)
    if found:
        return f"expected no control characters, surrogates or non-characters, got {_kind(found[0])}"
    slashes = text.count("/")
    if slashes > MAX_SLASHES:
        return f"expected at most {MAX_SLASHES} slashes, got {slashes}"
    if len(text) * _MOST_BYTES > MAX_TOPIC_BYTES and (size := len(text.encode())) > MAX_TOPIC_BYTES:
        return f"expected at most {MAX_TOPIC_BYTES} bytes, got {size}"
    return ""


def topic_fault(topic: str) -> str:
    """Why nobody can publish to `topic`, or an empty text where it can be done. The one judge of that."""
    if "+" in topic or "#" in topic:
        return f"expected a topic without `+` or `#`, got {topic[:80]!a}"
    if topic.startswith("$"):
        return "expected no `$` at the start of a topic: those are the broker's own (4.7.2)"
    return text_fault(topic)


def all_plain(topics: Sequence[str]) -> bool:
    """Whether `topic_fault` finds nothing in any of them, told of all at once; `False` = each has to be looked at."""
    if not topics or not 0 < min(map(len, topics)) <= max(map(len, topics)) <= MAX_SLASHES:
        return False
    text = "".join(topics)
    return text.isascii() and text.isprintable() and not any(special in text for special in "+#$")


def output_topic(output: str, fleet: str, stream: str) -> str:
    """Where a stream's forecasts go, by the fleet's output template."""
    return output.replace("{fleet}", fleet).replace("{stream}", stream)


def _kind(char: str) -> str:
    """The character's number and kind, without the character: it may not be printable."""
    code = ord(char)
    kind = "control" if code < 0xA0 else "surrogate" if code < 0xE000 else "non-character"
    return f"U+{code:04X} ({kind})"

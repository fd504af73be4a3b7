r"""InfluxDB line protocol: what was observed at its time, what is forecast at the times that it is for.

Escapes as the protocol has them: commas, spaces and equals signs in names and tags. A tag cannot end with a backslash,
which would escape what follows: there stands an underscore instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gaugecast.fleet import Fleet
from gaugecast.forecast.templates import texts_of
from gaugecast.outputs.naming import Naming
from gaugecast.outputs.told import Texts, Told, joined

MEASUREMENT = "gaugecast"
_SPECIAL = re.compile(r"([,= ])")


class InfluxWriter:
    """Writes for one fleet: lines with the tags `fleet` and `stream`, those of forecasts with `horizon`, too."""

    def __init__(self, fleet: Fleet) -> None:
        self._naming = Naming(fleet)
        self._head = f"{MEASUREMENT},fleet={escaped(fleet.name)},stream=".encode()
        self._after_ns = [ticks * fleet.period_ns for ticks in fleet.ahead]

    def bodies(self, told: Told) -> list[bytes]:
        """The lines of one step each, without a line break at the end."""
        texts, features = Texts(told), range(len(self._naming.features))
        heads = [self._head + escaped(stream).encode() for stream in told.streams]
        now = [(name, column) for g in features for name, column in self._naming.now(texts, g)]
        steps = [b",step=" + step + b"i" for step in texts_of(told.steps)]
        lines = [_lines(heads, b"", now, told.at_ns, steps)]
        for h, span in enumerate(self._naming.spans):
            ahead = [(n, column) for g in features for n, column in self._naming.ahead(texts, h, g, span="")]
            instants = [at + self._after_ns[h] for at in told.at_ns]
            lines.append(_lines(heads, b",horizon=" + span.encode(), ahead, instants, steps))
        return [b"\n".join(filter(None, rows)) for rows in zip(*lines, strict=True)]


def escaped(text: str) -> str:
    """A tag's value, or the name of a field or a tag."""
    whole = text.rstrip("\\")
    return _SPECIAL.sub(r"\\\1", whole + "_" * (len(text) - len(whole)))


def _lines(
    heads: Sequence[bytes], tags: bytes, fields: Iterable[tuple[str, Sequence[bytes]]], instants_ns: Sequence[int],
    steps: Sequence[bytes],
) -> list[bytes]:  # fmt: skip
    """One line a step; empty where nothing is known."""
    known_fields = joined((b"," + escaped(name).encode() + b"=", texts) for name, texts in fields)
    return [
        b"".join((head, tags, b" ", known[1:], step, b" ", instant)) if known else b""
        for head, known, step, instant in zip(heads, known_fields, steps, texts_of(instants_ns), strict=True)
    ]

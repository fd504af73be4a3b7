"""Numbers alone, at the top level: what Grafana's MQTT source and Telegraf read as it is.

What is not known is left out, for a column of numbers has no null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gaugecast.fleet import Fleet
from gaugecast.forecast.templates import encode, quoted, texts_of
from gaugecast.outputs.naming import Naming
from gaugecast.outputs.told import Texts, Told, joined, seconds_of


class FlatWriter:
    """Writes for one fleet.

    Args:
        named: Whether each message says its stream, since no topic does.
    """

    def __init__(self, fleet: Fleet, *, named: bool = False) -> None:
        self._naming, self._named = Naming(fleet), named

    def bodies(self, told: Told) -> list[bytes]:
        """One JSON object a step."""
        texts, features = Texts(told), range(len(self._naming.features))
        columns: list[tuple[bytes, Sequence[bytes]]] = [(b'"time":', seconds_of(told.at_ns))]
        if self._named:
            columns = [(b'"stream":', quoted(told.streams)), (b',"time":', seconds_of(told.at_ns))]
        columns.append((b',"step":', texts_of(told.steps)))
        columns += ((b"," + encode(name) + b":", column) for g in features for name, column in self._of(texts, g))
        first, *others = columns
        return joined([(b"{" + first[0], first[1]), *others], end=b"}")

    def _of(self, texts: Texts, g: int) -> Iterator[tuple[str, Sequence[bytes]]]:
        """In the order of `shapes.flat_names`."""
        observed, *rest = self._naming.now(texts, g)
        yield observed
        for h, span in enumerate(self._naming.spans):
            yield from self._naming.ahead(texts, h, g, span=span if h else "")
        yield from rest

"""What Prometheus would have scraped, minute by minute, as promtool's tests have it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gaugecast.metrics.exporter import Metrics

#: What Prometheus adds to each series.
TARGET = 'job="gaugecast",instance="plant:9464"'


class Series:
    """Samples by series and minute.

    Args:
        wanted: Names of metrics that are kept.
        origin_s: The instant that is 0 to promtool, Unix seconds; metrics that tell an instant are told from there.
    """

    def __init__(self, wanted: set[str], origin_s: float) -> None:
        self._wanted, self._origin_s = wanted, origin_s
        self._samples: dict[str, dict[int, float]] = {}
        self._minutes = 0

    def scrape(self, minute: int, metrics: Metrics) -> None:
        """Take what one scrape would have."""
        for family in metrics.collect():
            for sample in family.samples:
                if sample.name in self._wanted:
                    shift = self._origin_s if sample.name == "gaugecast_clock_seconds" else 0.0
                    self.note(minute, sample.name, sample.value - shift, sample.labels)

    def note(self, minute: int, name: str, value: float, labels: Mapping[str, str] = MappingProxyType({})) -> None:
        """One sample."""
        words = "".join(f',{key}="{text}"' for key, text in labels.items())
        self._samples.setdefault(f"{name}{{{TARGET}{words}}}", {})[minute] = value
        self._minutes = max(self._minutes, minute + 1)

    def to_promtool(self) -> list[dict[str, str]]:
        """`input_series`, a sample a minute."""
        return [{"series": name, "values": self._notation(found)} for name, found in self._samples.items()]

    def _notation(self, found: Mapping[int, float]) -> str:
        """Runs of a value as `VxN`; where a series ends it is `stale`, as after a scrape that did not have it."""
        words: list[str] = []
        counts: list[int] = []
        before = "_"
        for minute in range(self._minutes):
            word = repr(found[minute]) if minute in found else "_" if before in ("_", "stale") else "stale"
            if words and word == words[-1]:
                counts[-1] += 1
            else:
                words.append(word)
                counts.append(1)
            before = word
        return " ".join(_run(word, count) for word, count in zip(words, counts, strict=True))


def _run(word: str, count: int) -> str:
    """`_xN` is N times nothing, `VxN` is V and N times more."""
    if count == 1:
        return word
    return f"_x{count}" if word == "_" else f"{word}x{count - 1}"

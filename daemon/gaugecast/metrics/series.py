"""Per-stream series, printed straight from NumPy columns.

prometheus_client makes an object and a label string for every sample, about 5 µs each: half a second at 10,000
streams. Here the label text of a stream is made once and kept, and a sample costs one `%`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.forecast.message import QUALITY
from gaugecast.metrics.catalogue import STREAMED
from gaugecast.metrics.facts import StreamColumns
from gaugecast.records import Float64

_HEADS = {d.name: f"# HELP {d.name} {d.help}\n# TYPE {d.name} {d.kind}\n" for d in STREAMED}


def escape_label(value: str) -> str:
    """Escape a label's value for the text format 0.0.4."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class StreamSeries:
    """Prints `StreamColumns` under a cap, and keeps the streams' label texts. Owner: whoever holds `Metrics`' lock."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._labels: dict[str, tuple[Sequence[str], Sequence[str], list[list[str]], list[str]]] = {}
        self.omitted = 0

    def render(self, columns: Sequence[StreamColumns]) -> str:
        """The text of all per-stream metrics; `omitted` then says how many streams the cap left out."""
        left = self._cap
        shown: list[tuple[StreamColumns, int]] = []
        for fleet in columns:
            count = min(left, len(fleet.streams))
            left -= count
            shown.append((fleet, count))
        self.omitted = sum(len(fleet.streams) - count for fleet, count in shown)
        self._labels = {c.fleet: kept for c, _ in shown if (kept := self._labels.get(c.fleet)) is not None}
        parts: list[str] = []
        for name, lines in self._collect(shown).items():
            if lines:
                parts.append(_HEADS[name])
                parts.extend(lines)
        return "".join(parts)

    def _collect(self, shown: list[tuple[StreamColumns, int]]) -> dict[str, list[str]]:
        text: dict[str, list[str]] = {name: [] for name in _HEADS}
        for columns, n in shown:
            if n == 0:
                continue
            by_feature, by_stream = self._label(columns, n)
            tables: dict[str, Float64 | None] = {
                "observed": columns.observed,
                "forecast": columns.forecast,
                "predicted": columns.predicted,
                "residual": columns.observed - columns.predicted,
                "skill": columns.skill,
                "anomaly_score": columns.score,
            }
            for name, table in tables.items():
                if table is not None:
                    for f, labels in enumerate(by_feature):
                        _print_column(text[f"gaugecast_stream_{name}"], name, labels, table[:n, f])
            if columns.at_s is not None:
                name = "observed_timestamp_seconds"
                _print_column(text[f"gaugecast_stream_{name}"], name, [f"{s}}} " for s in by_stream], columns.at_s[:n])
            self._print_ahead(text, columns, by_feature, n)
            for name, told in (("crossing_probability", columns.likely), ("crossing_seconds", columns.median_s)):
                if told is not None:
                    for k, mark in enumerate(columns.marks):
                        labels = _marked(by_stream, mark)
                        _print_column(text[f"gaugecast_stream_{name}"], name, labels, told[:n, k])
            if columns.quality is not None:
                _print_flags(text["gaugecast_stream_quality"], by_stream, columns.quality[:n])
        return text

    def _print_ahead(
        self, text: dict[str, list[str]], columns: StreamColumns, by_feature: list[list[str]], n: int
    ) -> None:
        """What is expected at listed horizons, with the interval around it."""
        level = f',level="{columns.level}"}} '
        tables = {"ahead": (columns.ahead, "} "), "lower": (columns.lower, level), "upper": (columns.upper, level)}
        for name, (table, end) in tables.items():
            for h, span in enumerate(columns.spans if table is not None else ()):
                for f, labels in enumerate(by_feature):
                    named = [f'{label[:-2]},horizon="{span}"{end}' for label in labels]
                    if table is not None:
                        _print_column(text[f"gaugecast_stream_{name}"], name, named, table[:n, f, h])

    def _label(self, columns: StreamColumns, n: int) -> tuple[list[list[str]], list[str]]:
        streams, features = tuple(columns.streams[:n]), tuple(columns.features)
        kept = self._labels.get(columns.fleet)
        if kept is None or kept[0] != streams or kept[1] != features:
            fleet = escape_label(columns.fleet)
            by_stream = [f'{{fleet="{fleet}",stream="{escape_label(s)}"' for s in streams]
            by_feature = [[f'{s},feature="{escape_label(f)}"}} ' for s in by_stream] for f in features]
            kept = self._labels[columns.fleet] = (streams, features, by_feature, by_stream)
        return kept[2], kept[3]


def _print_column(lines: list[str], name: str, labels: list[str], column: Float64) -> None:
    """Nine significant digits: what a float32 forecast holds. `%` costs a third of a `repr` in an f-string."""
    prefix = f"gaugecast_stream_{name}"
    line = "%s%s%.3f\n" if name.endswith("seconds") else "%s%s%.9g\n"
    finite = np.isfinite(column)
    if not finite.all():
        known = np.flatnonzero(finite)
        labels, column = [labels[i] for i in known.tolist()], column[known]
    if len(column) > 0:
        lines.append("".join([line % (prefix, label, x) for label, x in zip(labels, column.tolist(), strict=True)]))


def _marked(by_stream: list[str], mark: tuple[str, str, str]) -> list[str]:
    feature, side, value = map(escape_label, mark)
    return [f'{stream},feature="{feature}",side="{side}",value="{value}"}} ' for stream in by_stream]


def _print_flags(lines: list[str], by_stream: list[str], quality: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> None:
    for bit, flag in enumerate(QUALITY):
        for i in np.flatnonzero(quality & np.uint8(1 << bit)).tolist():
            lines.append(f'gaugecast_stream_quality{by_stream[i]},flag="{flag}"}} 1\n')

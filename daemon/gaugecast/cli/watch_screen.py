"""The table of streams that `watch` and the demo show: pure, from the daemon's rows to the screen."""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import (
    NOTHING,
    show_count,
    show_name,
    show_passed_over,
    show_rate,
    show_skill,
    show_value,
    sparkline,
)
from gaugecast.cli.foretold import foretold_lines
from gaugecast.cli.status import render_headline
from gaugecast.control import StreamRow, StreamsAnswer
from gaugecast.status import Status

TRAIL_LENGTH = 60  # observations kept for the trend
#: Of a stream with several flags the first of these is shown.
MARKS = {
    "stale": ("○", "dim"),
    "warming": ("w", "yellow"),
    "bridged": ("b", "yellow"),
    "partial": ("p", "yellow"),
    "fallback": ("f", "yellow"),
    "unchanged": ("=", "green"),
    "": ("●", "green"),
}
_FRAME_LINES = 4  # rates, column titles and two blank lines; head and foot take what they need
_WHOLE_WIDTH = 80  # with less, unit, forecast and trend are left out
_BAND_WIDTH = 7

Key = tuple[str, str, str]


class _Widths(NamedTuple):
    """Columns that grow with the terminal; at 80, all ten fill it; at 60 those without a trend do. A band stands in
    place of the trend where there is no room for both.
    """

    stream: int
    feature: int
    whole: bool  # else neither unit nor forecast nor what follows
    band: bool
    trend: int  # 0: none

    @classmethod
    def within(cls, width: int, *, banded: bool, longest: int) -> _Widths:
        if width < _WHOLE_WIDTH:
            return cls(max(8, 12 - max(0, 60 - width)), 11, False, False, 0)
        if banded and width < _WHOLE_WIDTH + _BAND_WIDTH + 1:
            feature = min(longest, 14)
            return cls(22 + (width - _WHOLE_WIDTH) // 2 - feature, feature, True, True, 0)
        spare = width - _WHOLE_WIDTH - banded * (_BAND_WIDTH + 1)
        stream, feature = min(32, 12 + spare // 3), min(20, 11 + spare // 6)
        trend = min(TRAIL_LENGTH + 1, 6 + spare - (stream - 12) - (feature - 11))
        return cls(stream, feature, True, banded, trend)


class Trails:
    """The last observations and residuals of each row that is shown, gathered look by look. Owner: one screen."""

    def __init__(self, length: int = TRAIL_LENGTH) -> None:
        self._length = length
        self._steps: dict[Key, int] = {}
        self._observed: dict[Key, deque[float | None]] = {}
        self._residuals: dict[Key, deque[float]] = {}

    def update(self, rows: Sequence[StreamRow]) -> None:
        """Take one look; rows that are shown no more are forgotten, a step that was seen counts once."""
        keys = {_key(row) for row in rows}
        for gone in self._steps.keys() - keys:
            del self._steps[gone], self._observed[gone], self._residuals[gone]
        for row in rows:
            key = _key(row)
            if self._steps.get(key) == row.step:
                continue
            self._steps[key] = row.step
            self._observed.setdefault(key, deque(maxlen=self._length)).append(row.observed)
            residuals = self._residuals.setdefault(key, deque(maxlen=self._length))
            if row.residual is not None:
                residuals.append(row.residual)

    def observed(self, row: StreamRow) -> list[float | None]:
        """Oldest first, the row's own last."""
        return list(self._observed.get(_key(row), ()))

    def is_surprising(self, row: StreamRow) -> bool:
        """Whether the residual is more than four times the median of those before, once there are eight."""
        sizes = [abs(r) for r in self._residuals.get(_key(row), ())]
        if row.residual is None or len(sizes) < 9:
            return False
        return abs(row.residual) > 4 * statistics.median(sizes[:-1])


def _key(row: StreamRow) -> Key:
    return row.fleet, row.stream, row.feature


def render_streams(
    answer: StreamsAnswer,
    trails: Trails,
    *,
    width: int = 80,
    height: int | None = None,
    gone: str = "",
    keys: str = "",
) -> RenderableType:
    """The whole screen, for `width` columns (60 and more look well); pure. At most `height` lines, if given.

    Args:
        gone: Why the daemon answers no more; `answer` is then its last.
        keys: What may be typed, for the last line.
    """
    head = _head(answer, gone)
    rows = rows_within(answer, width=width, height=height, gone=gone, keys=keys)
    banded = any(row.lower is not None and row.upper is not None for row in rows)
    longest = max((cell_len(show_name(row.feature)) for row in rows), default=0)
    table = _table(rows, trails, _Widths.within(width, banded=banded, longest=max(longest, len("feature"))))
    rates = Text() if gone else _rates(answer.status)
    return Group(head, rates, "", table, "", _foot(answer, rows, keys))


def _head(answer: StreamsAnswer, gone: str) -> Text:
    return Text(f"○ no answer: {show_name(gone)}", style="bold red") if gone else render_headline(answer.status)


def rows_within(
    answer: StreamsAnswer, *, width: int, height: int | None, gone: str = "", keys: str = ""
) -> Sequence[StreamRow]:
    """The rows that have room on such a screen; arguments as of `render_streams`."""
    if height is None:
        return answer.rows
    screen = Console(width=width)
    around = sum(len(text.wrap(screen, width)) for text in (_head(answer, gone), _foot(answer, (), keys)))
    return _fitting(answer.rows, max(1, height - _FRAME_LINES - around))


def whole_streams(answer: StreamsAnswer, rows: Sequence[StreamRow]) -> int:
    """How many streams have all of their features among `rows`, which are the first of the answer's."""
    cut = answer.rows[len(rows) : len(rows) + 1]
    left_out = {(row.fleet, row.stream) for row in cut}
    return len({(row.fleet, row.stream) for row in rows} - left_out)


def _fitting(rows: Sequence[StreamRow], lines: int) -> Sequence[StreamRow]:
    """As many rows as there are lines for, with a heading for each fleet where there are several."""
    several = len({row.fleet for row in rows}) > 1
    left, before, count = lines, "", 0
    for row in rows:
        left -= 1 + (several and row.fleet != before)
        if left < 0 and count:
            break
        before, count = row.fleet, count + 1
    return rows[:count]


def _rates(status: Status) -> Text:
    total, latency_s = status.total, status.publishing.latency_s
    parts = [status.broker.address or NOTHING, f"{show_rate(status.rates.readings_per_s)} readings/s"]
    if status.degraded:
        parts.append(f"degraded: {', '.join(status.degraded)}")
    if latency_s is not None:
        parts.append(f"{latency_s * 1e3:.1f} ms to forecast")
    if total.rejected:
        parts.append(f"{total.rejected:,} refused")
    if passed_over := show_passed_over(total):
        parts.append(passed_over)
    return Text(
        "  " + " · ".join(parts), style="yellow" if status.degraded else "dim", no_wrap=True, overflow="ellipsis"
    )


def _table(rows: Sequence[StreamRow], trails: Trails, widths: _Widths) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("", width=1)
    table.add_column("stream", no_wrap=True, overflow="ellipsis", max_width=widths.stream, min_width=6)
    table.add_column("feature", no_wrap=True, overflow="ellipsis", max_width=widths.feature, min_width=7)
    for name in ("observed", "expected", "residual"):
        table.add_column(name, justify="right", no_wrap=True, width=8)
    if widths.whole:
        table.add_column("", no_wrap=True, max_width=4, style="dim")
        table.add_column("next", justify="right", no_wrap=True, width=8)
    if widths.band:
        table.add_column("band", justify="right", no_wrap=True, width=_BAND_WIDTH, style="cyan")
    table.add_column("skill", justify="right", no_wrap=True, width=5)
    if widths.trend:
        table.add_column("trend", no_wrap=True, width=widths.trend)
    several = len({row.fleet for row in rows}) > 1
    for fleet, group in itertools.groupby(rows, key=lambda row: row.fleet):
        if several:
            table.add_row(Text(), Text(show_name(fleet), style="underline"))
        before = ""
        for row in group:
            table.add_row(*_cells(row, trails, widths, first=before != row.stream))
            before = row.stream
    return table


def mark_of(quality: Sequence[str]) -> tuple[str, str]:
    """The mark of a stream with these flags, and its colour: each flag has a mark of its own."""
    return MARKS[next((flag for flag in MARKS if flag in quality), "")]


def _cells(row: StreamRow, trails: Trails, widths: _Widths, *, first: bool) -> list[Text]:
    mark, colour = mark_of(row.quality)
    alarm = "bold red" if trails.is_surprising(row) else "default"
    cells = [
        Text(mark, style=colour) if first else Text(),
        Text(show_name(row.stream), style="bold") if first else Text(),
        Text(show_name(row.feature)),
        Text(show_value(row.observed, row.observed), style="blue"),
        Text(show_value(row.predicted, row.observed)),
        Text(show_value(row.residual, _tenth(row.observed), signed=True), style=alarm),
    ]
    if widths.whole:
        cells += [Text(show_name(row.unit)), Text(show_value(row.forecast, row.observed), style="cyan")]
    if widths.band:
        cells.append(Text(_band(row)))
    cells.append(show_skill(row.skill))
    return [*cells, _trend(trails.observed(row), row.forecast, widths.trend)] if widths.trend else cells


def _band(row: StreamRow) -> str:
    """Half the width of the narrowest interval around what is next."""
    if row.lower is None or row.upper is None:
        return NOTHING
    return f"±{show_value((row.upper - row.lower) / 2, _tenth(row.observed))}"


def _tenth(value: float | None) -> float | None:
    """The size that gives a residual one decimal more than its observation."""
    return None if value is None else value / 10


def _trend(observed: Sequence[float | None], forecast: float | None, width: int) -> Text:
    """The last observations as blocks, then the forecast in its own colour."""
    shown = list(observed)[-(width - 1) :]
    known = [v for v in (*shown, forecast) if v is not None]
    if not known:
        return Text(NOTHING, style="dim")
    lowest, highest = min(known), max(known)
    line = Text(sparkline(shown, lowest, highest).rjust(min(width - 1, 10)), style="blue")
    return line.append(sparkline([forecast], lowest, highest), style="bold cyan")


def _foot(answer: StreamsAnswer, rows: Sequence[StreamRow], keys: str) -> Text:
    """What marks, colours and figures mean, on lines of at most 60 columns."""
    shown = len({(row.fleet, row.stream) for row in rows})
    text = Text("● sure  w warming  b bridged  p partial  f fallback  ○ stale", style="dim")
    text.append("\n= unchanged · blue: observed, teal: next, red: odd residual")
    text.append("\nskill 0 %: no better than the last value again, half-life")
    text.append(f"\n{answer.status.skill_half_life:,.0f} steps · ")
    text.append(show_count(shown, "stream") if shown == answer.total else f"{shown} of {answer.total:,} streams")
    text.append(f" · learning {answer.status.learning}")
    for line in foretold_lines(answer.rows):
        text.append(f"\n  {line}", style="bold yellow")
    for name, fleet, _ in answer.status.at_work():
        if fleet.absent:
            text.append(f"\n  {show_name(name)}: {show_name(fleet.absent)}", style="yellow")
        if fleet.lesson:
            text.append(f"\n  {show_name(name)}: {fleet.lesson}")
    if answer.status.metrics_url:
        text.append(f"\nmetrics at {answer.status.metrics_url}")
    return text.append(f"\n{keys}" if keys else "")

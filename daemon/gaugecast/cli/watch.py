"""`gaugecast watch`: the streams, live, with what was forecast beside what came. The demo shows the same table."""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
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
from gaugecast.cli.status import render_headline
from gaugecast.config.load import load_settings
from gaugecast.control import SOCKET_NAME, StreamRow, StreamsAnswer, StreamsQuery, call
from gaugecast.errors import Unreachable
from gaugecast.lessons import skill_means
from gaugecast.status import Status

TRAIL_LENGTH = 60  # observations kept for the trend
_FRAME_LINES = 4  # between head and foot: rates, column titles and blank lines
_DOTS = {"ok": ("●", "green"), "unsure": ("◐", "yellow"), "stale": ("○", "dim")}

Key = tuple[str, str, str]


class _Widths(NamedTuple):
    """Columns that grow with the terminal; at 80, all nine fill 79."""

    stream: int
    feature: int
    trend: int

    @classmethod
    def within(cls, width: int) -> _Widths:
        spare = max(0, width - 80)
        stream, feature = min(32, 14 + spare // 3), min(20, 11 + spare // 6)
        return cls(stream, feature, min(TRAIL_LENGTH + 1, 12 + spare - (stream - 14) - (feature - 11)))


def watch(
    config: Annotated[Path, typer.Option("--config", "-c", help="The daemon's configuration file.")] = Path(
        "gaugecast.toml"
    ),
    fleet: Annotated[str | None, typer.Option(help="Only streams of this fleet.")] = None,
    match: Annotated[str, typer.Option(help="Only streams whose id fits this shell pattern, such as 'hall/*'.")] = "*",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
) -> None:
    """Watch the streams live: observed, forecast, residual, skill. Ctrl-C leaves; the daemon does not notice."""
    socket = load_settings(config, os.environ).storage.directory / SOCKET_NAME
    console, trails = Console(), Trails()
    if once:
        answer = ask_streams(socket, StreamsQuery(fleet=fleet, match=match))
        trails.update(answer.rows)
        console.print(render_streams(answer, trails, width=console.width))
        return
    try:
        _follow(console, socket, StreamsQuery(fleet=fleet, match=match, limit=console.height), trails, every)
    except KeyboardInterrupt:
        return


def ask_streams(socket: Path, query: StreamsQuery, timeout_s: float = 5.0) -> StreamsAnswer:
    """Ask the daemon for rows.

    Raises:
        Unreachable, CommandRefused: As `control.call`.
    """
    return msgspec.convert(call(socket, query, timeout_s), StreamsAnswer)


def _follow(console: Console, socket: Path, query: StreamsQuery, trails: Trails, every_s: float) -> None:
    """Look again and again; a daemon that restarts is waited for, one that never was there is not."""
    shown, gone = ask_streams(socket, query), ""
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            trails.update(shown.rows)
            screen = render_streams(shown, trails, width=console.width, height=console.height, gone=gone)
            live.update(screen, refresh=True)
            time.sleep(every_s)
            try:
                shown, gone = ask_streams(socket, query), ""
            except Unreachable as exc:
                gone = str(exc)


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
    answer: StreamsAnswer, trails: Trails, *, width: int = 80, height: int | None = None, gone: str = ""
) -> RenderableType:
    """The whole screen, for `width` columns (80 and more look well); pure. At most `height` lines, if given.

    Args:
        gone: Why the daemon answers no more; `answer` is then its last.
    """
    head = Text(f"○ no answer: {show_name(gone)}", style="bold red") if gone else render_headline(answer.status)
    paper = Console(width=width)
    frame = _FRAME_LINES + sum(len(text.wrap(paper, width)) for text in (head, _foot(answer, answer.rows)))
    rows = answer.rows if height is None else answer.rows[: max(1, height - frame)]
    table = _table(rows, trails, _Widths.within(width))
    rates = Text() if gone else _rates(answer.status)
    return Group(head, rates, "", table, "", _foot(answer, rows))


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
    for name in ("observed", "forecast", "residual"):
        table.add_column(name, justify="right", no_wrap=True, width=8)
    table.add_column("", no_wrap=True, max_width=4, style="dim")
    table.add_column("skill", justify="right", no_wrap=True, width=5)
    table.add_column("trend", no_wrap=True, width=widths.trend)
    before: tuple[str, str] | None = None
    for row in rows:
        first = before != (row.fleet, row.stream)
        before = (row.fleet, row.stream)
        table.add_row(*_cells(row, trails, first=first, trend=widths.trend))
    return table


def _cells(row: StreamRow, trails: Trails, *, first: bool, trend: int) -> list[Text]:
    dot, colour = _DOTS["stale" if "stale" in row.quality else "unsure" if row.quality else "ok"]
    alarm = "bold red" if trails.is_surprising(row) else "default"
    return [
        Text(dot, style=colour) if first else Text(),
        Text(show_name(row.stream), style="bold") if first else Text(),
        Text(show_name(row.feature)),
        Text(show_value(row.observed, row.observed)),
        Text(show_value(row.forecast, row.observed), style="cyan"),
        Text(show_value(row.residual, _tenth(row.observed), signed=True), style=alarm),
        Text(show_name(row.unit)),
        show_skill(row.skill),
        _trend(trails.observed(row), row.forecast, trend),
    ]


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


def _foot(answer: StreamsAnswer, rows: Sequence[StreamRow]) -> Text:
    shown = len({(row.fleet, row.stream) for row in rows})
    count = show_count(shown, "stream") if shown == answer.total else f"{shown} of {answer.total:,} streams"
    text = Text(f"● sure · ◐ warming, bridged, partial or fallback · ○ stale · {count}", style="dim")
    text.append(f"\nresidual: observed − its forecast\nskill: {skill_means(answer.status.skill_half_life)}")
    text.append(f"\nlearning {answer.status.learning}")
    for name, fleet, _ in answer.status.at_work():
        if fleet.lesson:
            text.append(f"\n  {show_name(name)}: {fleet.lesson}")
    if answer.status.metrics_url:
        text.append(f"\nmetrics at {answer.status.metrics_url}")
    return text

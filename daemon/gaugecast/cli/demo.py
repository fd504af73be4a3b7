"""`gaugecast demo`: simulated tanks, a broker and the daemon, all at once, to see it at work."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from gaugecast.cli.watch import ask_streams
from gaugecast.cli.watch_screen import Trails
from gaugecast.control import StreamsAnswer, StreamsQuery
from gaugecast.errors import CommandRefused, Unreachable
from gaugecast.status import Status

if TYPE_CHECKING:
    from gaugecast.demo.stage import Stage

START_S = 30.0
LINE_EVERY_S = 5.0
PICTURE_WIDTH = 100


def demo_command(
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="End after so many seconds.")] = None,
    tanks: Annotated[int, typer.Option(min=1, max=500, help="How many tanks.")] = 6,
    seed: Annotated[int, typer.Option(help="Same seed, same tanks.")] = 7,
    broker: Annotated[str, typer.Option(help="HOST:PORT of a broker that runs; default: an embedded one.")] = "",
    mosquitto: Annotated[
        bool, typer.Option("--mosquitto", help="Start mosquitto instead of the embedded one.")
    ] = False,
    http_port: Annotated[int, typer.Option(help="Where /metrics is; 0 = any free port.")] = 0,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 0.25,
    picture: Annotated[Path | None, typer.Option(help="At the end, save the screen here, as SVG.")] = None,
) -> None:
    """See it at work: simulated tanks, a broker, the daemon, and a live table of what is forecast and what comes.

    Nothing of it stays: its state is in a temporary directory. Now and then a tank fails; look how the forecast fares.
    With the extra `console` the address of the page stands below the table.
    """
    from gaugecast.cli.demo_screen import render_summary  # simulators and broker are for this command only
    from gaugecast.demo.stage import BrokerChoice, Stage

    console = Console()
    with until_asked() as asked:
        console.print("starting broker, daemon and tanks …", style="dim")
        with Stage(BrokerChoice(broker, mosquitto), tanks=tanks, seed=seed, http_port=http_port) as stage:
            query = StreamsQuery(limit=max(tanks, console.height))
            if wait_for_daemon(stage, query, asked) is None:
                return
            looks, trails = Looks(stage, query, asked, seconds=seconds, every_s=every), Trails()
            (show_live if console.is_terminal else show_lines)(console, looks, trails)
            if picture is not None:
                save_picture(picture, looks, trails)
    console.print(render_summary(looks.answer.status, stage.injected, looks.after_s))


@contextmanager
def until_asked() -> Iterator[threading.Event]:
    """An event that the first SIGINT, SIGTERM or SIGHUP (a closed terminal) sets; a second acts as without us."""
    asked = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)

    def restore() -> None:
        for number, action in before.items():
            signal.signal(number, action)

    def ask(*_: object) -> None:
        asked.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()


def wait_for_daemon(stage: Stage, query: StreamsQuery, asked: threading.Event) -> StreamsAnswer | None:
    """The daemon's first answer; `None` if we are asked to stop before.

    Raises:
        Unreachable: It ended, or did not answer within `START_S`.
    """
    until = time.monotonic() + START_S
    while not asked.wait(0.05):
        stage.check()
        try:
            return ask_streams(stage.socket, query)
        except Unreachable:
            if time.monotonic() > until:
                raise
    return None


class Looks:
    """What the daemon says of its streams, look by look, until the time is over or we are asked to stop.

    Attributes:
        answer: The last one.
        after_s: When that was, seconds since the first.
    """

    def __init__(
        self, stage: Stage, query: StreamsQuery, asked: threading.Event, *, seconds: float | None, every_s: float
    ) -> None:
        self.stage, self.after_s = stage, 0.0
        self.answer = StreamsAnswer(rows=[], total=0, status=Status())
        self._query, self._asked, self._seconds, self._every_s = query, asked, seconds, every_s

    def __iter__(self) -> Iterator[StreamsAnswer]:
        began = time.monotonic()
        while True:
            self.after_s = time.monotonic() - began
            self.stage.check()
            try:
                self.answer = ask_streams(self.stage.socket, self._query)
            except (Unreachable, CommandRefused):
                self.stage.check()  # if it has ended, this says so better
                raise
            yield self.answer
            left_s = self._every_s if self._seconds is None else min(self._every_s, self._seconds - self.after_s)
            if left_s <= 0 or self._asked.wait(left_s):
                return


def show_live(console: Console, looks: Looks, trails: Trails) -> None:
    """The whole terminal, look by look."""
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for answer in looks:
            trails.update(answer.rows)
            live.update(_screen(looks, trails, width=console.width, height=console.height), refresh=True)


def show_lines(console: Console, looks: Looks, trails: Trails) -> None:
    """A line now and then."""
    from gaugecast.cli.demo_screen import plain_line

    due_s, told = 0.0, False
    for answer in looks:
        trails.update(answer.rows)
        if not told and answer.status.metrics_url:
            told = True
            console.print(f"broker {looks.stage.broker}; metrics at {answer.status.metrics_url}", soft_wrap=True)
            if looks.stage.console:
                console.print(f"console at {looks.stage.console}", soft_wrap=True)
        if looks.after_s >= due_s:
            console.print(plain_line(answer, looks.after_s), soft_wrap=True, highlight=False)
            due_s += LINE_EVERY_S


def save_picture(file: Path, looks: Looks, trails: Trails) -> None:
    """The last screen as SVG."""
    with open(os.devnull, "w") as nowhere:
        canvas = Console(record=True, width=PICTURE_WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        canvas.print(_screen(looks, trails, width=PICTURE_WIDTH, height=40))
        canvas.save_svg(str(file), title="gaugecast demo")


def _screen(looks: Looks, trails: Trails, *, width: int, height: int) -> RenderableType:
    from gaugecast.cli.demo_screen import render_screen

    return render_screen(
        looks.answer, trails, looks.stage.injected, now_ns=time.time_ns(), width=width, height=height,
        place=looks.stage.console,
    )  # fmt: skip

"""`gaugecast demo`: simulated tanks, a broker and the daemon, all at once, to see it at work."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live

from gaugecast.cli.watch import Trails, ask_streams
from gaugecast.control import StreamsAnswer, StreamsQuery
from gaugecast.errors import CommandRefused, Unreachable

if TYPE_CHECKING:
    from gaugecast.demo.stage import Stage

START_S = 30.0
LINE_EVERY_S = 5.0


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
) -> None:
    """See it at work: simulated tanks, a broker, the daemon, and a live table of what is forecast and what comes.

    Nothing of it stays: its state is in a temporary directory. Now and then a tank fails; look how the forecast fares.
    """
    from gaugecast.demo.stage import BrokerChoice, Stage  # simulators and broker are for this command only

    console = Console()
    with until_asked() as asked:
        console.print("starting broker, daemon and tanks …", style="dim")
        with Stage(BrokerChoice(broker, mosquitto), tanks=tanks, seed=seed, http_port=http_port) as stage:
            query = StreamsQuery(limit=max(tanks, console.height))
            first = wait_for_daemon(stage, query, asked)
            if first is not None:
                show(console, stage, query, asked, seconds=seconds, every_s=every)


@contextmanager
def until_asked() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one acts as it would have without us."""
    asked = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

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


def show(
    console: Console,
    stage: Stage,
    query: StreamsQuery,
    asked: threading.Event,
    *,
    seconds: float | None,
    every_s: float,
) -> None:
    """Look again and again until the time is over or we are asked to stop; then tell how it went."""
    from gaugecast.demo.screen import render_summary

    began = time.monotonic()
    looks = _look(stage, query, asked, seconds=seconds, every_s=every_s)
    last = _live(console, stage, looks) if console.is_terminal else _lines(console, stage, looks)
    if last is not None:
        console.print(render_summary(last.status, stage.injected, time.monotonic() - began))


def _look(
    stage: Stage, query: StreamsQuery, asked: threading.Event, *, seconds: float | None, every_s: float
) -> Iterator[tuple[float, StreamsAnswer]]:
    began = time.monotonic()
    while True:
        after_s = time.monotonic() - began
        stage.check()
        try:
            yield after_s, ask_streams(stage.socket, query)
        except (Unreachable, CommandRefused):
            stage.check()  # if it has ended, this says so better
            raise
        left_s = every_s if seconds is None else min(every_s, seconds - after_s)
        if left_s <= 0 or asked.wait(left_s):
            return


def _live(console: Console, stage: Stage, looks: Iterator[tuple[float, StreamsAnswer]]) -> StreamsAnswer | None:
    from gaugecast.demo.screen import render_screen

    trails, answer = Trails(), None
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for _, answer in looks:
            trails.update(answer.rows)
            screen = render_screen(
                answer, trails, stage.injected, now_ns=time.time_ns(), width=console.width, height=console.height
            )
            live.update(screen, refresh=True)
    return answer


def _lines(console: Console, stage: Stage, looks: Iterator[tuple[float, StreamsAnswer]]) -> StreamsAnswer | None:
    from gaugecast.demo.screen import plain_line

    answer, due_s, told = None, 0.0, 0
    for after_s, answer in looks:
        if not told and answer.status.metrics_url:
            told = 1
            console.print(f"broker {stage.broker}; metrics at {answer.status.metrics_url}", soft_wrap=True)
        if after_s >= due_s:
            console.print(plain_line(answer, after_s), soft_wrap=True, highlight=False)
            due_s += LINE_EVERY_S
    return answer

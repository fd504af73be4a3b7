"""The console as one sees it in a browser, and what it costs the daemon that somebody looks."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench.history import FLEET, STREAM, History
from bench.results import Bound, Result
from bench.rig import DaemonRun, prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from bench.traffic import Traffic, plan_of, start_ns
from support.mosquitto import Mosquitto, RawClient, free_port, wait_until

STREAMS, RATE, VIEWERS = 10_000, 5000.0, 5
SERIES_READINGS = 1_000_000
#: Scrolls through all rows, frame by frame, and gives how long each frame took, ms.
_SCROLL = """() => new Promise((done) => {
  const grid = document.querySelector(".grid-scroll"), frames = [], step = grid.scrollHeight / 180;
  let last = performance.now();
  const turn = (now) => {
    frames.push(now - last);
    last = now;
    grid.scrollTop += step;
    frames.length < 180 ? requestAnimationFrame(turn) : done(frames.slice(2));
  };
  requestAnimationFrame(turn);
})"""
#: Of the clock of the page: when the figure of what was observed shows this text.
_SEEN = """(text) => new Promise((done) => {
  const look = () => {
    const shown = document.querySelector(".figure strong");
    shown && shown.textContent.startsWith(text) ? done(Date.now()) : requestAnimationFrame(look);
  };
  look();
})"""


def measure(scale: Scale) -> list[Result]:
    """With ten thousand streams in a browser; one stream's past; then under load with viewers."""
    with workplace() as place:
        return [*_in_browser(place, scale), *_series(place, scale), *_viewers(place, scale)]


@contextmanager
def serving(config: Path) -> Iterator[str]:
    """`gaugecast console` as a process of its own; where it is."""
    port = free_port()
    environment = {**os.environ, "GAUGECAST_CONSOLE__PORT": str(port)}
    command = [sys.executable, "-m", "gaugecast", "console", "-c", str(config)]
    with (config.parent / "console.log").open("ab") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), what="a console", deadline_s=60)
        yield url
    finally:
        child.terminate()
        child.wait(20)


def _answers(url: str) -> bool:
    with suppress(OSError):
        return urllib.request.urlopen(f"{url}/healthz", timeout=5).status == 200  # type: ignore[no-any-return]
    return False


def _asked(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=60) as answer:
        return json.load(answer)


def _streams(url: str) -> list[str]:
    """Some of them."""
    return list(dict.fromkeys(row["stream"] for row in _asked(url, "streams?limit=100")["rows"]))


# -- in a browser


def _in_browser(place: Path, scale: Scale) -> list[Result]:
    with ExitStack() as stack:
        broker = stack.enter_context(run_broker(place / "broker"))
        daemon = stack.enter_context(run_daemon(prepare(place / "daemon", broker.port, qos=1, units=16)))
        _speak(broker, daemon, streams=STREAMS)
        url = stack.enter_context(serving(daemon.config))
        wait_until(lambda: _asked(url, "streams?limit=1")["streams"] >= STREAMS, what="streams", deadline_s=60)
        browser = stack.enter_context(_chromium())
        return [
            _first_paint(browser, url, scale),
            _points(browser, url, broker, scale),
            _scrolling(browser, url, scale),
        ]


def _speak(broker: Mosquitto, daemon: DaemonRun, *, streams: int) -> None:
    """Let every stream speak three times."""
    Traffic(broker.port, plan_of(streams, 1)).offer(3000.0, 3 * streams / 3000.0)
    active = 'gaugecast_streams{fleet="load",state="active"'
    wait_until(lambda: daemon.metric(active) >= streams, what="streams", deadline_s=120)


@contextmanager
def _chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield made
        made.close()


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def _first_paint(browser: Browser, url: str, scale: Scale) -> Result:
    """A browser that has nothing of it yet."""
    found = []
    for _ in range(scale.rounds):
        with _page(browser) as page:
            page.goto(url)
            page.wait_for_selector(".tile-value")
            found.append(float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")))
    note = "the overview on loopback, nothing in the browser's cache, the daemon with 10,000 streams"
    return Result("console_first_paint_ms", "ms", found, bound=Bound("≤", 1000.0), note=note)


def _points(browser: Browser, url: str, broker: Mosquitto, scale: Scale) -> Result:
    """From publishing a reading to the frame that shows it; the two have one clock."""
    sensor, found = RawClient(broker), []
    stream = _streams(url)[0]
    begun_s = start_ns() // 10**9 + 1000
    with _page(browser) as page:
        page.goto(f"{url}/stream?fleet=load&stream={stream}&feature=pressure")
        page.wait_for_selector(".figure strong")
        for number in range(4 * scale.rounds):
            value = 1000 + number
            body = json.dumps({"t": begun_s + number, "pressure": value, "temperature": 1.0}).encode()
            began_s = time.time()
            sensor.publish([(f"load/{stream}", body)])
            seen_ms = page.evaluate(_SEEN, f"{value:,}")
            found.append(seen_ms - 1e3 * began_s)
            time.sleep(0.3)
    sensor.close()
    note = f"from PUBLISH to the frame with it, 10,000 streams; the slowest of {len(found)} took {max(found):.0f} ms"
    return Result("console_point_ms", "ms", found, bound=Bound("≤", 250.0), note=note)


def _scrolling(browser: Browser, url: str, scale: Scale) -> Result:
    """The longest frame of each of some rides from the first row to the last."""
    found = []
    with _page(browser) as page:
        page.goto(f"{url}/streams")
        page.wait_for_selector("a.line")
        for _ in range(scale.rounds):
            page.evaluate("document.querySelector('.grid-scroll').scrollTop = 0")
            time.sleep(0.5)
            found.append(max(page.evaluate(_SCROLL)))
    note = "longest frame on the way from the first of 10,000 streams to the last, 180 frames"
    return Result("console_scroll_frame_ms", "ms", found, bound=Bound("≤", 50.0), note=note)


# -- a stream's past


def _series(place: Path, scale: Scale) -> list[Result]:
    """A hundred thousand readings of one stream, thinned to a screen's points."""
    config = prepare(place / "past", 1, qos=1)
    state = config.parent / "state"
    shutil.rmtree(state)
    History(state, readings=scale.count(SERIES_READINGS), every=10, configured=True).make()
    found = []
    with serving(config) as url:
        for _ in range(scale.rounds + 1):
            began = time.perf_counter()
            path = f"series?fleet={FLEET}&stream={STREAM}&feature=p&from_s=0&points=2000"
            told = _asked(url, path)
            found.append(1e3 * (time.perf_counter() - began))
    note = f"{told['readings']:,} readings with what had been expected of each, {len(told['at_s']):,} points sent"
    return [Result("console_series_100k_ms", "ms", found[1:], bound=Bound("≤", 500.0), note=note)]


# -- viewers and the daemon


class Viewers:
    """So many pages: each listens to a stream's events and asks as often as the page does, or without a pause."""

    def __init__(self, url: str, count: int, *, pause_s: float) -> None:
        self._url, self._pause_s, self._streams = url, pause_s, _streams(url)
        self._ended = threading.Event()
        self.asked = 0
        self._threads = [
            threading.Thread(target=one, args=(n,)) for n in range(count) for one in (self._listen, self._ask)
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self, number: int) -> None:
        with urllib.request.urlopen(
            f"{self._url}/api/v1/live?fleet=load&stream={self._streams[number]}", timeout=20
        ) as events:
            while not self._ended.is_set():
                events.readline()

    def _ask(self, number: int) -> None:
        one = f"fleet=load&stream={self._streams[number]}"
        paths = (
            "streams?limit=100",
            "crossings",
            "surprises",
            f"sparks?{one}",
            f"series?{one}&feature=pressure",
            "events",
        )
        while not self._ended.is_set():
            for path in paths:
                with suppress(OSError):
                    _asked(self._url, path)
                self.asked += 1
                if self._ended.wait(self._pause_s / len(paths)):
                    return

    def close(self) -> None:
        """Everybody leaves."""
        self._ended.set()
        for thread in self._threads:
            thread.join(30)


def _viewers(place: Path, scale: Scale) -> list[Result]:
    with ExitStack() as stack:
        broker = stack.enter_context(run_broker(place / "busy-broker"))
        daemon = stack.enter_context(run_daemon(prepare(place / "busy", broker.port, qos=1)))
        _speak(broker, daemon, streams=1000)
        url = stack.enter_context(serving(daemon.config))
        window_s = max(3.0, scale.seconds(15.0))
        traffic = Traffic(broker.port, plan_of(1000, 1))
        traffic.begin(RATE, (2 * window_s + 6) * scale.rounds + window_s + 10)
        time.sleep(4)
        alone, looked = [], []
        for _ in range(scale.rounds):
            alone.append(_cpu(daemon, window_s))
            viewers = Viewers(url, VIEWERS, pause_s=2.0)
            time.sleep(1)
            looked.append(_cpu(daemon, window_s))
            viewers.close()
            time.sleep(1)
        wal_mb, asked = _wal(daemon, url, window_s)
        traffic.stop()
    ratio = [mine / other for mine, other in zip(looked, alone, strict=True)]
    note = f"daemon's processor time at {RATE:,.0f} readings/s, {VIEWERS} pages open / nobody"
    note += f"; of a core {statistics.median(alone):.2f} alone"
    wal_note = f"largest WAL under {asked:,} questions without a pause"
    return [
        Result("console_viewers_cpu", "×", ratio, bound=Bound("≤", 1.05), note=note),
        Result("console_wal_mb", "MB", [wal_mb], bound=Bound("≤", 64.0), note=wal_note),
    ]


def _cpu(daemon: DaemonRun, seconds: float) -> float:
    """Processor time a second."""
    before, began = daemon.meter.cpu_s, time.monotonic()
    time.sleep(seconds)
    return (daemon.meter.cpu_s - before) / (time.monotonic() - began)


def _wal(daemon: DaemonRun, url: str, seconds: float) -> tuple[float, int]:
    """MB at most, and how many questions were asked meanwhile."""
    file = daemon.config.parent / "state" / "ledger.sqlite-wal"
    viewers, most, until = Viewers(url, VIEWERS, pause_s=0.0), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError):
            most = max(most, file.stat().st_size)
        time.sleep(0.05)
    viewers.close()
    return most / 1e6, viewers.asked

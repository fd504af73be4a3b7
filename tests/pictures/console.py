"""`python -m pictures.console docs/images`: the console's pictures, of the demo's plant at work with its faults.

A second folder gets every view as well, light, dark and on a phone, full and with nothing to show: to be looked at.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page

from console.browsing import chromium, page_of
from console.serving import Served, served
from console.test_guard import TOKEN, WRITE
from gaugecast.demo.tanks import FLEET, fault_schedule
from gaugecast_sim.link import PublishLink
from gaugecast_sim.publish import publish_in_time
from gaugecast_sim.samples import Sample
from pictures.run import shipped_model
from support.daemon import DaemonProcess
from support.demo_plant import config, said, stuck, write_past
from support.mosquitto import Mosquitto, run_mosquitto, wait_until

STEPS, TANKS = 600, 5
WRONG, WAS_WRONG = "tank-02", "tank-05"
SCREEN, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
COLOURS = 128  # a third of the bytes, and nobody sees it
STREAM = f"/stream?fleet={FLEET}&stream={WRONG}&feature="
VIEWS = {
    "overview": "/", "streams": "/streams", "stream": f"{STREAM}pressure", "events": "/events", "models": "/models",
    "refused": "/refused", "config": "/config",
}  # fmt: skip


class Stage(NamedTuple):
    """What runs: a console with its daemon and its sensors, and one that has nothing."""

    console: Served
    empty: Served
    locked: Served


@contextmanager
def staged(place: Path) -> Iterator[Stage]:
    """Some minutes of the plant's past, and it speaks on, until something is wrong."""
    with ExitStack() as stack:
        broker = stack.enter_context(run_mosquitto(place / "broker"))
        daemon = DaemonProcess(place / "daemon", config(broker.port))
        begin_ns = time.time_ns() - STEPS * 500_000_000
        troubles = fault_schedule(5, tanks=TANKS, start_ns=begin_ns, until_s=STEPS / 2 - 30)
        faults = [*troubles, stuck(WAS_WRONG, 250, 70), stuck(WRONG, -60, 10_000)]
        samples = said(STEPS, tanks=TANKS, faults=faults, ahead=None)
        write_past(daemon, upto_now(samples), [shipped_model()])
        daemon.start()
        stack.callback(daemon.kill)
        _speak(stack, broker, samples)
        empty = DaemonProcess(place / "empty", config(broker.port))
        yield Stage(
            stack.enter_context(served(daemon.config_path, daemon.state, None, WRITE)),
            stack.enter_context(served(empty.config_path, empty.state)),
            stack.enter_context(served(daemon.config_path, daemon.state, TOKEN)),
        )


def upto_now(samples: Iterator[Sample]) -> Iterator[Sample]:
    """Those whose time has come, however long their taking lasts."""
    for one in samples:
        yield one
        if one.at_ns > time.time_ns():
            return


def _speak(stack: ExitStack, broker: Mosquitto, samples: Iterator[Sample]) -> None:
    link, stop = stack.enter_context(PublishLink("127.0.0.1", broker.port)), threading.Event()
    thread = threading.Thread(target=publish_in_time, args=(samples, link), kwargs={"stop": stop}, name="tanks")
    stack.callback(thread.join)
    stack.callback(stop.set)
    thread.start()


class Camera:
    """Takes pictures of one console."""

    def __init__(self, browser: Browser, console: Served, folder: Path) -> None:
        self._browser, self._console, self._folder = browser, console, folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def look(self, path: str, *, write: bool = False, **settings: Any) -> Iterator[Page]:
        """A page, when it has come to rest."""
        settings = {"viewport": SCREEN, "color_scheme": "light", "locale": "en-GB", "timezone_id": "UTC", **settings}
        with page_of(self._browser, self._console.url, **settings) as page:
            if write:
                page.request.post(f"{self._console.url}/login", data=WRITE)
            page.goto(self._console.url + path)
            page.wait_for_timeout(4000)  # for the pictures in it
            yield page

    def shoot(self, page: Page, name: str, *, whole: bool = False) -> None:
        """As it is now; `whole` = all that one could scroll to."""
        page.mouse.move(0, 0)
        taken = Image.open(BytesIO(page.screenshot(full_page=whole))).convert("RGB")
        taken.quantize(COLOURS, dither=Image.Dither.NONE).save(self._folder / f"{name}.png", optimize=True)


def of_the_pages(camera: Camera, console: Served) -> None:
    """Those that the documentation shows."""
    with camera.look(f"{STREAM}pressure") as page:
        camera.shoot(page, "console-stream")
    with camera.look("/", color_scheme="dark", viewport={"width": 1280, "height": 960}) as page:
        camera.shoot(page, "console-overview")
    with camera.look("/events", viewport={"width": 1280, "height": 640}) as page:
        camera.shoot(page, "console-events")
    with camera.look("/streams", color_scheme="dark", viewport=PHONE, device_scale_factor=2) as page:
        camera.shoot(page, "console-phone")
    with camera.look(f"/stream?fleet={FLEET}&stream=tank-03&feature=pressure&{_stretch()}") as page:
        page.get_by_role("button", name="As it was forecast then").click()
        page.locator(".then-note", has_text="published").wait_for(timeout=90_000)
        camera.shoot(page, "console-then")
    (event, *_) = wait_until(
        lambda: console.ask("events", state="open", kind="anomaly", stream=WRONG)["rows"],
        what="an alarm",
        deadline_s=120,
    )
    with camera.look(f"{STREAM}temperature&why={event['alarm_s']}", viewport={"width": 1280, "height": 900}) as page:
        page.locator(".why-held").wait_for(timeout=90_000)
        page.locator(".why-held").scroll_into_view_if_needed()
        page.locator("section[aria-label=Why]").evaluate("one => scrollBy(0, one.getBoundingClientRect().top - 300)")
        page.wait_for_timeout(300)
        camera.shoot(page, "console-why")


def _stretch() -> str:
    now_s = time.time()
    return f"from={now_s - 150:.1f}&to={now_s - 60:.1f}"


def of_every_view(camera: Camera, name: str) -> None:
    """Light, dark, and on a phone."""
    looks: dict[str, dict[str, Any]] = {
        "light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": PHONE, "color_scheme": "dark"},
    }  # fmt: skip
    for look, settings in looks.items():
        for view, path in {**VIEWS, "why": f"{STREAM}temperature&why={time.time() - 4:.1f}"}.items():
            with camera.look(path, write=name == "full", **settings) as page:
                camera.shoot(page, f"{name}-{view}-{look}", whole=view not in ("streams",))


def main(folder: Path, all_of_them: Path | None = None) -> None:
    """Two minutes."""
    with tempfile.TemporaryDirectory() as place, chromium() as browser, staged(Path(place)) as stage:
        of_the_pages(Camera(browser, stage.console, folder), stage.console)
        if all_of_them is not None:
            of_every_view(Camera(browser, stage.console, all_of_them), "full")
            of_every_view(Camera(browser, stage.empty, all_of_them), "empty")
            camera = Camera(browser, stage.locked, all_of_them)
            with camera.look("/login") as page:
                camera.shoot(page, "login")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

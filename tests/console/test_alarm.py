"""An alarm from the page: why it is one, that somebody knows of it, and that it makes no noise meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from console.browsing import page_of, serious
from console.serving import Served, served
from console.test_guard import WRITE, bearer
from support.daemon import DaemonProcess
from support.demo_plant import config, said, stuck, write_past
from support.mosquitto import Mosquitto, wait_until

TANK = "tank-01"


@pytest.fixture(scope="module")
def alarmed(broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """The demo's plant, of which one temperature stands still."""
    made = DaemonProcess(tmp_path_factory.mktemp("alarmed"), config(broker.port))
    write_past(made, said(150, tanks=1, faults=[stuck(TANK, 40, 1000)]))
    try:
        made.start()
        yield made
    finally:
        if made.running:
            made.kill()


@pytest.fixture(scope="module")
def writable(alarmed: DaemonProcess) -> Iterator[Served]:
    """Its console, for whoever has the token."""
    with served(alarmed.config_path, alarmed.state, None, WRITE) as made:
        yield made


def sign_in(page: Page, url: str) -> None:
    """As whoever may change something."""
    page.goto(f"{url}/login")
    page.get_by_label("Token").fill(WRITE)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_why_it_alarmed_is_told_acknowledged_and_silenced(browser: Browser, writable: Served) -> None:
    """From the event to the reason, the scores and the steps; it is known then, and silent; another point; closed."""
    (event,) = writable.ask("events", state="open", kind="anomaly")["rows"]
    names = {"fleet": event["fleet"], "stream": event["stream"]}
    known = writable.ask("explain", **names, at_s=event["alarm_s"], steps=1)["moments"][0]
    assert known["told"] == ["begin"]
    with page_of(browser, writable.url, viewport={"width": 1280, "height": 900}) as page:
        sign_in(page, writable.url)
        page.goto(f"{writable.url}/events")
        line = page.locator("li", has=page.get_by_role("button", name="Silence"))
        line.get_by_role("button", name="Acknowledge").click()
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        expect(page.locator(".toast")).to_have_text(f"{TANK}: the anomaly is acknowledged")
        expect(line.get_by_text("acknowledged", exact=True)).to_be_visible()
        line.get_by_role("button", name="Silence").click()
        page.get_by_label("Hours").fill("0,5")
        page.get_by_role("dialog").get_by_role("button", name="Silence").click()
        expect(line.locator(".state")).to_have_text("silenced")
        line.locator("a.event").click()
        why = page.locator("section[aria-label=Why]")
        expect(why.locator(".why-reason")).to_contain_text(known["reason"])
        expect(why).to_contain_text("An anomaly began with it.")
        expect(why).to_contain_text("byte for byte as published")
        expect(why.get_by_role("row", name="temperature").first).to_contain_text("°C")
        expect(why.get_by_role("columnheader", name="stuck")).to_be_visible()
        assert serious(page) == []
        why.get_by_text("steps up to then").click()
        expect(why.get_by_role("region", name="Steps")).to_be_visible()
        assert f"why={int(event['alarm_s'])}" in page.url
        page.locator(".u-over").first.click(position={"x": 200, "y": 60})
        expect(why).not_to_contain_text("An anomaly began with it.")
        page.keyboard.press("Escape")
        expect(why).to_be_hidden()
        page.keyboard.press("e")
        expect(why).to_contain_text("byte for byte as published")
    told = writable.ask("stream", **names)["rows"][0]
    assert told["anomaly"]["acknowledged"]
    assert told["silenced_until_s"] is not None


def test_a_silence_that_is_ended_is_an_alarm_again(writable: Served) -> None:
    """0 hours end it; what is open is told as before, and both are in the ledger."""
    names = {"fleet": "demo-tanks", "stream": TANK}

    def silent() -> bool:
        return bool(writable.ask("events", state="open", kind="anomaly")["rows"][0]["severity"] == "silenced")

    assert writable.post("streams/silence", {**names, "for_s": 60.0}, bearer(WRITE)).status == 200
    wait_until(silent, what="an event that makes no noise")
    assert writable.post("streams/silence", {**names, "for_s": 0.0}, bearer(WRITE)).status == 200
    wait_until(lambda: not silent(), what="an event that is an alarm")

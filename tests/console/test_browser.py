"""The pages in a real Chromium: what is shown, what lives, what is said when something is away."""

from __future__ import annotations

import json
import time

import pytest
from playwright.sync_api import Browser, expect

from console.browsing import page_of, serious
from console.conftest import STEPS
from console.serving import T0, Served, served
from console.test_guard import TOKEN, WRITE, bearer
from gaugecast.console.views import World
from support.daemon import DaemonProcess
from support.mosquitto import RawClient

VIEWS = {
    "/": "Worst surprises", "/streams": "t2", "/stream?fleet=tanks&stream=t1&feature=level": "had been expected",
    "/models": "kept", "/events": "anomalies", "/refused": "out_of_range", "/config": "name or address of the broker",
}  # fmt: skip


@pytest.mark.parametrize(
    ("scheme", "by_axe"),
    [("light", False), *(pytest.param(scheme, True, marks=pytest.mark.long) for scheme in ("light", "dark"))],
)
def test_every_view_shows_what_it_is_for(scheme: str, by_axe: bool, browser: Browser, console: Served) -> None:
    """By clicking through, on a screen and on a phone, without an error, and from no other host; axe takes it long."""
    size = {"light": (1280, 800), "dark": (390, 844)}[scheme]
    settings = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme}
    with page_of(browser, console.url, **settings) as page:
        for path, words in VIEWS.items():
            page.goto(console.url + path)
            expect(page.get_by_text(words).first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"{path} is wider than the screen"
            )
            if by_axe:
                assert serious(page) == [], path
        page.goto(console.url)
        page.get_by_role("link", name="Streams", exact=True).click()
        page.locator("a.line").first.click()
        expect(page.locator(".u-over").first).to_be_visible()
        page.go_back()
        expect(page.locator("a.line").first).to_be_visible()
        if size[0] < 500:  # there is no room for it beside the views
            page.get_by_role("link", name="Configuration").click()
        page.get_by_role("link", name="Documentation", exact=True).click()
        expect(page).to_have_url(f"{console.url}/docs/")


def test_a_new_reading_is_seen_at_once(
    browser: Browser, console: Served, daemon: DaemonProcess, sensors: RawClient
) -> None:
    """Figures and chart follow the stream; nobody asks the page to."""
    with page_of(browser, console.url) as page:
        page.goto(f"{console.url}/stream?fleet=tanks&stream=t0&feature=level")
        expect(page.locator(".readout")).to_contain_text("readings")
        for step, value in ((STEPS, 41.25), (STEPS + 1, 42.5)):
            sensors.publish([("plant/t0", json.dumps({"t": T0 + step, "level": value, "flow": 1}).encode())])
            expect(page.locator(".figure strong").first).to_have_text(f"{value:.2f} m")
        assert daemon.running


@pytest.mark.long
def test_the_past_is_looked_at_and_left_again(browser: Browser, console: Served) -> None:
    """Keys go back and forth and closer; L is live."""
    with page_of(browser, console.url) as page:
        page.goto(f"{console.url}/stream?fleet=tanks&stream=t1&feature=level")
        live = page.get_by_role("button", name="Live")
        expect(page.locator(".readout")).to_contain_text("The last")
        page.keyboard.press("ArrowLeft")
        expect(live).to_have_attribute("aria-pressed", "false")
        expect(page.locator(".readout")).to_contain_text(" to ")
        page.keyboard.press("l")
        expect(live).to_have_attribute("aria-pressed", "true")


@pytest.mark.long
def test_streams_are_searched_and_what_was_refused_is_tried(browser: Browser, console: Served) -> None:
    """A word leaves the rows that have it; the button carries topic and payload to the tester."""
    with page_of(browser, console.url) as page:
        page.goto(f"{console.url}/streams")
        page.keyboard.press("/")
        page.keyboard.type("t1 flow")
        expect(page.locator("a.line")).to_have_count(1)
        page.goto(f"{console.url}/refused?reason=not_json")
        page.get_by_role("button", name="Try").first.click()
        expect(page.locator(".verdict")).to_contain_text("Refused, not_json")


def test_the_page_outlives_daemon_and_console(browser: Browser, daemon: DaemonProcess, sensors: RawClient) -> None:
    """Each away is said, with what still holds; each back is noticed, and the stream lives on."""
    with served(daemon.config_path, daemon.state) as console, page_of(browser, console.url) as page:
        page.goto(f"{console.url}/stream?fleet=tanks&stream=t0&feature=level")
        banner, observed = page.locator(".banner"), page.locator(".figure strong").first
        expect(observed).to_contain_text("m")
        assert daemon.stop() == 0
        expect(banner).to_contain_text("The daemon does not answer")
        expect(page.locator(".u-over").first).to_be_visible()
        daemon.start()
        expect(banner).to_be_hidden()
        sensors.publish([("plant/t0", json.dumps({"t": T0 + STEPS + 5, "level": 31.5, "flow": 1}).encode())])
        expect(observed).to_have_text("31.50 m")
        console.restart()
        expect(banner).to_be_hidden()
        sensors.publish([("plant/t0", json.dumps({"t": T0 + STEPS + 6, "level": 32.5, "flow": 1}).encode())])
        expect(observed).to_have_text("32.50 m")


@pytest.mark.long
def test_nothing_to_show_is_said(
    browser: Browser, daemon: DaemonProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No daemon, no ledger: every view has a sentence where its content would be."""
    empty = tmp_path_factory.mktemp("empty")
    told = {
        "/": "The daemon does not answer", "/streams": "Streams are not known now", "/models": "not known",
        "/refused": "Not known now",
        "/stream?fleet=tanks&stream=t1&feature=level": "The past is not known now", "/stream": "No stream is named",
        "/config": "name or address of the broker",
    }  # fmt: skip
    with served(daemon.config_path, empty) as console, page_of(browser, console.url) as page:
        for path, words in told.items():
            page.goto(console.url + path)
            expect(
                page.locator("main").get_by_text(words).or_(page.locator(".banner", has_text=words)).first
            ).to_be_visible()
    with served(daemon.config_path, daemon.state) as console, page_of(browser, console.url) as page:
        page.goto(f"{console.url}/stream?fleet=tanks&stream=none&feature=level")
        expect(page.get_by_text("Nothing was observed yet")).to_be_visible()


def test_the_token_is_asked_for_refused_and_taken(browser: Browser, daemon: DaemonProcess) -> None:
    """A wrong one is said to be wrong; the right one opens, and stays out of addresses and of scripts' reach."""
    with served(daemon.config_path, daemon.state, TOKEN) as console, page_of(browser, console.url) as page:
        page.goto(f"{console.url}/streams")
        expect(page).to_have_url(f"{console.url}/login")
        page.get_by_label("Token").fill("wrong-wrong-wrong-wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("This is not the token.")).to_be_visible()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("Worst surprises")).to_be_visible()
        assert TOKEN not in page.url
        assert page.evaluate("document.cookie") == ""
        assert page.context.cookies()[0]["sameSite"] == "Strict"


@pytest.mark.long
def test_ten_thousand_streams_are_a_screenful_of_rows(
    browser: Browser, daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far one scrolls, at most a hundred rows are in the page, and the last is reached."""
    from gaugecast.console.shapes import Cell

    cells = [
        Cell(fleet="tanks", stream=f"s{n:05}", feature="level", unit="m", step=1, at_s=time.time(), observed=float(n))
        for n in range(10_000)
    ]
    monkeypatch.setattr(World, "cells", lambda _: cells)
    with served(daemon.config_path, daemon.state) as console, page_of(browser, console.url) as page:
        page.goto(f"{console.url}/streams")
        expect(page.locator("a.line").first).to_contain_text("s00000")
        for share in (0.3, 0.7, 1.0):
            page.evaluate(
                "share => { const e = document.querySelector('.grid-scroll'); e.scrollTop = share * e.scrollHeight; }",
                share,
            )
            expect(page.locator("a.line").nth(10)).to_be_attached()
            assert page.locator(".line").count() <= 100
        expect(page.locator("a.line").last).to_contain_text("s09999")


@pytest.mark.long
def test_whoever_may_write_is_asked_before_anything_changes(
    browser: Browser, daemon: DaemonProcess, sensors: RawClient
) -> None:
    """No buttons for those who look; a dialog that Escape closes; Yes does it, and says so; signing out ends it."""
    sensors.publish([("plant/odd", json.dumps({"t": T0, "level": 1.5, "flow": 1}).encode())])
    with served(daemon.config_path, daemon.state, None, WRITE) as console, page_of(browser, console.url) as page:
        page.goto(f"{console.url}/models")
        expect(page.get_by_text("kept")).to_be_visible()
        assert page.get_by_role("button", name="trial").count() == 0
        page.get_by_role("link", name="Give the token").click()
        expect(page.get_by_label("Token")).to_be_visible()
        assert serious(page) == []
        page.get_by_label("Token").fill(WRITE)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()  # the answer leads elsewhere by itself
        page.goto(f"{console.url}/models")
        page.get_by_role("button", name="trial").click()
        expect(page.get_by_role("dialog")).to_contain_text("on trial?")
        assert serious(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.goto(f"{console.url}/stream?fleet=tanks&stream=odd&feature=level")
        page.get_by_role("button", name="Rename").click()
        page.get_by_label("New id").fill("even")
        page.get_by_role("dialog").get_by_role("button", name="Rename").click()
        expect(page.locator(".toast")).to_have_text("odd goes on as even")
        expect(page.locator("h1")).to_have_text("even")
        page.get_by_role("button", name="Forget").click()
        page.get_by_role("dialog").get_by_role("button", name="Forget").click()
        expect(page).to_have_url(f"{console.url}/streams")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("Worst surprises")).to_be_visible()
        assert page.context.cookies() == []


@pytest.mark.long
def test_the_past_is_shown_as_it_was_forecast_then(browser: Browser, console: Served) -> None:
    """At a press: path and intervals of the time that is looked at, and whether they are what was published."""
    with page_of(browser, console.url) as page:
        page.goto(f"{console.url}/stream?fleet=tanks&stream=t1&feature=level&from={T0 + 20}&to={T0 + 50}")
        expect(page.locator(".readout")).to_contain_text(" to ")
        page.get_by_role("button", name="As it was forecast then").click()
        expect(page.locator(".then-note")).to_contain_text("byte for byte as published")
        page.keyboard.press("l")
        expect(page.locator(".then-note")).to_have_count(0)


@pytest.mark.long
def test_events_lead_to_their_stream(browser: Browser, daemon: DaemonProcess, sensors: RawClient) -> None:
    """A reading beyond the threshold is an event; it is found by kind, and opens its stream, where it is drawn."""
    sensors.publish(
        [("plant/full", json.dumps({"t": T0 + i, "level": 8 + i / 2, "flow": 1}).encode()) for i in range(5)]
    )
    with served(daemon.config_path, daemon.state, None, WRITE) as console, page_of(browser, console.url) as page:
        page.goto(f"{console.url}/events")
        page.get_by_role("button", name="crossings").click()
        line = page.locator("a.event", has_text="full")
        expect(line).to_contain_text("level is above 9 m")
        line.click()
        expect(page.locator("h1")).to_have_text("full")
        expect(page.locator(".card", has_text="Events here")).to_be_visible()
        assert console.post("streams/forget", {"fleet": "tanks", "stream": "full"}, bearer(WRITE)).status == 200

"""The documentation as the console serves it: under its policy, with its search, from no other host."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from console.browsing import page_of
from console.serving import Served
from documented import FATE, PAGES, ROOT, commands, fate_of
from gaugecast.console.manual import DOCS, manual_route

BUILT = (DOCS / "index.html").is_file()
needs_site = pytest.mark.skipif(not BUILT and "CI" not in os.environ, reason="the site is not built: make docs")
MOST_BYTES = 5_000_000


def test_without_the_site_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    """An installation from a checkout in which nobody built it."""
    answer = TestClient(Starlette(routes=[manual_route(tmp_path)])).get("/docs/start.html")

    assert answer.status_code == 404
    assert "make docs" in answer.text


@needs_site
def test_every_page_of_the_sources_is_in_the_site_and_all_of_it_is_small() -> None:
    """The strict build sees to their places in the navigation."""
    sources = {
        str(place.relative_to(ROOT / "docs").with_suffix(".html"))
        for place in PAGES
        if place.is_relative_to(ROOT / "docs")
    }
    pages = {str(place.relative_to(DOCS)) for place in DOCS.rglob("*.html")}

    assert pages == sources | {"contributing.html", "changelog.html"}
    assert sum(place.stat().st_size for place in DOCS.rglob("*") if place.is_file()) <= MOST_BYTES


@needs_site
def test_nothing_in_the_site_is_inline_or_from_another_host() -> None:
    """What the policy would forbid is not there; links of the text may lead elsewhere, what is loaded may not."""
    for place in DOCS.rglob("*.html"):
        text = place.read_text()
        assert re.findall(r"<script(?![^>]* src=)(?![^>]*application/json)", text) == [], place
        assert not re.search(r"<style\b|<[^<>]* style=|<[^<>]* on[a-z]+=\"", text), place
        assert re.findall(r'<(?:script|link|img|iframe)[^>]* (?:src|href)="(?:https?:)?//[^"]*', text) == [], place


@needs_site
@pytest.mark.parametrize("path", ["/docs/", "/docs/assets/gaugecast.css", "/docs/reference/none.html"])
def test_the_site_is_served_with_the_headers_of_the_console(path: str, console: Served) -> None:
    """Files are asked for again only if they have changed; what is not there leads to the front page."""
    answer = console.get(path)

    assert (answer.status, answer.headers.get("location")) == ((303, "/docs/") if "none" in path else (200, None))
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-cache"


@needs_site
def test_a_reader_finds_a_page_by_its_words(browser: Browser, console: Served) -> None:
    """In Chromium, under the policy: front page, search, a page with a picture of a run, light to dark."""
    with page_of(browser, console.url, viewport={"width": 1280, "height": 800}) as page:
        page.goto(f"{console.url}/docs/")
        expect(page.get_by_role("heading", name="gaugecast", exact=False).first).to_be_visible()
        page.get_by_role("button", name="Search").first.click()
        page.keyboard.type("max_queued_messages")
        found = page.get_by_role("option", name="What the broker must hold while we are away").first
        expect(found).to_be_visible()
        found.click()
        expect(page.locator("article")).to_contain_text("max_queued_messages")
        page.goto(f"{console.url}/docs/concepts/warnings.html")
        picture = page.locator("img[src$='crossing.svg']")
        picture.scroll_into_view_if_needed()
        assert page.evaluate("document.querySelector(\"img[src$='crossing.svg']\").naturalWidth") > 0
        page.locator("label[for^=__palette]:visible").first.click()
        expect(page.locator("body")).to_have_attribute("data-md-color-scheme", re.compile("default|slate"))


def test_questions_that_the_page_of_the_api_shows_are_answered(console: Served) -> None:
    """Each `curl` of docs/api.md, of a stream that there is."""
    asked = [
        re.sub(r"^curl '?http://localhost:9465|'$", "", one.text)
        .replace("north/tank-7", "t1")
        .replace("pressure", "level")
        for one in commands()
        if (fate_of(one) or FATE[-1]).why.endswith("test_manual.py")
    ]

    assert len(asked) >= 3
    assert [console.get(path).status for path in asked] == [200] * len(asked)

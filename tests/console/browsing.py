"""Pages in a real Chromium: errors, requests to other hosts, and what axe calls serious are failures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)
#: Browsers write a line for each answer that is no success, however well the page takes it.
EXPECTED = "Failed to load resource"
#: A busy machine takes its time.
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, headless."""
    if CHROMIUM is None:
        pytest.fail("chromium expected, found none: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@contextmanager
def page_of(browser: Browser, url: str, **settings: object) -> Iterator[Page]:
    """A page, of which every error and every request to another host is a failure."""
    context = browser.new_context(**settings)  # type: ignore[arg-type]
    page, wrong = context.new_page(), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda said: wrong.append(said.text) if said.type == "error" and EXPECTED not in said.text else None
    )
    page.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else wrong.append(asked.url))
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()
    assert wrong == []


def serious(page: Page) -> list[str]:
    """What axe finds of the page as it is now, and calls serious or worse."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]

"""Writes dashboards/*.json beside this package; `--check` says whether they are what this code makes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gaugecast_dashboards import daemon, fleet, stream
from gaugecast_dashboards.parts import Page
from gaugecast_dashboards.rendering import render_page

PAGES: tuple[Page, ...] = (fleet.PAGE, stream.PAGE, daemon.PAGE)
FOLDER = Path(__file__).resolve().parents[1] / "dashboards"


def render_text(page: Page) -> str:
    """A dashboard's file."""
    return json.dumps(render_page(page), indent=1, ensure_ascii=False) + "\n"


def main(words: list[str]) -> int:
    """Write all; with `--check`, compare instead, 1 if any differs."""
    FOLDER.mkdir(exist_ok=True)
    differing = []
    for page in PAGES:
        place = FOLDER / f"{page.uid}.json"
        if words == ["--check"]:
            if not place.exists() or place.read_text() != render_text(page):
                differing.append(place.name)
        else:
            place.write_text(render_text(page))
    for name in differing:
        print(f"{name} is not what the code makes: python -m gaugecast_dashboards")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

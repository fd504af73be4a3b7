"""Build the documentation as a site: `python deploy/docs/build.py`, or `make docs`.

The pages are written so that they can be read in a checkout, too: they link to files beside docs/. So they are copied
first, with links as the site has them. And the site is served by the console, whose Content-Security-Policy knows no
inline script and no inline style: at the end these become files and classes. Whatever is wrong ends the build: a link
or an anchor that leads nowhere, a page without a place in the navigation, something inline that is left.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "mkdocs.yml"
#: As mkdocs.yml has them.
COPY, SITE = ROOT / "build" / "pages", ROOT / "daemon" / "gaugecast" / "console" / "docs"
#: Pages that lie beside docs/, by where they are in the site; for the README there is another page.
BESIDE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
FOR_README = "start.md"
SCRIPTS = "assets/javascripts/inline"
_UNUSED = ("sitemap.xml", "404.html", "objects.inv", "assets/stylesheets/modern")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r' style="text-align: ?(left|right|center);?"')
#: Where the theme's script writes a style into the page of its search; a sheet of a script's own is no inline style.
_SHEET = re.compile(r"(\w+)\.appendChild\(\w+\(\"style\",\{\},(\w+)\.toString\(\)\)\)")
_ADOPTED = r"{const sheet=new CSSStyleSheet();sheet.replaceSync(\2.toString());\1.adoptedStyleSheets=[sheet]}"
#: What the policy forbids.
INLINE = re.compile(r"<style\b[^>]*>|<[^<>]* style=|<[^<>]* on[a-z]+=\"|<script(?![^>]* src=)(?! id=\"__config\")")


def main() -> None:
    """Copy, build, mend.

    Raises:
        SystemExit: Something is wrong; there is no site then.
    """
    shutil.rmtree(SITE, ignore_errors=True)
    copy_pages(COPY)
    wrong = without_a_place(CONFIG.read_text(encoding="utf-8"), COPY)
    if not wrong:
        told = subprocess.run(
            [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict", "-f", CONFIG],
            cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False,
        )  # fmt: skip
        wrong = mend_site(SITE) if told.returncode == 0 else [told.stdout + told.stderr]
    if wrong:
        shutil.rmtree(SITE, ignore_errors=True)
        sys.exit("\n".join(wrong))


# -- before


def copy_pages(place: Path) -> None:
    """All pages and pictures, links as the site has them."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(ROOT / "docs", place, ignore=shutil.ignore_patterns("examples"))
    for name, source in BESIDE.items():
        shutil.copy(ROOT / source, place / name)
    for page in place.rglob("*.md"):
        page.write_text(mend_links(page.read_text(encoding="utf-8"), str(page.relative_to(place))), encoding="utf-8")


def mend_links(text: str, page: str) -> str:
    """Links to what lies beside docs/ lead to the site's page of it, or become words.

    Args:
        text: A page's Markdown.
        page: Where it is in the site, `decisions/0001-one-thread.md`.
    """
    source = ROOT / BESIDE[page] if page in BESIDE else ROOT / "docs" / page
    aside = {str(ROOT / name): place for place, name in BESIDE.items()}

    def mend(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        path, hash_, anchor = target.partition("#")
        if picture or not path or re.match(r"[a-z]+:", path):
            return found[0]
        leads_to = os.path.normpath(source.parent / path)
        if leads_to == str(ROOT / "README.md"):
            return f"[{words}]({os.path.relpath(FOR_README, Path(page).parent)})"
        inside = aside.get(leads_to, os.path.relpath(leads_to, ROOT / "docs"))
        if inside.startswith("..") or not inside.endswith(".md"):
            return words  # a file of the sources: its name is what there is to say
        return f"[{words}]({os.path.relpath(inside, Path(page).parent)}{hash_}{anchor})"

    return _outside_code(text, lambda part: _LINK.sub(mend, part))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts = re.split(r"(^```.*?^```|^(?: {4}[^\n]*\n)+)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if at % 2 else change(part) for at, part in enumerate(parts))


def without_a_place(config: str, pages: Path) -> list[str]:
    """Pages that the navigation lacks, and places in it without a page."""
    named = set(re.findall(r"^ +- (?:.*: )?([\w/-]+\.md)$", config.partition("\nnav:\n")[2], re.MULTILINE))
    there = {str(page.relative_to(pages)) for page in pages.rglob("*.md")}
    return [f"mkdocs.yml: expected a place below `nav` for {page}" for page in sorted(there - named)] + [
        f"mkdocs.yml: expected a page, found none: {page}" for page in sorted(named - there)
    ]


# -- after


def mend_site(site: Path) -> list[str]:
    """Nothing inline is left, and nothing that no page asks for; what could not be mended."""
    kept: dict[str, str] = {}
    wrong = adopt_sheets(site)
    for name in _UNUSED:
        place = site / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    for place in site.rglob("*.html"):
        depth = len(place.relative_to(site).parents) - 1
        html = take_out(place.read_text(encoding="utf-8"), depth=depth, kept=kept)
        place.write_text(html, encoding="utf-8")
        wrong += [f"{place.relative_to(site)}: the console's policy forbids {one}" for one in INLINE.findall(html)]
    for name, script in kept.items():
        (site / name).write_text(script, encoding="utf-8")
    return wrong


def adopt_sheets(site: Path) -> list[str]:
    """The search has its style in a way that the policy allows; a complaint if the theme's script is another now."""
    (script,) = site.glob("assets/javascripts/bundle.*.js")
    text, found = _SHEET.subn(_ADOPTED, script.read_text(encoding="utf-8"))
    script.write_text(text, encoding="utf-8")
    return [] if found == 1 else [f"{script.name}: expected one inline style of the search, found {found}"]


def take_out(html: str, *, depth: int, kept: dict[str, str]) -> str:
    """A page without inline scripts and styles.

    Args:
        html: The page.
        depth: Folders between the site and the page.
        kept: The scripts, by their name in the site; some are added.
    """

    def keep(found: re.Match[str]) -> str:
        script = found[1]
        name = f"{SCRIPTS}.{hashlib.sha256(script.encode()).hexdigest()[:12]}.js"
        kept[name] = script
        return f'<script src="{"../" * depth}{name}"></script>'

    return _STYLE.sub(r' class="to-\1"', _SCRIPT.sub(keep, html))


if __name__ == "__main__":
    main()

"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml).

Pages are written so that they can be read in a checkout, too: they link to files beside docs/. And the site is served
by the console, whose Content-Security-Policy knows no inline script and no inline style: they become files and classes.
Whatever cannot be mended is a warning, which the strict build takes for an error.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
#: Pages that lie beside docs/, by where they are in the site.
BESIDE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "readme.md": "README.md"}
#: The front page says what the README does.
_INSTEAD = {"readme.md": "start.md"}
SCRIPTS = "assets/javascripts/inline"
#: Of what the theme brings, that which no page of ours needs.
_UNUSED = ("sitemap.xml", "sitemap.xml.gz", "404.html", "assets/javascripts/lunr", "assets/images/favicon.png")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r' style="text-align: ?(left|right|center);?"')
_INLINE = re.compile(r"<style\b|<[^<>]* style=|<[^<>]* on[a-z]+=|<script(?![^>]* src=)(?! id=\"__config\")")

log = logging.getLogger("mkdocs.hooks.gaugecast")
_inline: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Those beside docs/ are pages, too."""
    from mkdocs.structure.files import File

    for name, source in BESIDE.items():
        if name not in _INSTEAD:
            files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Links to what lies beside docs/ lead to the site's page of it, or become words."""
    return mend_links(markdown, page.file.src_uri)


def mend_links(text: str, page: str) -> str:
    """Links as the site has them.

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
        if leads_to in aside:
            place = aside[leads_to]
            return f"[{words}]({_relative(_INSTEAD.get(place, place), page)}{'' if place in _INSTEAD else hash_ + anchor})"
        inside = os.path.relpath(leads_to, ROOT / "docs")
        if inside.startswith("..") or not inside.endswith(".md"):
            return words  # a file of the sources: its name is what there is to say
        return f"[{words}]({_relative(inside, page)}{hash_}{anchor})"

    return _outside_code(text, lambda part: _LINK.sub(mend, part))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts = re.split(r"(^```.*?^```|^(?: {4}[^\n]*\n)+)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if at % 2 else change(part) for at, part in enumerate(parts))


def _relative(place: str, page: str) -> str:
    return os.path.relpath(place, Path(page).parent)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """Nothing inline is left."""
    html = take_out(output, depth=page.url.count("/"), kept=_inline)
    for wrong in _INLINE.findall(html):
        log.warning("%s: the console's policy forbids %r", page.file.src_uri, wrong)
    return html


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


def on_post_build(config: MkDocsConfig) -> None:
    """The scripts become files; what nobody asks for goes."""
    site = Path(config.site_dir)
    for name, script in _inline.items():
        (site / name).write_text(script, encoding="utf-8")
    for name in _UNUSED:
        place = site / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    for place in site.rglob("*.map"):
        place.unlink()

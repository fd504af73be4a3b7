"""The documentation beside the console: a site that `make docs` builds, and that the wheel carries."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

PATH = "/docs"
DOCS = Path(__file__).resolve().parent / "docs"
_ABSENT = (
    "The documentation is not in this installation. In a checkout of the sources its pages lie in docs/, and\n"
    "`make docs` puts the site here; wheels and packages of a release have it.\n"
)


def manual_route(folder: Path = DOCS) -> BaseRoute:
    """Where the documentation is asked for; without one, it is said how to get it."""
    if (folder / "index.html").is_file():
        return Mount(PATH, StaticFiles(directory=folder, html=True))
    return Mount(PATH, routes=[Route("/{rest:path}", _absent)])


def is_within(path: str) -> bool:
    """Whether a path belongs to the documentation."""
    return path == PATH or path.startswith(PATH + "/")


def to_front(_: Request) -> Response:
    """A page that there is not: the front page has the search."""
    return RedirectResponse(PATH + "/", 303)


async def _absent(_: Request) -> Response:
    return PlainTextResponse(_ABSENT, 404)

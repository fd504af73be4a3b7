"""The console's routes: pages, the API, the token's form."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_origin

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gaugecast.console.answers import answer, fault, status_of
from gaugecast.console.endpoints import ENDPOINTS, PREFIX, WRITING, Endpoint
from gaugecast.console.guard import COOKIE, Guard, Keys, Rights
from gaugecast.console.live import Live
from gaugecast.console.manual import is_within, manual_route, to_front
from gaugecast.console.openapi import document
from gaugecast.console.shapes import AccessView
from gaugecast.console.views import World
from gaugecast.errors import GaugecastError
from gaugecast.logs import get

STATIC = Path(__file__).resolve().parent / "static"
MOST_BYTES = 1 << 20  # of a body
#: Paths of the page itself: what is shown is decided in the browser.
_PAGES = ("/", "/streams", "/stream", "/models", "/events", "/refused", "/config")
_WRONG_TOKEN_S = 0.5

log = get("gaugecast.console")


def make_app(world: World, keys: Keys, hosts: Collection[str] = ()) -> Starlette:
    """The application.

    Args:
        world: What it tells of.
        keys: Who may look, and who may change something.
        hosts: Names under which a proxy serves it.
    """
    live = Live(world)
    routes = [Route(PREFIX + one.path, _acting(world, one), methods=[one.method]) for one in ENDPOINTS]
    described = msgspec.json.encode(document())
    routes += [
        Route(f"{PREFIX}/live", live.answer),
        Route(f"{PREFIX}/access", _access(keys)),
        Route(f"{PREFIX}/openapi.json", lambda _: Response(described, media_type="application/json")),
        Route("/login", _login_page, methods=["GET"]),
        Route("/login", _login(keys), methods=["POST"]),
        Route("/logout", _logout, methods=["POST"]),
        Route("/healthz", lambda _: answer({"ok": True})),
        *(Route(path, _page) for path in _PAGES),
    ]
    static = Mount("/static", StaticFiles(directory=STATIC))
    guard = Middleware(Guard, keys=keys, writing=WRITING, hosts=hosts)
    middleware = [guard, Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)]
    app = Starlette(
        routes=[*routes, static, manual_route()],
        middleware=middleware,
        exception_handlers={404: _missing, 405: _missing, 500: _broken},
    )
    app.state.live = live  # whoever ends the server lets its listeners go
    return app


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _login_page(_: Request) -> Response:
    return FileResponse(STATIC / "login.html")


def _login(keys: Keys) -> Any:
    async def act(request: Request) -> Response:
        """The token comes in the body, and goes back as a cookie that scripts cannot read and others cannot send."""
        given = (await _body(request)).decode(errors="replace")
        cookie = keys.cookie_for(given)
        if cookie is None:
            await run_in_threadpool(time.sleep, _WRONG_TOKEN_S)  # whoever guesses guesses slowly
            return fault(401, "This is not the token.")
        response = answer({"ok": True})
        secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure, path="/")
        return response

    return act


async def _logout(_: Request) -> Response:
    """The browser forgets its cookie."""
    response = answer({"ok": True})
    response.delete_cookie(COOKIE, path="/")
    return response


def _access(keys: Keys) -> Any:
    async def act(request: Request) -> Response:
        """What this viewer may do."""
        rights = keys.rights(request.headers)
        return answer(AccessView(may_write=rights is Rights.WRITE, can_write=keys.can_write))

    return act


async def _body(request: Request) -> bytes:
    """At most `MOST_BYTES` of it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            break
    return bytes(body)


def _acting(world: World, one: Endpoint) -> Any:
    async def act(request: Request) -> Response:
        try:
            if one.method == "POST":
                if not request.headers.get("content-type", "").startswith("application/json"):
                    return fault(400, "expected Content-Type: application/json")
                asked = msgspec.json.decode(await _body(request), type=one.asked)
            else:
                asked = query_of(request, one.asked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            return fault(400, str(exc))
        except ClientDisconnect:
            return fault(400, "the body ended early")
        if one.writes:
            who = request.client.host if request.client else ""
            log.info("asked to change", what=one.path.strip("/"), asked=msgspec.to_builtins(asked), by=who)
        try:
            return answer(await run_in_threadpool(one.act, world, asked))
        except GaugecastError as exc:
            return fault(status_of(exc), str(exc))

    return act


def query_of(request: Request, kind: type[msgspec.Struct]) -> Any:
    """A request's parameters.

    Raises:
        msgspec.ValidationError: They are not what is expected.
    """
    given: dict[str, Any] = {}
    lists = {field.name for field in msgspec.structs.fields(kind) if _is_list(field.type)}
    for name, value in request.query_params.multi_items():
        if name in lists:
            given.setdefault(name, []).append(value)
        elif value != "":
            given[name] = value
    return msgspec.convert(given, kind, strict=False)


def _is_list(kind: Any) -> bool:
    inner = getattr(kind, "__origin__", kind)
    return inner is list or get_origin(inner) is list


async def _missing(request: Request, exc: Any) -> Response:
    if request.url.path.startswith("/api/"):
        return fault(
            exc.status_code, f"{request.method} {request.url.path}: no such question; see {PREFIX}/openapi.json"
        )
    if is_within(request.url.path) and request.method == "GET":
        return to_front(request)
    return (
        RedirectResponse("/", 303)
        if exc.status_code == 404 and request.method == "GET"
        else fault(exc.status_code, "no")
    )


async def _broken(request: Request, exc: Exception) -> Response:
    """A defect of ours: it is written down, and the page says so."""
    log.error("defect", path=request.url.path, exc_info=exc)
    return fault(500, f"a defect of the console: {type(exc).__name__}; its log has more")

"""Who may look and who may change: tokens, the host that was asked for, and the headers that keep a page what it is."""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gaugecast.config.addresses import is_this_machine
from gaugecast.console.answers import fault
from gaugecast.errors import ConfigError

COOKIE = "gaugecast"
LEAST_LENGTH = 16
#: What is shown to whoever has no token: the form, and what it looks like.
_OPEN = ("/login", "/static/app.css", "/static/login.js", "/static/icon.svg", "/healthz")
#: Files that the installation brings: asked for again only where they have changed.
_FILES = ("/static/", "/docs/")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Rights(enum.IntEnum):
    """What one may do; who may do more may do less, too."""

    NOTHING = 0
    LOOK = 1
    WRITE = 2


def read_token(file: Path, key: str = "token_file") -> str:
    """The token of a file that `key` names.

    Raises:
        ConfigError: It cannot be read, or is too short to be one.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"[console] {key}: {file} cannot be read: {exc}") from exc
    if len(token) < LEAST_LENGTH:
        raise ConfigError(
            f"[console] {key}: {file}: expected {LEAST_LENGTH} characters or more, got {len(token)}; such as "
            f"`openssl rand -hex 24 > {file}` writes"
        )
    return token


class Keys:
    """What opens: a token itself, as a bearer, and the cookie that was given for it.

    Args:
        look: The token of those who look; `None` = whoever reaches us may.
        write: The token of those who may change, too; `None` = nobody may.

    Raises:
        ConfigError: Both are the same.
    """

    def __init__(self, look: str | None, write: str | None = None) -> None:
        if look is not None and look == write:
            raise ConfigError("[console] expected two tokens, for those who look and for those who change, got one")
        known = ((write, Rights.WRITE), (look, Rights.LOOK))
        self._tokens = {token: rights for token, rights in known if token is not None}
        self._anybody = Rights.NOTHING if look is not None else Rights.LOOK
        self.can_write = write is not None

    @property
    def needed(self) -> bool:
        """Whether anything has to be shown to look."""
        return self._anybody is Rights.NOTHING

    def cookie_for(self, given: str) -> str | None:
        """What a browser gets for a token; `None` where it is none. Takes as long whatever is given."""
        found = [token for token in self._tokens if hmac.compare_digest(given.encode(), token.encode())]
        return _cookie_of(found[0]) if found else None

    def rights(self, headers: Headers) -> Rights:
        """What a request may do by what it brings."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        bearer = bearer.strip() if scheme.lower() == "bearer" else ""
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            morsel = None
        cookie = "" if morsel is None else morsel.value
        return max([self._anybody, *(own for token, own in self._tokens.items() if _opens(token, bearer, cookie))])


def _opens(token: str, bearer: str, cookie: str) -> bool:
    """Both are looked at, so that neither's time tells of the other."""
    said = hmac.compare_digest(bearer.encode(), token.encode())
    return hmac.compare_digest(cookie.encode(), _cookie_of(token).encode()) or said


def _cookie_of(token: str) -> str:
    return hmac.new(token.encode(), b"gaugecast console", hashlib.sha256).hexdigest()


class Guard:
    """Around the whole application.

    A page of a stranger whose name leads to this machine (DNS rebinding) could otherwise read, from a viewer's browser,
    what only this machine may: without a token, only a host that is this machine is answered. And a page of a stranger
    could send forms to us along with the viewer's cookie: what comes from another page changes nothing.

    Args:
        app: What is guarded.
        keys: Who may what.
        writing: Paths that change something.
        hosts: Names that are ours, too: the proxy's.
    """

    def __init__(self, app: ASGIApp, keys: Keys, writing: Collection[str] = (), hosts: Collection[str] = ()) -> None:
        self._app, self._keys, self._writing, self._hosts = app, keys, frozenset(writing), frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, _with_headers(send, static=scope["path"].startswith(_FILES)))

    def _refused(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        host = _host_of(headers.get("host", ""))
        if not self._keys.needed and not is_this_machine(host) and host not in self._hosts:
            return fault(421, "expected to be asked as localhost or 127.0.0.1; other names need [console] token_file")
        if scope["method"] == "POST" and self._is_of_a_stranger(headers):
            return fault(403, "expected a request of the console's own page, got one of another")
        rights = self._keys.rights(headers)
        if path in self._writing and rights is Rights.LOOK:
            return fault(403, self._no_writing())
        if path in _OPEN or rights >= Rights.LOOK:
            return None
        if path.startswith("/api/"):
            return fault(401, "expected the token: Authorization: Bearer TOKEN")
        return RedirectResponse("/login", 303)

    def _no_writing(self) -> str:
        if self._keys.can_write:
            return "expected the token of those who may change something ([console] write_token_file)"
        return "nothing can be changed from here: [console] names no write_token_file"

    def _is_of_a_stranger(self, headers: Headers) -> bool:
        """What browsers say of where a request is from; programs say nothing, and have no cookie to abuse."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site not in ("same-origin", "none")
        named = urlsplit(origin or "").netloc
        return origin is not None and named != headers.get("host", "") and _host_of(named) not in self._hosts


def _host_of(header: str) -> str:
    """Without the port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] or header


def _with_headers(send: Send, *, static: bool) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if static:
                headers.setdefault("Cache-Control", "no-cache")
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending

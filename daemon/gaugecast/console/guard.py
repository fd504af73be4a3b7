"""Who may look: the token, the host that was asked for, and the headers that keep a page what it is."""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

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


def read_token(file: Path) -> str:
    """The token of a file.

    Raises:
        ConfigError: It cannot be read, or is too short to be one.
    """
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"[console] token_file: {file} cannot be read: {exc}") from exc
    if len(token) < LEAST_LENGTH:
        raise ConfigError(
            f"[console] token_file: {file}: expected {LEAST_LENGTH} characters or more, got {len(token)}; such as "
            f"`openssl rand -hex 24 > {file}` writes"
        )
    return token


class Keys:
    """What opens: the token itself, as a bearer, and the cookie that was given for it."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self.cookie = (
            "" if token is None else hmac.new(token.encode(), b"gaugecast console", hashlib.sha256).hexdigest()
        )

    @property
    def needed(self) -> bool:
        """Whether anything has to be shown at all."""
        return self._token is not None

    def is_token(self, given: str) -> bool:
        """Whether it is the token; takes as long whatever is given."""
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def let_in(self, headers: Headers) -> bool:
        """Whether a request brings what it needs."""
        if self._token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self.cookie.encode())


class Guard:
    """Around the whole application.

    A page of a stranger whose name leads to this machine (DNS rebinding) could otherwise read, from a viewer's browser,
    what only this machine may: without a token, only a host that is this machine is answered.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, _with_headers(send, static=scope["path"].startswith(_FILES)))

    def _refused(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        if not self._keys.needed and not is_this_machine(_host_of(headers.get("host", ""))):
            return fault(421, "expected to be asked as localhost or 127.0.0.1; other names need [console] token_file")
        if path in _OPEN or self._keys.let_in(headers):
            return None
        if path.startswith("/api/"):
            return fault(401, "expected the token: Authorization: Bearer TOKEN")
        return RedirectResponse("/login", 303)


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

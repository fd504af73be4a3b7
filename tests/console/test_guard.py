"""Who may look, and what a page may do."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from console.serving import Served, served
from gaugecast.config.console import Console
from gaugecast.console.app import STATIC
from gaugecast.console.guard import COOKIE, Keys, read_token
from gaugecast.errors import ConfigError
from support.daemon import DaemonProcess

TOKEN = "a-token-that-nobody-guesses"
PAGES = ("/", "/streams", "/stream?fleet=a&stream=b", "/models", "/refused", "/config")


@pytest.fixture(scope="module")
def locked(daemon: DaemonProcess) -> Iterator[Served]:
    """A console that asks for a token."""
    with served(daemon.config_path, daemon.state, TOKEN) as made:
        yield made


@pytest.mark.parametrize("path", [*PAGES, "/static/app.js", "/api/v1/status", "/api/v1/nothing", "/login"])
def test_every_answer_has_the_headers_that_keep_a_page_what_it_is(path: str, console: Served) -> None:
    """No script but ours, no frame around, no type guessed, nothing kept; nor an inline style or script anywhere."""
    headers = console.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")
    assert "server" not in headers


def test_pages_have_nothing_inline_and_ask_no_other_host() -> None:
    """What the policy would forbid is not there, and the assets fit into 300 kB."""
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert "<style" not in text
        assert " style=" not in text
        assert "onclick" not in text
        assert "http" not in text.replace("http-equiv", "")
    assert sum(file.stat().st_size for file in STATIC.rglob("*") if file.is_file()) <= 300_000


def test_without_a_token_only_this_machine_is_answered(console: Served) -> None:
    """A stranger's name that leads here would let the stranger's page read what it may not."""
    for host, status in (
        (f"localhost:{console.port}", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
    ):
        assert console.get("/api/v1/status", headers={"Host": host}).status == status


def test_without_the_token_nothing_is_told(locked: Served) -> None:
    """Pages lead to the form, the API says 401; only the form, its looks and /healthz are open."""
    for path in PAGES:
        answer = locked.get(path)
        assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert locked.get("/api/v1/status").status == 401
    assert locked.get("/static/app.js").status == 303
    for path in ("/login", "/static/app.css", "/static/login.js", "/healthz"):
        assert locked.get(path).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"{COOKIE}=wrong"}, {"Cookie": f"{COOKIE}={TOKEN}"}, {"Cookie": "\x7f=;;"},
        {"Authorization": "Bearer é"},
    ],
)  # fmt: skip
def test_what_is_not_the_token_does_not_open(headers: dict[str, str], locked: Served) -> None:
    """Nor the token as a cookie, which a log of cookies would then hold."""
    encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    assert locked.get("/api/v1/status", headers=encoded).status == 401


def test_the_token_in_an_address_does_not_open(locked: Served) -> None:
    """Addresses end up in logs and histories."""
    for name in ("token", "access_token", COOKIE):
        assert locked.get(f"/api/v1/status?{name}={TOKEN}").status == 401


def test_the_token_opens_as_bearer_and_gives_a_cookie(locked: Served) -> None:
    """The cookie is of no use to scripts or other sites; a wrong token gives none."""
    assert locked.get("/api/v1/status", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    wrong = locked.get("/login", method="POST", body=b"wrong")
    assert (wrong.status, "set-cookie" in wrong.headers) == (401, False)
    right = locked.get("/login", method="POST", body=TOKEN.encode())
    assert right.status == 200
    cookie, *words = (word.strip().lower() for word in right.headers["set-cookie"].split(";"))
    assert {"httponly", "samesite=strict", "path=/"} <= set(words)
    assert TOKEN not in cookie
    assert locked.get("/", headers={"Cookie": cookie}).status == 200


def test_a_cookie_is_for_tls_alone_behind_a_proxy_that_has_it(locked: Served) -> None:
    """As the proxy says."""
    headers = {"X-Forwarded-Proto": "https"}
    assert (
        "secure"
        in locked.get("/login", method="POST", body=TOKEN.encode(), headers=headers).headers["set-cookie"].lower()
    )


def test_with_a_token_any_name_may_be_asked(locked: Served) -> None:
    """A proxy has its own."""
    headers = {"Host": "gauges.example", "Authorization": f"Bearer {TOKEN}"}
    assert locked.get("/api/v1/status", headers=headers).status == 200


def test_a_body_without_end_is_cut(locked: Served) -> None:
    """A guess of two megabytes is no token, and is not read to its end."""
    try:
        status = locked.get("/login", method="POST", body=b"x" * (2 << 20)).status
    except (http.client.HTTPException, OSError):
        status = 401
    assert status == 401


def test_a_token_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    """Too short, or not there; white space around it does not count."""
    file = tmp_path / "token"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(file)
    file.write_text("short\n")
    with pytest.raises(ConfigError, match="16 characters"):
        read_token(file)
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN


def test_beyond_this_machine_a_token_is_needed() -> None:
    """A configuration that would let strangers look is refused, with what to do."""
    with pytest.raises(ValidationError, match="token_file"):
        Console(host="0.0.0.0")
    assert Console(host="0.0.0.0", token_file=Path("token")).port == 9465
    assert Console(host="::1").token_file is None


def test_without_a_token_nothing_is_one() -> None:
    """An empty string opens nothing that a token would."""
    keys = Keys(None)
    assert not keys.needed
    assert not keys.is_token("")

"""Who may look, and what a page may do."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers

from console.serving import Served, served
from gaugecast.config.console import Console, ConsoleTls
from gaugecast.console.app import STATIC
from gaugecast.console.endpoints import WRITING
from gaugecast.console.guard import COOKIE, Keys, Rights, read_token
from gaugecast.console.server import check_tls
from gaugecast.console.views import World
from gaugecast.control import SOCKET_NAME
from gaugecast.errors import ConfigError
from support.daemon import DaemonProcess
from support.mosquitto import make_certificates

TOKEN = "a-token-that-nobody-guesses"
WRITE = "another-token-for-those-who-change"
PAGES = ("/", "/streams", "/stream?fleet=a&stream=b", "/models", "/events", "/refused", "/config")


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


def test_beyond_this_machine_a_token_and_tls_are_needed() -> None:
    """A configuration that would let strangers look, or listen on the way, is refused, with what to do."""
    token, tls = Path("token"), ConsoleTls(certificate=Path("c"), key=Path("k"))
    with pytest.raises(ValidationError, match="token_file"):
        Console(host="0.0.0.0", tls=tls)
    with pytest.raises(ValidationError, match=r"add \[console.tls\], or name the reverse proxy"):
        Console(host="0.0.0.0", token_file=token)
    assert Console(host="0.0.0.0", token_file=token, tls=tls).port == 9465
    assert Console(host="0.0.0.0", token_file=token, proxy="https://gauges.example").tls is None
    with pytest.raises(ValidationError, match="the scheme and the name alone"):
        Console(proxy="http://gauges.example")
    with pytest.raises(ValidationError, match="expected another file"):
        Console(token_file=token, write_token_file=token)
    assert Console(host="::1").token_file is None


def test_without_a_token_nothing_is_one() -> None:
    """An empty string opens nothing that a token would."""
    keys = Keys(None)
    assert not keys.needed
    assert keys.cookie_for("") is None
    with pytest.raises(ConfigError, match="expected two tokens"):
        Keys(TOKEN, TOKEN)


# -- who may change something


@pytest.fixture(scope="module")
def writable(daemon: DaemonProcess) -> Iterator[Served]:
    """A console with a token for those who look and one for those who change."""
    with served(daemon.config_path, daemon.state, TOKEN, WRITE) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    """As programs say it."""
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", sorted(WRITING))
def test_whoever_may_look_changes_nothing(path: str, writable: Served, console: Served, locked: Served) -> None:
    """403 for the token that looks, 401 for none; where no token may write, that is said, and nobody may."""
    name = path.removeprefix("/api/v1/")
    assert writable.post(name, {}, bearer(TOKEN)).status == 403
    assert writable.post(name, {}).status == 401
    assert writable.post(name, {}, bearer(WRITE)).status == 400  # it is let in, and its body is wrong
    assert "write_token_file" in console.post(name, {}).json["error"]
    assert console.post(name, {}).status == 403
    assert locked.post(name, {}, bearer(TOKEN)).status == 403


def test_the_token_that_writes_looks_too_and_everybody_is_told_what_they_may(writable: Served, console: Served) -> None:
    """By bearer and by cookie; signing out takes the cookie away."""
    assert console.ask("access") == {"may_write": False, "can_write": False}
    for token, may in ((TOKEN, False), (WRITE, True)):
        told = writable.get("/api/v1/access", headers=bearer(token)).json
        assert told == {"may_write": may, "can_write": True}
        cookie = writable.get("/login", method="POST", body=token.encode()).headers["set-cookie"].split(";")[0]
        assert writable.get("/api/v1/access", headers={"Cookie": cookie}).json == told
        assert '=""' in writable.get("/logout", method="POST", headers={"Cookie": cookie}).headers["set-cookie"]
    assert writable.get("/api/v1/access").status == 401
    assert Keys(None, WRITE).rights(Headers({})) is Rights.LOOK


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Content-Type": "text/plain"},
    ],
)  # fmt: skip
def test_a_page_of_a_stranger_cannot_use_the_viewers_cookie(headers: dict[str, str], writable: Served) -> None:
    """Another port of this machine is the same site to cookies, and a form needs no leave: both are refused."""
    cookie = writable.get("/login", method="POST", body=WRITE.encode()).headers["set-cookie"].split(";")[0]
    body = {"fleet": "tanks", "stream": "none"}
    refused = writable.post("streams/forget", body, {"Cookie": cookie, **headers})
    assert refused.status == (400 if "Content-Type" in headers else 403)
    own = {"Cookie": cookie, "Origin": writable.url, "Sec-Fetch-Site": "same-origin"}
    assert writable.post("streams/forget", body, own).status == 409  # the daemon says that there is none


def test_the_proxy_that_is_named_is_a_name_of_ours(daemon: DaemonProcess) -> None:
    """Its pages may write, and without a token it may be asked under its name; another's not."""
    world = World(daemon.config_path, daemon.state, daemon.state / SOCKET_NAME)
    console = Served(world, None, WRITE, hosts=["gauges.example"])
    ours = {"Host": "gauges.example", "Origin": "https://gauges.example", **bearer(WRITE)}
    try:
        assert console.get("/api/v1/access", headers={"Host": "gauges.example"}).status == 200
        assert console.get("/api/v1/access", headers={"Host": "evil.example"}).status == 421
        assert console.post("streams/forget", {"fleet": "tanks", "stream": "none"}, ours).status == 409
    finally:
        console.close()


# -- TLS of its own


def test_over_tls_it_is_read_and_its_cookie_is_for_tls_alone(daemon: DaemonProcess, tmp_path: Path) -> None:
    """With the certificate of the file; over plain HTTP nothing is told."""
    made = make_certificates(tmp_path)
    world = World(daemon.config_path, daemon.state, daemon.state / SOCKET_NAME)
    console = Served(world, TOKEN, tls=ConsoleTls(certificate=made.server, key=made.server_key))
    try:
        context = ssl.create_default_context(cafile=made.ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as in `mqtt.credentials`
        connection = http.client.HTTPSConnection("localhost", console.port, timeout=20, context=context)
        connection.request("POST", "/login", body=TOKEN)
        answer = connection.getresponse()
        assert answer.status == 200
        assert "secure" in (answer.getheader("set-cookie") or "").lower()
        connection.close()
        with pytest.raises((http.client.HTTPException, OSError)):
            console.get("/healthz")
    finally:
        console.close()


def test_a_certificate_that_cannot_be_used_is_a_bad_configuration(tmp_path: Path) -> None:
    """Not there, or no certificate: said at the start, with both files."""
    (tmp_path / "c").write_text("none")
    for file in (tmp_path / "c", tmp_path / "none"):
        with pytest.raises(ConfigError, match=r"\[console.tls\] .* cannot be used"):
            check_tls(ConsoleTls(certificate=file, key=file))
    check_tls(None)

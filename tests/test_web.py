"""HTTP: what Prometheus, probes and strangers get."""

from __future__ import annotations

import contextlib
import errno
import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from gaugecast import web
from gaugecast.status import BrokerStatus, PublishingStatus, Status, StorageStatus
from gaugecast.web import Health, Web, readiness_of

PAGE = b"gaugecast_ready 1\n" * 200


@contextlib.contextmanager
def serving(
    *,
    metrics: Callable[[], bytes] = lambda: PAGE,
    health: Health = Health(True),  # noqa: B008  frozen
    readiness: Health = Health(True),  # noqa: B008
) -> Iterator[Web]:
    """A server on a free port."""
    server = Web("127.0.0.1", 0, metrics=metrics, health=lambda: health, readiness=lambda: readiness)
    server.start()
    try:
        yield server
    finally:
        server.close()


def ask(server: Web, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer, answer.read()


def test_metrics_come_as_text_that_prometheus_reads() -> None:
    """The page and its content type are what was rendered."""
    with serving() as server:
        answer, body = ask(server, "/metrics")
    assert (answer.status, body) == (200, PAGE)
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    ("offer", "packed"), [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("", False)]
)
def test_gzip_is_used_where_it_is_offered(offer: str, packed: bool) -> None:
    """Prometheus offers gzip and gets it; nobody gets what they did not offer."""
    with serving() as server:
        answer, body = ask(server, "/metrics", Accept_Encoding=offer)
    assert (answer.getheader("Content-Encoding") == "gzip") == packed
    assert (gzip.decompress(body) if packed else body) == PAGE


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_an_unready_daemon_answers_503_with_the_reason(path: str) -> None:
    """The probe fails, and the body says why, for people and machines."""
    sick = Health(False, "broker: connection refused", {"lag": 3})
    with serving(health=sick, readiness=sick) as server:
        answer, body = ask(server, path)
    assert answer.status == 503
    assert json.loads(body) == {"ok": False, "reason": "broker: connection refused", "lag": 3}


@pytest.mark.parametrize(("holding", "code"), [(None, 200), ("no room on the disk: a batch waits", 503)])
def test_readiness_is_what_the_status_says(holding: str | None, code: int) -> None:
    """A daemon that holds is not ready, however well it is connected; the whole tree is in the answer."""
    status = Status(
        recovered=1.0,
        broker=BrokerStatus(connected=True),
        publishing=PublishingStatus(connected=True),
        storage=StorageStatus(holding=holding),
    )
    with serving(readiness=readiness_of(status)) as server:
        answer, body = ask(server, "/readyz")
    facts = json.loads(body)
    assert (answer.status, facts["ok"]) == (code, holding is None)
    assert facts["reason"] == ("" if holding is None else f"holding: {holding}")
    assert facts["storage"]["holding"] == holding


def test_health_and_readiness_are_two_questions() -> None:
    """A daemon that recovers is alive and not ready."""
    with serving(readiness=Health(False, "recovering 43 %")) as server:
        assert [ask(server, path)[0].status for path in ("/healthz", "/readyz")] == [200, 503]


def test_head_has_the_length_and_no_body() -> None:
    """HEAD says what GET would send, and sends no more."""
    with serving() as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
        peer.sendall(b"HEAD /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    assert b"Content-Length: %d\r\n" % len(PAGE) in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_wrong_path_is_told_the_right_ones() -> None:
    """404 hints at what there is; the root does so with 200; a query string is no other path."""
    with serving() as server:
        wrong, hint = ask(server, "/metric")
        root, _ = ask(server, "/")
        queried, _ = ask(server, "/metrics?x=1")
    assert (wrong.status, root.status, queried.status) == (404, 200, 200)
    assert b"/metrics" in hint
    assert b"/readyz" in hint


def test_other_methods_are_refused() -> None:
    """Nothing can be posted."""
    with serving() as server:
        assert ask(server, "/metrics", "POST")[0].status == 501


def test_a_failing_scrape_says_so_and_the_next_one_works() -> None:
    """An exception behind a route is a 500 with its text, not the end of the server."""
    pages: Iterator[Exception | bytes] = iter([ZeroDivisionError("three streams, no columns"), PAGE])

    def render() -> bytes:
        page = next(pages)
        if isinstance(page, Exception):
            raise page
        return page

    with serving(metrics=render) as server:
        failed, reason = ask(server, "/metrics")
        assert (failed.status, reason) == (500, b"ZeroDivisionError: three streams, no columns\n")
        assert ask(server, "/metrics")[0].status == 200


def test_the_port_is_free_again_after_close() -> None:
    """A restart binds the same port at once; closing a server that never started does not hang."""
    with serving() as server:
        port = server.port
        ask(server, "/healthz")
    again = Web("127.0.0.1", port, metrics=lambda: PAGE, health=lambda: Health(True), readiness=lambda: Health(True))
    assert again.port == port
    again.close()


def test_a_port_in_use_is_an_error_at_once() -> None:
    """Two daemons on one port: the second is told when it binds, not at the first scrape."""
    with serving() as server, pytest.raises(OSError, match="in use"):
        Web("127.0.0.1", server.port, metrics=lambda: PAGE, health=lambda: Health(True), readiness=lambda: Health(True))


def test_connections_beyond_the_bound_are_turned_away() -> None:
    """Threads are bounded: with all at work the next connection is told 503, and is served once one is free."""
    gate = threading.Event()
    entered = threading.Semaphore(0)

    def slow() -> bytes:
        entered.release()
        assert gate.wait(10)
        return PAGE

    with serving(metrics=slow) as server, contextlib.ExitStack() as stack:
        for _ in range(web.MAX_CONNECTIONS):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            peer.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert entered.acquire(timeout=10)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as extra:
            assert extra.recv(100).startswith(b"HTTP/1.0 503")
        gate.set()
        peer.recv(100)
        assert until(lambda: ask(server, "/healthz")[0].status == 200)


def test_a_thread_that_cannot_be_had_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many failures as there are places, and the next peer is answered all the same."""
    real = threading.Thread.start
    failures: list[threading.Thread] = []

    def start(self: threading.Thread) -> None:
        if len(failures) < web.MAX_CONNECTIONS + 1:
            failures.append(self)
            raise RuntimeError("can't start new thread")
        real(self)

    with serving() as server:
        monkeypatch.setattr(threading.Thread, "start", start)
        for _ in range(web.MAX_CONNECTIONS + 1):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
                assert peer.recv(1) == b""
        assert ask(server, "/healthz")[0].status == 200


def test_without_descriptors_the_accepting_thread_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE is tried some times a second, not as often as a processor can; then peers are answered again."""
    tried: list[float] = []
    real = ThreadingHTTPServer.get_request

    def refused(self: ThreadingHTTPServer) -> Any:
        tried.append(time.monotonic())
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(ThreadingHTTPServer, "get_request", refused)
    with serving() as server, socket.create_connection(("127.0.0.1", server.port), timeout=10):
        assert until(lambda: len(tried) >= 3)
        assert tried[2] - tried[0] >= 0.3
        monkeypatch.setattr(ThreadingHTTPServer, "get_request", real)
        assert until(lambda: ask(server, "/healthz")[0].status == 200)


def test_facts_that_are_no_json_are_a_failed_answer() -> None:
    """Said to whoever asks, not a connection that is cut."""
    with serving(readiness=Health(True, facts={"x": object()})) as server:
        answer, body = ask(server, "/readyz")
    assert answer.status == 500
    assert b"TypeError" in body


def test_a_trickling_peer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection past the deadline ends, though its peer never falls silent."""
    monkeypatch.setattr(web, "CONNECTION_DEADLINE_S", 0.2)
    with serving() as server, socket.create_connection(("127.0.0.1", server.port), timeout=0.1) as peer:

        def is_cut() -> bool:
            try:
                peer.sendall(b"X")  # never a whole request line
                return peer.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        assert until(is_cut)


def test_peers_that_dawdle_make_room_for_those_who_ask() -> None:
    """As many as there are places, silent or trickling: Prometheus is answered, again and again."""
    with serving() as server, contextlib.ExitStack() as stack:
        for _ in range(3 * web.MAX_CONNECTIONS):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            peer.sendall(b"GET /metr")
        for _ in range(3):
            assert until(lambda: ask(server, "/metrics")[0].status == 200, 5.0)


def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> bool:
    """Ask again until it holds; `False` after the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return True
    return False

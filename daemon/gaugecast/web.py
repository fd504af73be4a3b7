"""HTTP for machines: /metrics, /healthz, /readyz. Reads what was published; touches nothing that the loop owns."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gaugecast.status import Status

#: Threads at work at once. Prometheus and a probe or two need three; the next connection takes the place of one that
#: dawdles, or is told 503.
MAX_CONNECTIONS = 8
#: A connection that is older than this is cut, however busily it trickles.
CONNECTION_DEADLINE_S = 15.0
#: A silent peer is left after this.
SILENCE_S = 5.0
#: Who has not said what it wants, or not taken what it asked for, after this makes room for the next if need be.
DAWDLES_S = 0.2
#: So long the next waits for the room.
_ROOM_S = 1.0
#: So long the accepting thread rests where it could not accept.
_NO_DESCRIPTOR_S = 0.2

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HINT = "gaugecast answers at /metrics (Prometheus), /healthz (alive?) and /readyz (forecasting?)\n"


@dataclass(frozen=True, slots=True)
class Health:
    """An answer to /healthz or /readyz.

    Attributes:
        ok: 200 if so, else 503.
        reason: Why not, for people; left out if `ok`: `recovering: 43 %`.
        facts: More for machines, JSON values; at /readyz the daemon's status.
    """

    ok: bool
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """`{…facts, "ok": …, "reason": …}` and a line's end; whoever is well has no reason."""
        return json.dumps({**self.facts, "ok": self.ok, "reason": "" if self.ok else self.reason}).encode() + b"\n"


def readiness_of(status: Status) -> Health:
    """The answer to /readyz: whether the daemon forecasts, with all that it says of itself."""
    return Health(status.ready, str(status.doing), msgspec.to_builtins(status))


class Web:
    """The HTTP server and its threads. Bound when made, so that port 0 is known; answers from `start` on.

    The callables run in HTTP threads, several at once, and must only read what was published.

    Args:
        metrics: Text format 0.0.4.

    Raises:
        OSError: The address is taken, or not ours.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        metrics: Callable[[], bytes],
        health: Callable[[], Health],
        readiness: Callable[[], Health],
    ) -> None:
        self._server = _Server(host, port, {"/metrics": metrics, "/healthz": health, "/readyz": readiness})
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is bound, also where 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port; connections at work are cut."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.cut(older_than_s=0.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, host: str, port: int, routes: Mapping[str, Callable[[], bytes | Health]]) -> None:
        self.routes = routes
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._begun: dict[socket.socket, float] = {}
        self._answering: set[socket.socket] = set()  # what they wait for is our own work
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Answerer)

    def server_bind(self) -> None:
        # HTTPServer.server_bind looks its own name up in DNS, which may hang.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not (self._free.acquire(blocking=False) or self._make_room()):
            with contextlib.suppress(OSError):
                request.setblocking(False)
                request.send(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
            self.shutdown_request(request)
            return
        self._begun[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had: what it would have given back is given back here
            self._release(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._release(request)

    def _make_room(self) -> bool:
        """Cut the oldest connection that dawdles: a few slow peers must not keep Prometheus away."""
        now = time.monotonic()
        idle = [(begun, peer) for peer, begun in list(self._begun.items()) if peer not in self._answering]
        begun, peer = min(idle, key=lambda one: one[0], default=(now, None))
        if peer is None or now - begun < DAWDLES_S:
            return False
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)
        return self._free.acquire(timeout=_ROOM_S)

    @contextlib.contextmanager
    def answering(self, request: socket.socket) -> Iterator[None]:
        """While we make an answer, its peer is not the one who dawdles."""
        self._answering.add(request)
        try:
            yield
        finally:
            self._answering.discard(request)

    def _release(self, request: Any) -> None:
        self._begun.pop(request, None)
        self._free.release()

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:  # out of descriptors, mostly: who waits stays readable, and must not cost a whole processor
            time.sleep(_NO_DESCRIPTOR_S)
            raise

    def service_actions(self) -> None:  # the accepting thread, every 0.2 s
        self.cut(older_than_s=CONNECTION_DEADLINE_S)

    def cut(self, *, older_than_s: float) -> None:
        """Shut connections that began too long ago; their threads then end by themselves."""
        now = time.monotonic()
        for connection, begun in list(self._begun.items()):
            if now - begun >= older_than_s:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that went away is no event of ours."""


class _Answerer(BaseHTTPRequestHandler):
    server: _Server
    server_version = "gaugecast"
    sys_version = ""
    timeout = SILENCE_S

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        with self.server.answering(self.connection):
            status, kind, body = self._find(urlsplit(self.path).path)
        headers = {"Content-Type": kind, "Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        if len(body) > 1024 and self._accepts_gzip():
            # Level 1: 10 MB of series in 35 ms, outside the interpreter's lock, where level 9 takes 240.
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _find(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        route = self.server.routes.get(path.rstrip("/"))
        if route is None:
            status = HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND
            return status, "text/plain; charset=utf-8", _HINT.encode()
        try:
            found = route()
            if isinstance(found, Health):
                status = HTTPStatus.OK if found.ok else HTTPStatus.SERVICE_UNAVAILABLE
                return status, "application/json", found.to_json()
        except Exception as exc:  # the boundary: one failed scrape must say so, not vanish
            reason = f"{type(exc).__name__}: {exc}\n"
            return HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", reason.encode()
        return HTTPStatus.OK, _METRICS_TYPE, found

    def _accepts_gzip(self) -> bool:
        for offer in self.headers.get("Accept-Encoding", "").lower().split(","):
            name, _, quality = offer.partition(";")
            if name.strip() in ("gzip", "*") and quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
                return True
        return False

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every fifteen seconds is no event."""

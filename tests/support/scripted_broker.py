"""A broker that says exactly what a test tells it to, in the test's own thread."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

CONNACK_V5 = b"\x20\x03\x00\x00\x00"
CONNACK_V5_SESSION = b"\x20\x03\x01\x00\x00"


class ScriptedBroker:
    """Accepts one connection after another; `said` is all that the client sent on the present one."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port = int(self._server.getsockname()[1])
        self.said = b""
        self._peer: socket.socket | None = None

    def accept(self, turn: Callable[[], object], answer: bytes = CONNACK_V5) -> None:
        """Turn the client until it has connected and sent CONNECT; answer it."""
        while True:
            turn()
            try:
                peer, _ = self._server.accept()
            except BlockingIOError:
                continue
            break
        self.hang_up()
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer, self.said = peer, b""
        self.listen(turn, lambda said: said[:1] == b"\x10")
        self.say(answer)

    def say(self, packets: bytes) -> None:
        """Send bytes."""
        assert self._peer is not None
        self._peer.sendall(packets)

    def listen(self, turn: Callable[[], object], until: Callable[[bytes], bool], *, rounds: int = 2000) -> bytes:
        """Turn the client until what it said satisfies the condition; return all it said."""
        assert self._peer is not None
        for _ in range(rounds):
            turn()
            with contextlib.suppress(BlockingIOError):
                self.said += self._peer.recv(1 << 20)
            if until(self.said):
                return self.said
        raise AssertionError(f"expected the client to say something else than {self.said[:200]!r}")

    def hang_up(self) -> None:
        """Close the present connection."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def close(self) -> None:
        """Close everything."""
        self.hang_up()
        self._server.close()

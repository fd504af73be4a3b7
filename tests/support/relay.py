"""A TCP relay between a client and a server: connections that a test can cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class Relay:
    """Listens on a port of its own and passes bytes on to `port` of 127.0.0.1, in threads of its own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._reset: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def cut(self, *, reset: bool = True) -> int:
        """End all connections, by RST or in order; return how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
            if reset:
                self._reset.update(sock for pair in pairs for sock in pair)
        for pair in pairs:
            for sock in pair if reset else ():
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for sock in pair:
                with contextlib.suppress(OSError):  # for a reset, only to wake the pump: what it waits on is not closed
                    sock.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
                sock.close()
        return len(pairs)

    def close(self) -> None:
        """Cut everything and stop listening."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), name="relay-pump", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
        if sink in self._reset:
            return  # an end in order must not come before the reset
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

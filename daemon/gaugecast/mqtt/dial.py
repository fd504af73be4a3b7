"""Opening a connection without ever blocking the loop: name, address, TCP, TLS."""

from __future__ import annotations

import errno
import os
import queue
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from gaugecast.mqtt.causes import WrongName, explain_lookup, is_name_mismatch, names_of

ADDRESS_TIMEOUT_S = 5.0  # for TCP and TLS with one address

_Address = tuple[int, Any]  # family and what `socket.connect` takes


class Dialer:
    """One attempt. `step` until it gives a socket or raises; wait on `fileno` in between. Owned by the loop's thread.

    Names are resolved in a thread of their own, which does nothing else: `getaddrinfo` has no timeout, and with a
    name server out of reach it takes half a minute, longer than the watchdog allows.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        clock: Callable[[], float],
        dead_after_s: float = 45.0,
    ) -> None:
        self._host = host
        self._tls = tls
        self._clock = clock
        self._dead_after_s = dead_after_s
        self._found: queue.SimpleQueue[list[_Address] | OSError] = queue.SimpleQueue()
        self._addresses: list[_Address] | None = None
        self._sock: socket.socket | None = None
        self._connected = False
        self._deadline = 0.0
        self.wants_write = True
        self._wrong_name = False
        resolver = threading.Thread(target=_resolve, args=(host, port, self._found), name="resolve", daemon=True)
        resolver.start()

    def fileno(self) -> int:
        """Descriptor to wait on, or −1 while the name is being resolved."""
        return -1 if self._sock is None else self._sock.fileno()

    def step(self) -> socket.socket | None:
        """Go on as far as possible without waiting; return the open socket, or `None` if it is not yet open.

        Raises:
            OSError: no address of the host could be reached, or TLS refused it; certificate errors included.
        """
        if self._addresses is None:
            try:
                found = self._found.get_nowait()
            except queue.Empty:
                return None
            if isinstance(found, OSError):
                raise found
            self._addresses = found
            self._dial_next(None)
        try:
            return self._go_on()
        except OSError as exc:
            again = self._look_at_names() if is_name_mismatch(exc) and not self._wrong_name else []
            self.close()
            self._addresses = again + self._addresses
            self._dial_next(exc)
            return None

    def close(self) -> None:
        """Give the attempt up."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _dial_next(self, failure: OSError | None) -> None:
        """Begin with the next address, or raise what the last one failed with."""
        while self._addresses:
            family, address = self._addresses.pop(0)
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # Bytes of ours that nobody acknowledges for so long end the connection, also while we do not read.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._dead_after_s * 1000))
            code = sock.connect_ex(address)
            if code in (0, errno.EINPROGRESS):
                self._sock, self._connected, self.wants_write = sock, False, True
                self._deadline = self._clock() + ADDRESS_TIMEOUT_S
                return
            sock.close()
            failure = OSError(code, os.strerror(code))
        raise failure if failure is not None else OSError(f"no address for {self._host!r}")

    def _go_on(self) -> socket.socket | None:
        assert self._sock is not None
        if not self._connected and not self._is_connected(self._sock):
            self._expect_in_time("TCP connection")
            return None
        if self._tls is None:
            return self._release()
        if not isinstance(self._sock, ssl.SSLSocket):
            self._sock = self._tls.wrap_socket(
                self._sock, server_hostname=self._host, do_handshake_on_connect=False,
                suppress_ragged_eofs=False,  # an end without close_notify is the network's, not the broker's
            )  # fmt: skip
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self.wants_write = False
        except ssl.SSLWantWriteError:
            self.wants_write = True
        else:
            if self._wrong_name:
                raise WrongName(names_of(self._sock.getpeercert()))
            return self._release()
        self._expect_in_time("TLS handshake")
        return None

    def _look_at_names(self) -> list[_Address]:
        """Dial the same address once more, only to see which names its certificate has: OpenSSL does not tell."""
        assert self._sock is not None
        assert self._tls is not None
        self._wrong_name, self._tls.check_hostname = True, False
        return [(self._sock.family, self._sock.getpeername())]

    def _is_connected(self, sock: socket.socket) -> bool:
        failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(failure, os.strerror(failure))
        try:
            sock.getpeername()
        except OSError:
            return False
        self._connected = True
        return True

    def _expect_in_time(self, what: str) -> None:
        if self._clock() >= self._deadline:
            raise TimeoutError(f"no {what} within {ADDRESS_TIMEOUT_S:g} s")

    def _release(self) -> socket.socket | None:
        sock, self._sock = self._sock, None
        return sock


def _resolve(host: str, port: int, found: queue.SimpleQueue[list[_Address] | OSError]) -> None:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        found.put(OSError(explain_lookup(exc, host)))
    else:
        found.put([(family, address) for family, _, _, _, address in answers])

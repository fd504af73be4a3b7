"""A socket with a buffer on either side, in the shape that paho expects of a socket."""

from __future__ import annotations

import socket
import ssl

RECV_BYTES = 256 * 1024  # one read of the kernel's buffer
PINGREQ = b"\xc0\x00"


class ClosedByBroker(ConnectionAbortedError):
    """The broker closed the connection in order."""


class Wire:
    """One connection's bytes. Owned by the loop's thread.

    Towards the broker `push` collects and `flush` sends, so that a batch is one system call; `pull` reads all that
    has come. Towards paho it is a socket: `recv` gives the control packet that `feed` has put there, `send` pushes.

    Attributes:
        more: The last `pull` stopped at its limit; there may be bytes that epoll will not tell of (TLS records
            already decrypted).
        pushed_bytes, flushed_bytes: Totals of this connection.
        pinged: paho sent a PINGREQ and no sign of life has come since.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._room = memoryview(bytearray(RECV_BYTES))
        self._fed = b""
        self._parts: list[bytes] = []
        self._out = memoryview(b"")
        self.more = False
        self.pushed_bytes = 0
        self.flushed_bytes = 0
        self.pinged = False

    # The broker's side.

    @property
    def backlog_bytes(self) -> int:
        """Bytes pushed but not yet taken by the kernel."""
        return self.pushed_bytes - self.flushed_bytes

    def push(self, packet: bytes) -> None:
        """Collect bytes for the next `flush`."""
        self._parts.append(packet)
        self.pushed_bytes += len(packet)

    def flush(self) -> None:
        """Send what the kernel takes now.

        Raises:
            OSError: the connection is gone.
        """
        try:
            while self._out or self._parts:
                if not self._out:
                    self._out = memoryview(b"".join(self._parts))
                    self._parts.clear()
                sent = self._sock.send(self._out)
                self._out = self._out[sent:]
                self.flushed_bytes += sent
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return

    def pull(self) -> bytes:
        """Read what has come, about 256 KiB at most; `b""` if nothing has.

        Raises:
            OSError: the connection is gone; ClosedByBroker if the broker closed it in order.
        """
        have = 0
        try:
            while have < RECV_BYTES:
                got = self._sock.recv_into(self._room[have:])
                if got == 0:
                    if have:
                        break  # what came before the end is given first; the next call meets the end again
                    raise ClosedByBroker("the broker closed the connection")
                have += got
                if not self._tls:
                    break  # the kernel gave all it had
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # TLS: read until it wants more, since decrypted bytes do not wake epoll
        self.more = have == RECV_BYTES
        if have:
            self.pinged = False
        return bytes(self._room[:have])

    def end(self) -> None:
        """Tell the broker that nothing more will come, having sent all; the read side stays open.

        Closing at once with unread bytes would send RST, which can overtake our DISCONNECT and bring the will.
        """
        if not self._tls:
            self._sock.shutdown(socket.SHUT_WR)

    # paho's side.

    def feed(self, packet: bytes) -> None:
        """Put one control packet where paho's `loop_read` will find it."""
        self._fed = packet

    def recv(self, buffer_size: int) -> bytes:
        """Give paho the next bytes of the packet that was fed."""
        if not self._fed:
            raise BlockingIOError
        taken, self._fed = self._fed[:buffer_size], self._fed[buffer_size:]
        return taken

    def send(self, buffer: bytes | bytearray) -> int:
        """Take a packet of paho's, always whole."""
        packet = bytes(buffer)
        if packet == PINGREQ:
            self.pinged = True
        self.push(packet)
        return len(packet)

    def fileno(self) -> int:
        """The socket's descriptor; −1 once closed."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Accept paho's wish; the socket has been non-blocking from its birth."""

    def close(self) -> None:
        """Close the socket; calling it again does nothing."""
        self._sock.close()

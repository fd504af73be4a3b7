"""An independent subscriber that counts, and does little else: raw socket, MQTT 3.1.1, no paho.

It is the judge of the benchmarks and of the chaos runs, so it shares no code with the daemon and must never be the
bottleneck: it reads 256 KiB at once and touches each packet once (about 1 µs a message; 2 µs where it keeps them).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gaugecast_sim import wire

RECEIVE_BYTES = 1 << 18
POLL_S = 0.05


class Received(NamedTuple):
    """One message as it came; `received_ns` is Unix ns of the read that completed it."""

    topic: bytes
    payload: bytes
    received_ns: int
    qos: int
    dup: bool
    retain: bool


class Sink:
    """Subscribes on entering, counts until left. A thread of its own reads; any thread may call the rest.

    Args:
        filters: Topic filters, all at `qos` (0 or 1; messages at QoS 1 are acked once they are counted).
        record: Keep every message in `messages`.
        clean: `False` keeps the session over connections (then give a `client_id`).

    Attributes:
        count: Messages so far, redeliveries included.
        duplicates: Those among them with the DUP flag.
        payload_bytes: Sum of the payloads' lengths.
        messages: What came, in order, where `record` asked for it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        filters: Sequence[str],
        *,
        qos: int = 0,
        record: bool = False,
        client_id: str = "",
        clean: bool = True,
        username: str = "",
        password: str = "",
    ) -> None:
        if qos not in (0, 1):
            raise ValueError(f"expected qos 0 or 1, got {qos}")
        self.count = 0
        self.duplicates = 0
        self.payload_bytes = 0
        self.messages: list[Received] = []
        self._filters, self._qos, self._record = list(filters), qos, record
        self._address = (host, port)
        self._login = wire.Login(client_id or f"sink-{time.time_ns():x}", username, password)
        self._buffer = bytearray()
        self._granted: bytes | None = None
        self._clean = clean
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._sock: socket.socket | None = None
        self._buffer = bytearray()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Sink:
        self.open()
        self._thread = threading.Thread(target=self.run, name="sink", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Connect and subscribe; returns when the broker has granted.

        Raises:
            wire.WireError: refused, or granted at a lower QoS.
        """
        host, port = self._address
        sock = wire.open_session(host, port, self._login, clean=self._clean)
        sock.sendall(wire.subscribe_packet(self._filters, self._qos))
        self._sock, self._buffer, self._granted = sock, bytearray(), None
        try:
            while self._granted is None:  # a kept session or a retained message may speak, and wants acks, before it
                self._take(self._receive())
            if any(code != self._qos for code in self._granted):
                raise wire.WireError(f"expected QoS {self._qos} for {self._filters}, got {list(self._granted)}")
        except BaseException:
            self._sock = None
            sock.close()
            raise
        sock.settimeout(POLL_S)

    def run(self) -> None:
        """Read until `close`; what the thread runs. In a process of its own call `open` and this."""
        try:
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    self._take(self._receive())
        except (OSError, wire.WireError) as exc:
            if not self._stop.is_set():
                self._failure = exc
        finally:
            with self._changed:
                self._changed.notify_all()

    def wait_for(self, count: int, deadline_s: float) -> int:
        """Wait until `count` messages have come, or the deadline; returns how many have.

        Raises:
            wire.WireError: the connection broke meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.count >= count or self._failure is not None, deadline_s)
        if self._failure is not None:
            raise wire.WireError(f"the sink's connection broke: {self._failure}") from self._failure
        return self.count

    def rates(self, interval_s: float = 1.0) -> Iterator[float]:
        """Messages per second, one figure an interval, until closed."""
        before, then = self.count, time.monotonic()
        while not self._stop.wait(interval_s) and self._failure is None:
            count, now = self.count, time.monotonic()
            yield (count - before) / (now - then)
            before, then = count, now

    def close(self) -> None:
        """Disconnect and end the thread. May be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.sendall(wire.DISCONNECT)
            self._sock.close()
            self._sock = None

    def _receive(self) -> bytes:
        if self._sock is None:
            raise wire.WireError("expected an open sink; call open() first")
        chunk = self._sock.recv(RECEIVE_BYTES)
        if not chunk:
            raise wire.WireError("the broker closed the connection")
        return chunk

    def _take(self, chunk: bytes) -> None:
        """Count the whole packets in what has come, ack them, keep the rest."""
        buffer = bytes(self._buffer) + chunk if self._buffer else chunk
        received_ns = time.time_ns()
        acks: list[bytes] = []
        at = 0
        while len(buffer) - at >= 2:
            length = buffer[at + 1]
            if length < 0x80:  # the common case, without a call
                start, end = at + 2, at + 2 + length
                if end > len(buffer):
                    break
            else:
                part = wire.split_packet(buffer, at)
                if part is None:
                    break
                start, end = part
            if buffer[at] & 0xF0 == wire.PUBLISH:
                self._take_publish(buffer, at, start, end, received_ns, acks)
            elif buffer[at] == wire.SUBACK:
                self._granted = buffer[start + 2 : end]
            at = end
        self._buffer = bytearray(buffer[at:])
        if acks and self._sock is not None:
            wait_s = self._sock.gettimeout()
            self._sock.settimeout(None)
            self._sock.sendall(b"".join(acks))
            self._sock.settimeout(wait_s)
        with self._changed:
            self._changed.notify_all()

    def _take_publish(self, buffer: bytes, at: int, start: int, end: int, received_ns: int, acks: list[bytes]) -> None:
        first = buffer[at]
        topic_end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
        payload_at = topic_end
        if first & 0x06:
            acks.append(b"\x40\x02" + buffer[topic_end : topic_end + 2])
            payload_at += 2
        if self._record:
            topic, payload = buffer[start + 2 : topic_end], buffer[payload_at:end]
            flags = (first >> 1 & 3, bool(first & 8), bool(first & 1))
            self.messages.append(Received(topic, payload, received_ns, *flags))
        self.payload_bytes += end - payload_at
        self.duplicates += first >> 3 & 1
        self.count += 1

"""A load generator that is not the bottleneck: prebuilt MQTT 3.1.1 packets over one raw socket.

Building and sending cost about 0.3 µs a packet at QoS 0 (see `packets`), so a core offers several 100,000 messages a
second to a broker that can take them. Rate control is a token bucket in ticks of some milliseconds; at QoS 1 PUBACKs
are counted and checked for order, with up to `window` messages unacked.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from gaugecast_sim import wire
from gaugecast_sim.packets import PACKET_IDS, LoadPlan, PacketBuilder

BLOCK_MESSAGES = 4096
TICK_S = 0.004
BURST_S = 0.25  # credit that the bucket holds: a stall longer than this lowers the count, not the later rate
RECEIVE_BYTES = 1 << 18


class LoadReport(NamedTuple):
    """What a run did. `acked`: PUBACKs at QoS 1; at QoS 0 what the broker had read when it answered our ping."""

    sent: int
    acked: int
    seconds: float
    rate: float


class LoadGenerator:
    """Sends a plan at a rate, once. `run` blocks; `stop` and the counters may be used by other threads.

    Args:
        rate: Messages per second over all streams; `None` = as fast as the broker takes them.
        count: End after so many messages.
        seconds: End after so long. With neither, until `stop`.
        window: Unacked messages at QoS 1, at most 65,535.
        upto: Asked before each send: how many messages may have been sent in all by now. Whoever tells it by what came
            back makes a closed loop, in which nothing piles up.
        first: Number of the first message, to go on where an earlier run ended.

    Attributes:
        sent: Messages handed to the kernel in full.
        acked: PUBACKs so far.
    """

    def __init__(
        self,
        host: str,
        port: int,
        plan: LoadPlan,
        *,
        rate: float | None = None,
        count: int | None = None,
        seconds: float | None = None,
        window: int = 20_000,
        upto: Callable[[], int] | None = None,
        first: int = 0,
        client_id: str = "",
        username: str = "",
        password: str = "",
        drain_s: float = 30.0,
    ) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"expected a rate above 0, got {rate}")
        if not 1 <= window <= PACKET_IDS:
            raise ValueError(f"expected a window from 1 to {PACKET_IDS}, got {window}")
        self.sent = 0
        self.acked = 0
        self._plan, self._builder = plan, PacketBuilder(plan)
        self._rate, self._count, self._seconds, self._window, self._first = rate, count, seconds, window, first
        self._upto = upto
        self._address, self._drain_s = (host, port), drain_s
        self._login = wire.Login(client_id or f"load-{time.time_ns():x}", username, password)
        self._stop = threading.Event()
        self._acks = b""
        self._block, self._block_first, self._cursor = memoryview(b""), 0, 0  # cursor: bytes of the block that are sent

    def stop(self) -> None:
        """Ask `run` to end: what is on its way is still acked."""
        self._stop.set()

    def run(self, stop: threading.Event | None = None) -> LoadReport:
        """Send until the end that was asked for, or `stop` is set; then wait for the last acks.

        Raises:
            wire.WireError: the broker closed, acked out of order, or did not ack within `drain_s`.
        """
        self._stop = stop or self._stop
        host, port = self._address
        with wire.open_session(host, port, self._login) as sock:
            sock.setblocking(False)
            poller = select.poll()
            begun = time.monotonic()
            self._send_all(sock, poller, begun)
            seconds = time.monotonic() - begun
            self._drain(sock, poller)
            sock.setblocking(True)
            sock.sendall(wire.DISCONNECT)
        return LoadReport(self.sent, self.acked, seconds, self.sent / seconds if seconds > 0 else 0.0)

    def _send_all(self, sock: socket.socket, poller: select.poll, begun: float) -> None:
        credit, then = 1.0, begun
        while not self._stop.is_set() and self.sent != self._count:
            now = time.monotonic()
            if self._seconds is not None and now - begun >= self._seconds:
                break
            if self._rate is not None:
                credit = min(credit + (now - then) * self._rate, max(1.0, BURST_S * self._rate))
            then = now
            allowed = self._allowed(BLOCK_MESSAGES if self._rate is None else int(credit))
            before = self.sent
            blocked = self._send(sock, allowed)
            credit -= self.sent - before
            idle = blocked or self.sent == before
            if self._plan.qos and (idle or self.sent - self.acked > self._window // 2):
                self._take_acks(sock)
            if idle:
                self._wait(sock, poller, writable=blocked)
        self._finish_packet(sock, poller)

    def _allowed(self, credit: int) -> int:
        """How many messages may go now: by credit, by the window, by the count, by whoever closes the loop."""
        allowed = credit
        if self._plan.qos:
            allowed = min(allowed, self._window - (self.sent - self.acked))
        if self._count is not None:
            allowed = min(allowed, self._count - self.sent)
        if self._upto is not None:
            allowed = min(allowed, self._upto() - self.sent)
        return max(0, allowed)

    def _send(self, sock: socket.socket, messages: int) -> bool:
        """Send up to so many messages of the current block; whether the kernel's buffer is full.

        A packet may stay half sent; the cursor then stands within it.
        """
        size = self._builder.packet_bytes
        if messages and self._cursor == len(self._block):
            self._block_first = self.sent
            self._block = self._builder.build(self._first + self.sent, BLOCK_MESSAGES)
            self._cursor = 0
        limit = min((self.sent - self._block_first + messages) * size, len(self._block))
        if limit <= self._cursor:
            return False
        try:
            self._cursor += sock.send(self._block[self._cursor : limit])
        except BlockingIOError:
            return True
        self.sent = self._block_first + self._cursor // size
        return self._cursor < limit

    def _finish_packet(self, sock: socket.socket, poller: select.poll) -> None:
        """Complete a packet that went out in part, else the stream of packets is broken."""
        while self._cursor % self._builder.packet_bytes:
            if self._send(sock, 1):
                self._wait(sock, poller, writable=True)

    def _wait(self, sock: socket.socket, poller: select.poll, *, writable: bool) -> None:
        poller.register(sock, select.POLLIN * bool(self._plan.qos) | (select.POLLOUT if writable else 0))
        if writable or self._rate is None or not self._plan.qos:
            poller.poll(TICK_S * 1000)
        else:
            time.sleep(TICK_S)  # acks may wait for the next tick: one read for many

    def _take_acks(self, sock: socket.socket) -> None:
        """Count the PUBACKs that have come; each must be that of the oldest unacked message."""
        try:
            chunk = sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            raise wire.WireError(f"the broker closed after {self.sent} messages, {self.acked} acked")
        acks = self._acks + chunk
        whole = len(acks) // 4 * 4
        expected = self._first + self.acked
        for at in range(0, whole, 4):
            packet_id = 1 + expected % PACKET_IDS
            if acks[at : at + 4] != bytes((wire.PUBACK, 2, packet_id >> 8, packet_id & 0xFF)):
                raise wire.WireError(f"expected PUBACK {packet_id}, got {acks[at : at + 4]!r}")
            expected += 1
        self.acked = expected - self._first
        self._acks = acks[whole:]

    def _drain(self, sock: socket.socket, poller: select.poll) -> None:
        """Wait for the last acks; at QoS 0 for the answer to a ping, which comes after all that went before."""
        deadline = time.monotonic() + self._drain_s
        if not self._plan.qos:
            sock.settimeout(self._drain_s)
            sock.sendall(wire.PINGREQ)
            first, _ = wire.read_packet(sock)
            if first != 0xD0:
                raise wire.WireError(f"expected PINGRESP, got packet 0x{first:02x}")
            self.acked = self.sent
            return
        poller.register(sock, select.POLLIN)
        while self.acked < self.sent:
            if time.monotonic() > deadline:
                raise wire.WireError(f"expected {self.sent} PUBACKs within {self._drain_s} s, got {self.acked}")
            poller.poll(TICK_S * 1000)
            self._take_acks(sock)

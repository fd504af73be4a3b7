"""A broker that takes what it likes, and hangs up on what it does not; turned by the test, in the test's own thread."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from gaugecast.mqtt.packets import Inbound
from gaugecast.records import Message
from support.scripted_broker import CONNACK_V5

CONNACK_3_1_1 = b"\x20\x02\x00\x00"


class PickyBroker:
    """One connection at a time: CONNACK, SUBACK, a PUBACK for each publish; closes it where `hates(message)`.

    Attributes:
        heard: What it took, in order, with what came again.
        sessions: How many it has accepted.
        reset: Hang up by RST, as a broker does that closes a connection with bytes unread.
        parting: What it says before it hangs up.
        grants: The QoS that it grants to a subscription for which 1 is asked; `None` = it does not answer.
    """

    def __init__(self, hates: Callable[[Message], bool], *, v5: bool) -> None:
        self.heard: list[Message] = []
        self.sessions = 0
        self.reset = False
        self.parting = b""
        self.grants: int | None = 1
        self._hates, self._v5 = hates, v5
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port = int(self._server.getsockname()[1])
        self._peer: socket.socket | None = None
        self._inbound = Inbound(0, v5=v5)

    def turn(self) -> None:
        """Do what can be done without waiting."""
        if self._peer is None:
            with contextlib.suppress(BlockingIOError):
                self._peer = self._server.accept()[0]
                self._peer.setblocking(False)
                self._inbound = Inbound(0, v5=self._v5)
            return
        try:
            chunk = self._peer.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.hang_up(reset=False)
            return
        self._inbound.take(chunk)
        self._answer()

    def hang_up(self, *, reset: bool) -> None:
        """End the connection."""
        if self._peer is not None:
            if reset:
                self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._peer.close()
            self._peer = None

    def close(self) -> None:
        """End all."""
        self.hang_up(reset=False)
        self._server.close()

    def _answer(self) -> None:
        assert self._peer is not None
        for packet in self._inbound.control:
            if packet[0] >> 4 == 1:
                self.sessions += 1
                self._peer.sendall(CONNACK_V5 if self._v5 else CONNACK_3_1_1)
            elif packet[0] >> 4 == 8 and self.grants is not None:
                head = b"\x90\x04" + packet[2:4] + b"\x00" if self._v5 else b"\x90\x03" + packet[2:4]
                self._peer.sendall(head + bytes([self.grants]))
        messages = list(self._inbound.messages)
        self._inbound.control.clear()
        self._inbound.messages.clear()
        for message in messages:
            if self._hates(message):
                self._peer.sendall(self.parting)
                self.hang_up(reset=self.reset)
                return
            self.heard.append(message)
            if message.qos:
                self._peer.sendall(b"\x40\x02" + message.mid.to_bytes(2, "big"))

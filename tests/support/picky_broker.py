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
    """Any number of connections: CONNACK, SUBACK, a PUBACK for each publish; closes one where `hates(message)`.

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
        self._peers: dict[socket.socket, Inbound] = {}

    def turn(self) -> None:
        """Do what can be done without waiting."""
        with contextlib.suppress(BlockingIOError):
            peer = self._server.accept()[0]
            peer.setblocking(False)
            self._peers[peer] = Inbound(0, v5=self._v5)
        for peer in list(self._peers):
            self._serve(peer)

    def hang_up(self, *, reset: bool) -> None:
        """End all connections."""
        for peer in list(self._peers):
            self._end(peer, reset=reset)

    def close(self) -> None:
        """End all."""
        self.hang_up(reset=False)
        self._server.close()

    def _serve(self, peer: socket.socket) -> None:
        try:
            chunk = peer.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._end(peer, reset=False)
            return
        self._peers[peer].take(chunk)
        self._answer(peer)

    def _end(self, peer: socket.socket, *, reset: bool) -> None:
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        del self._peers[peer]

    def _answer(self, peer: socket.socket) -> None:
        inbound = self._peers[peer]
        for packet in inbound.control:
            if packet[0] >> 4 == 1:
                self.sessions += 1
                peer.sendall(CONNACK_V5 if self._v5 else CONNACK_3_1_1)
            elif packet[0] >> 4 == 8 and self.grants is not None:
                head = b"\x90\x04" + packet[2:4] + b"\x00" if self._v5 else b"\x90\x03" + packet[2:4]
                peer.sendall(head + bytes([self.grants]))
        messages = list(inbound.messages)
        inbound.control.clear()
        inbound.messages.clear()
        for message in messages:
            if self._hates(message):
                peer.sendall(self.parting)
                self._end(peer, reset=self.reset)
                return
            self.heard.append(message)
            if message.qos:
                peer.sendall(b"\x40\x02" + message.mid.to_bytes(2, "big"))

"""The few packets of MQTT 3.1.1 that load generator and sink speak by hand (OASIS MQTT 3.1.1, sections 2 and 3)."""

from __future__ import annotations

import socket
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
DISCONNECT = b"\xe0\x00"
PINGREQ = b"\xc0\x00"


class Login(NamedTuple):
    """Who connects; empty names are left out of CONNECT."""

    client_id: str
    username: str = ""
    password: str = ""


class WireError(Exception):
    """The broker refused, closed the connection, or said something that was not expected here."""


def remaining_length(length: int) -> bytes:
    """Encode a packet's remaining length, 7 bits a byte (section 2.2.3)."""
    if not 0 <= length < 1 << 28:
        raise ValueError(f"expected a length from 0 to 268435455, got {length}")
    out = bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        out.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(out)


def text(value: str) -> bytes:
    """A UTF-8 string with its two-byte length in front (section 1.5.3)."""
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def connect_packet(login: Login, *, clean: bool = True) -> bytes:
    """CONNECT without will; keepalive 0, so that nobody need ping (section 3.1)."""
    flags = 0x02 * clean | 0x80 * bool(login.username) | 0x40 * bool(login.password)
    body = text("MQTT") + bytes((4, flags, 0, 0)) + text(login.client_id)
    body += text(login.username) if login.username else b""
    body += text(login.password) if login.password else b""
    return b"\x10" + remaining_length(len(body)) + body


def subscribe_packet(filters: list[str], qos: int, packet_id: int = 1) -> bytes:
    """SUBSCRIBE to all filters at one QoS (section 3.8)."""
    body = packet_id.to_bytes(2, "big") + b"".join(text(f) + bytes((qos,)) for f in filters)
    return b"\x82" + remaining_length(len(body)) + body


def publish_packet(topic: str, payload: bytes, *, qos: int = 0, packet_id: int = 0, retain: bool = False) -> bytes:
    """PUBLISH (section 3.3); `packet_id` from 1 to 65535 at QoS 1, unused at QoS 0."""
    head = text(topic) + (packet_id.to_bytes(2, "big") if qos else b"")
    return bytes((PUBLISH | qos << 1 | retain,)) + remaining_length(len(head) + len(payload)) + head + payload


def split_packet(buffer: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Where the body of the packet that begins at `at` starts and ends; `None` if it is not whole yet.

    Raises:
        WireError: the remaining length is malformed.
    """
    length = shift = 0
    for position in range(at + 1, at + 5):
        if position >= len(buffer):
            return None
        digit = buffer[position]
        length |= (digit & 0x7F) << shift
        if digit < 0x80:
            end = position + 1 + length
            return (position + 1, end) if end <= len(buffer) else None
        shift += 7
    raise WireError(f"expected a remaining length of at most 4 bytes, got {bytes(buffer[at : at + 5])!r}")


def read_packet(sock: socket.socket) -> tuple[int, bytes]:
    """Read exactly one packet: its first byte and its body. For the handshake only; one `recv` a byte or two."""
    buffer = bytearray()
    while True:
        part = split_packet(buffer, 0) if len(buffer) >= 2 else None
        if part is not None:
            return buffer[0], bytes(buffer[part[0] : part[1]])
        chunk = sock.recv(1)
        if not chunk:
            raise WireError("expected a packet, but the broker closed the connection")
        buffer += chunk


def open_session(host: str, port: int, login: Login, *, clean: bool = True, wait_s: float = 10.0) -> socket.socket:
    """Connect, and wait for the broker's consent. The socket comes back blocking, with `wait_s` as its timeout.

    Raises:
        WireError: CONNACK with a refusal (section 3.2.2.3), or another packet.
        OSError: no connection.
    """
    sock = socket.create_connection((host, port), wait_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(connect_packet(login, clean=clean))
        first, body = read_packet(sock)
        if first != CONNACK or len(body) != 2 or body[1] != 0:
            raise WireError(f"expected CONNACK with return code 0, got packet 0x{first:02x} {body!r}")
    except BaseException:
        sock.close()
        raise
    return sock

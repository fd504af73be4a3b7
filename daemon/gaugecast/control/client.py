"""The caller's end of the control socket."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gaugecast.errors import CommandRefused, Unreachable

_LONGEST_ADDRESS = 107  # sun_path of unix(7), without the closing zero byte


@contextlib.contextmanager
def address_of(path: Path) -> Iterator[str]:
    """An address for `path` that fits into `sun_path`: a long one is reached through its open directory."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def call(path: Path, request: msgspec.Struct | Mapping[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
    """Send one request to the daemon that listens at `path`, and return its answer without `ok`.

    Args:
        path: The socket.
        request: One of `requests.Request`, or the same as a mapping.
        timeout_s: From now to the whole answer.

    Raises:
        Unreachable: Nobody listens, we may not connect, or no whole answer came within `timeout_s`.
        CommandRefused: The daemon says why it will not.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            with address_of(path) as address:
                connection.connect(address)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            line = _read_line(connection, deadline)
    except TimeoutError as exc:
        raise Unreachable(f"{path}: expected an answer within {timeout_s:g} s, got none") from exc
    except OSError as exc:
        raise Unreachable(f"{path}: expected a running gaugecast, got: {exc.strerror or exc}") from exc
    return _open_answer(path, line)


def _read_line(connection: socket.socket, deadline: float) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        chunk = connection.recv(262_144)
        if not chunk:
            raise ConnectionError("the daemon closed the connection before it had answered")
        answer += chunk
    return bytes(answer)


def _open_answer(path: Path, line: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise Unreachable(f"{path}: expected a JSON object, got: {exc}") from exc
    if not answer.pop("ok", False):
        raise CommandRefused(str(answer.get("error", "no reason given")))
    return answer

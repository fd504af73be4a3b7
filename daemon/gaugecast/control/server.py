"""The daemon's end of the control socket: never blocks, polled by the loop thread between two batches."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gaugecast.control.client import address_of
from gaugecast.control.requests import Request, decode_request, name_of
from gaugecast.errors import AlreadyRunning, CommandRefused, ConfigError

SOCKET_NAME = "control.sock"
MAX_CLIENTS = 16
MAX_REQUEST_BYTES = 65_536
MAX_ANSWER_BYTES = 32 * 1024 * 1024
#: A client that neither asks nor reads for so long is cut, unless it waits for an answer.
IDLE_S = 30.0

_TRUSTED = frozenset({0, os.geteuid()})


class Command:
    """One request, to be answered once, before the next poll or long after. Owner: the loop thread.

    Attributes:
        request: What is asked for; the types of its keys hold, their values are the caller's claims.
    """

    def __init__(self, request: Request, reply: Callable[[bytes], None]) -> None:
        self.request = request
        self._reply: Callable[[bytes], None] | None = reply

    @property
    def name(self) -> str:
        """The command's name."""
        return name_of(self.request)

    def answer(self, content: msgspec.Struct | Mapping[str, Any] | None = None) -> None:
        """Say that it was done, with `content` beside `"ok": true`. NaN and infinities become null."""
        self._send({"ok": True, **_to_builtins({} if content is None else content)})

    def refuse(self, error: str) -> None:
        """Say that it was not done, and why; a file's name in it that is no UTF-8 is spelled out."""
        self._send({"ok": False, "error": error.encode(errors="backslashreplace").decode()})

    def _send(self, answer: Mapping[str, Any]) -> None:
        if self._reply is None:
            raise ValueError(f"expected one answer to {self.name!r}, got a second")
        reply, self._reply = self._reply, None
        reply(msgspec.json.encode(answer) + b"\n")


class Control:
    """The listening socket and its clients. Owner: the loop thread.

    Args:
        path: Of the socket, 0600; a stale one is replaced.
        clock: Monotonic seconds.

    Raises:
        AlreadyRunning: Somebody answers at `path`.
        ConfigError: `path` is something else than a socket, or cannot be made.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._listener = _listen(path)
        self._inode = path.stat().st_ino
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._clients: dict[int, _Client] = {}

    def fileno(self) -> int:
        """A descriptor that can be read while somebody wants something."""
        return self._epoll.fileno()

    def poll(self) -> list[Command]:
        """Take what has come and send what can be sent, without waiting; the commands to be answered, in order."""
        commands: list[Command] = []
        for fd, events in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif (client := self._clients.get(fd)) is not None:
                if events & select.EPOLLOUT:
                    client.flush()
                if events & ~select.EPOLLOUT:
                    commands.extend(client.read())
        self._settle()
        return commands

    def close(self) -> None:
        """Cut all clients and remove the socket, if it is still ours."""
        for client in self._clients.values():
            client.socket.close()
        self._clients.clear()
        self._epoll.close()
        self._listener.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # out of descriptors: the next poll tries again
                return
            try:
                if len(self._clients) < MAX_CLIENTS and _is_trusted(connection):
                    connection.setblocking(False)
                    self._epoll.register(connection, select.EPOLLIN | select.EPOLLRDHUP)
                    self._clients[connection.fileno()] = _Client(connection, self._epoll, self._clock)
                    continue
            except OSError:  # it is gone already, or the kernel has no room to watch it: it may come again
                pass
            connection.close()

    def _settle(self) -> None:
        """Forget clients that are gone, or idle for too long; who waits for us is not idle."""
        horizon = self._clock() - IDLE_S
        for fd, client in list(self._clients.items()):
            if client.gone or (client.active_at < horizon and not client.waits):
                client.socket.close()  # epoll forgets it by itself
                del self._clients[fd]


class _Client:
    def __init__(self, connection: socket.socket, epoll: select.epoll, clock: Callable[[], float]) -> None:
        self.socket = connection
        self._broken = False
        self._ended = False  # it sends no more, but may still wait for answers
        self._unanswered = 0
        self._epoll = epoll
        self._clock = clock
        self.active_at = clock()
        self._incoming = b""
        self._outgoing = bytearray()

    @property
    def gone(self) -> bool:
        """Whether nothing more can be read from it or sent to it."""
        return self._broken or (self._ended and self._unanswered == 0 and not self._outgoing)

    @property
    def waits(self) -> bool:
        """Whether we owe it an answer."""
        return self._unanswered > 0

    def read(self) -> list[Command]:
        """Commands of all complete lines; a line that is no request is answered here."""
        try:
            chunk = self.socket.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            self._broken = True
            return []
        if not chunk:
            self._ended = True
            self._watch()
            return []
        self.active_at = self._clock()
        *lines, self._incoming = (self._incoming + chunk).split(b"\n")
        commands = [command for line in lines if (command := self._parse(line)) is not None]
        if len(self._incoming) > MAX_REQUEST_BYTES:
            self._refuse(f"expected a request of at most {MAX_REQUEST_BYTES} bytes on one line")
            self._broken = True
        return commands

    def _parse(self, line: bytes) -> Command | None:
        try:
            request = decode_request(line)
        except CommandRefused as exc:
            self._refuse(str(exc))
            return None
        self._unanswered += 1
        return Command(request, self._answer)

    def _answer(self, answer: bytes) -> None:
        self._unanswered -= 1
        self._send(answer)

    def _refuse(self, error: str) -> None:
        self._send(msgspec.json.encode({"ok": False, "error": error}) + b"\n")

    def _send(self, answer: bytes) -> None:
        if self._broken:
            return
        if len(self._outgoing) + len(answer) > MAX_ANSWER_BYTES:
            self._broken = True  # a client that does not read
            return
        self._outgoing += answer
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes; the rest when it becomes writable."""
        try:
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]
                self.active_at = self._clock()
        except BlockingIOError:
            pass
        except OSError:
            self._broken = True
            return
        self._watch()

    def _watch(self) -> None:
        reads = 0 if self._ended else select.EPOLLIN | select.EPOLLRDHUP
        with contextlib.suppress(OSError, ValueError):  # answered after it was closed
            self._epoll.modify(self.socket, reads | (select.EPOLLOUT if self._outgoing else 0))


def _to_builtins(content: msgspec.Struct | Mapping[str, Any]) -> dict[str, Any]:
    built = msgspec.to_builtins(content)
    if not isinstance(built, dict):
        raise TypeError(f"expected an answer with names, got {type(content).__name__}")
    return built


def _is_trusted(connection: socket.socket) -> bool:
    """Whether the peer is root or ourselves; the kernel says so (SO_PEERCRED: pid, uid, gid)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in _TRUSTED


def _listen(path: Path) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setblocking(False)
        os.fchmod(listener.fileno(), 0o600)  # before bind: Linux makes the file with these bits, no umask, no race
        with address_of(path) as address:
            listener.bind(address)
        listener.listen(MAX_CLIENTS)
    except OSError as exc:
        listener.close()
        raise ConfigError(f"{path}: expected to make the control socket here, got: {exc.strerror}") from exc
    return listener


def _remove_stale(path: Path) -> None:
    """Remove a socket at which nobody answers.

    Raises:
        AlreadyRunning, ConfigError: As `Control`.
    """
    if not os.path.lexists(path):
        return
    if not path.is_socket():
        raise ConfigError(f"{path}: expected a control socket or nothing, got another kind of file")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, address_of(path) as address:
        probe.setblocking(False)
        outcome = probe.connect_ex(address)
    if outcome in (0, errno.EAGAIN):  # EAGAIN: alive, with a full backlog
        raise AlreadyRunning(f"{path}: another gaugecast answers at this control socket")
    path.unlink(missing_ok=True)

"""The service manager's end of sd_notify: a real datagram socket, and what was said on it so far."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.mosquitto import wait_until


class ServiceManager:
    """Listens as systemd does. `environment` is what it starts its service with.

    Args:
        watchdog_s: WatchdogSec of the unit; `None` = no watchdog.
    """

    def __init__(self, directory: Path, *, watchdog_s: float | None = None) -> None:
        self._path = directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.setblocking(False)
        self.said: list[tuple[float, str]] = []
        self.environment = {"NOTIFY_SOCKET": str(self._path)}
        if watchdog_s is not None:
            self.environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))

    def lines(self) -> list[str]:
        """Every assignment so far, in order."""
        self._take()
        return [line for _, datagram in self.said for line in datagram.splitlines()]

    def instants(self, assignment: str) -> list[float]:
        """When the assignment came, monotonic seconds, as seen by whoever asked in time."""
        self._take()
        return [at for at, datagram in self.said if assignment in datagram.splitlines()]

    def wait_for(self, text: str, *, times: int = 1, deadline_s: float = 20.0) -> str:
        """Wait until `times` assignments contain `text`; the last of them."""
        found = wait_until(
            lambda: (hits := [line for line in self.lines() if text in line])[times - 1 :] and hits,
            what=f"{times} x {text!r} from the service; it said {self.lines()[-6:]}",
            deadline_s=deadline_s,
        )
        return str(found[-1])

    def forget(self) -> None:
        """Leave out what was said so far."""
        self._take()
        self.said.clear()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
        os.unlink(self._path)

    def _take(self) -> None:
        while True:
            try:
                self.said.append((time.monotonic(), self._socket.recv(8192).decode()))
            except BlockingIOError:
                return


@contextmanager
def listen(directory: Path, *, watchdog_s: float | None = None) -> Iterator[ServiceManager]:
    """A service manager, closed on leaving."""
    manager = ServiceManager(directory, watchdog_s=watchdog_s)
    try:
        yield manager
    finally:
        manager.close()

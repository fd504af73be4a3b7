"""What we tell systemd: sd_notify(3) over a datagram socket, in the standard library alone.

Every call is a no-op where nobody listens (`NOTIFY_SOCKET` absent), and never blocks or raises: a service manager
that does not read must not stop the loop.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Speaks to the service manager that `environ` names. Owner: the thread that made it; calls are a datagram each.

    Args:
        environ: Read once: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
        clock: Monotonic seconds, CLOCK_MONOTONIC as systemd compares it.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._address = _read_address(environ)
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self.watchdog_s = _read_watchdog(environ)
        self._beaten_at: float | None = None
        self._status: str | None = None

    @property
    def listening(self) -> bool:
        """Whether a service manager asked to be told."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """State is recovered and the loop turns; also ends a reload."""
        self._send("READY=1", *self._status_line(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`; sent when it differs from the last."""
        if lines := self._status_line(text):
            self._send(*lines)

    def beat(self) -> None:
        """The loop has finished a round: feed the watchdog, at most four times in its interval."""
        if self.watchdog_s is None:
            return
        now = self._clock()
        if self._beaten_at is None or now - self._beaten_at >= self.watchdog_s / 4:
            self._beaten_at = now
            self._send("WATCHDOG=1")

    def reloading(self, status: str = "") -> None:
        """A reload has begun (`Type=notify-reload`); `ready` ends it."""
        # systemd takes our READY for the answer to its SIGHUP only if this stamp is not older than the signal.
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1e6)}", *self._status_line(status))

    def stopping(self, status: str = "") -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1", *self._status_line(status))

    def extend_timeout(self, seconds: float) -> None:
        """Start, stop or reload goes on: do not kill us for `seconds` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def close(self) -> None:
        """Give the socket back; later calls do nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _status_line(self, text: str) -> tuple[str, ...]:
        line = " ".join(text.split())  # a line break would begin another assignment
        if not line or line == self._status:
            return ()
        self._status = line
        return (f"STATUS={line}",)

    def _send(self, *assignments: str) -> None:
        if self._socket is None or self._address is None:
            return
        with contextlib.suppress(OSError):  # full, or gone: what we would say is news, never truth
            self._socket.sendto("\n".join(assignments).encode(errors="replace"), self._address)


def _read_address(environ: Mapping[str, str]) -> str | None:
    """A path, or an abstract name whose `@` stands for a zero byte; other families are not for datagrams of ours."""
    name = environ.get("NOTIFY_SOCKET", "")
    if name.startswith("/"):
        return name
    return f"\0{name[1:]}" if name.startswith("@") else None


def _read_watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds from `WATCHDOG_USEC`, if it is meant for this process (sd_watchdog_enabled(3))."""
    interval, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    meant = not pid or (pid.isdecimal() and int(pid) == os.getpid())
    if not interval.isdecimal() or int(interval) == 0 or not meant:
        return None
    return int(interval) / 1e6

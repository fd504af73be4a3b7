"""sd_notify, read from the other end of a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugecast.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, in the file system and in the abstract namespace, and its NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@gaugecast-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name if request.param == "path" else f"\0{name[1:]}")
        listener.settimeout(5)
        yield listener, name


def received(listener: socket.socket) -> list[str]:
    """All datagrams that have come; a Unix datagram is there when `sendto` returns."""
    listener.setblocking(False)
    datagrams = []
    while True:
        try:
            datagrams.append(listener.recv(4096).decode())
        except BlockingIOError:
            return datagrams


def test_a_life_is_told_in_order(manager: tuple[socket.socket, str]) -> None:
    """Recovery, ready, reload and the end arrive as systemd spells them."""
    listener, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name}, clock=lambda: 12.5)
    notifier.extend_timeout(30)
    notifier.status("recovering 43 %")
    notifier.ready("forecasting 12 streams")
    notifier.reloading()
    notifier.ready()
    notifier.stopping("draining")
    assert received(listener) == [
        "EXTEND_TIMEOUT_USEC=30000000",
        "STATUS=recovering 43 %",
        "READY=1\nSTATUS=forecasting 12 streams",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "READY=1",
        "STOPPING=1\nSTATUS=draining",
    ]


def test_reloading_is_stamped_with_the_clock_that_systemd_compares(tmp_path: Path) -> None:
    """MONOTONIC_USEC is CLOCK_MONOTONIC in µs, not older than the call."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")}).reloading()
        stamp = int(received(listener)[0].rpartition("=")[2])
    assert before <= stamp <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_is_one_line_and_said_once(manager: tuple[socket.socket, str]) -> None:
    """The same text is not sent again, and a line break cannot smuggle an assignment in."""
    listener, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.status("broker: refused\nSTOPPING=1")
    notifier.status("broker: refused\nSTOPPING=1")
    notifier.status("broker: connected")
    assert received(listener) == ["STATUS=broker: refused STOPPING=1", "STATUS=broker: connected"]


def test_the_watchdog_is_fed_at_most_four_times_in_its_interval(manager: tuple[socket.socket, str]) -> None:
    """A thousand rounds a second are five beats in one interval of a second, not a thousand."""
    listener, name = manager
    now = [0.0]
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"}, clock=lambda: now[0])
    for i in range(1001):
        now[0] = i / 1000
        notifier.beat()
    assert received(listener) == ["WATCHDOG=1"] * 5


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_it_is_meant_for_us(environ: dict[str, str], watchdog_s: float | None) -> None:
    """Interval and process id are read as sd_watchdog_enabled(3) says."""
    assert Notifier(environ).watchdog_s == watchdog_s


def test_without_a_watchdog_no_beat_is_sent(manager: tuple[socket.socket, str]) -> None:
    """WatchdogSec absent: silence."""
    listener, name = manager
    Notifier({"NOTIFY_SOCKET": name}).beat()
    assert received(listener) == []


def test_a_status_that_is_no_text_is_told_all_the_same(manager: tuple[socket.socket, str]) -> None:
    """A file's name in it need not be UTF-8."""
    listener, name = manager
    Notifier({"NOTIFY_SOCKET": name}).status("no " + os.fsdecode(b"/var/\xff"))
    assert received(listener) == ["STATUS=no /var/?"]


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:1234"])
def test_without_a_manager_all_calls_do_nothing(name: str) -> None:
    """Started by hand, the daemon is none the worse."""
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"})
    assert not notifier.listening
    notifier.ready("x")
    notifier.beat()
    notifier.close()


def test_a_manager_that_does_not_read_stops_nobody(manager: tuple[socket.socket, str]) -> None:
    """A full or vanished socket neither blocks nor raises."""
    listener, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for i in range(2000):
        notifier.status(f"line {i}")
    assert 0 < len(received(listener)) < 2000
    listener.close()
    notifier.status("nobody there")
    notifier.close()
    notifier.status("closed")

"""Starts a broker, the daemon and the tanks, and ends them in the opposite order, whatever happens."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gaugecast.control import SOCKET_NAME
from gaugecast.demo.tanks import PERIOD_S, TIME_SCALE, fault_schedule, render_config
from gaugecast.errors import ConfigError, Unreachable
from gaugecast.service.children import has_console
from gaugecast_sim.broker import BrokerError, EmbeddedBroker
from gaugecast_sim.faults import Injected, inject
from gaugecast_sim.link import LinkError, PublishLink
from gaugecast_sim.publish import next_tick_ns, publish_in_time, tank_samples
from gaugecast_sim.tanks import Plant

_STOP_S = 10.0
_MOSQUITTO_S = 5.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class BrokerChoice:
    """Which broker the demo uses.

    Attributes:
        address: `host:port` of one that runs already; empty = start one.
        mosquitto: Start mosquitto rather than the embedded one.
    """

    address: str = ""
    mosquitto: bool = False


class Stage:
    """Everything that the demo runs, as a context. Owned by the main thread; the tanks have a thread of their own.

    Attributes:
        config: The daemon's configuration file, in a temporary directory that goes when the demo ends.
        socket: The daemon's control socket.
        broker: `host:port` and what it is.
        console: Where the console is; empty where its extra is not installed.
        injected: Every message that was tampered with so far; the tanks' thread appends.
    """

    def __init__(self, choice: BrokerChoice, *, tanks: int, seed: int, http_port: int = 0) -> None:
        self.injected: list[Injected] = []
        self.broker = self.console = ""
        self._choice, self._tanks, self._seed, self._http_port = choice, tanks, seed, http_port
        self._exits = ExitStack()
        self._daemon: subprocess.Popen[bytes] | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Stage:
        try:
            self._directory = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="gaugecast-demo-")))
            self.config = self._directory / "gaugecast.toml"
            self.socket = self._directory / "state" / SOCKET_NAME
            host, port, protocol = self._open_broker()
            self._start_daemon(host, port, protocol)
            self._start_tanks(host, port)
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._exits.close()

    def check(self) -> None:
        """Whether everything still runs.

        Raises:
            Unreachable: Something ended by itself; the message has its last words.
        """
        if self._failure is not None:
            raise Unreachable(f"the simulated tanks gave up: {self._failure}") from self._failure
        code = None if self._daemon is None else self._daemon.poll()
        if code is not None:
            raise Unreachable(f"the daemon ended with code {code}; its last words:\n{self._last_words()}")

    # -- the broker

    def _open_broker(self) -> tuple[str, int, str]:
        """Host, port and MQTT version to speak."""
        if self._choice.address:
            host, port = split_address(self._choice.address)
            self.broker = f"{host}:{port}"
            return host, port, "5"
        if self._choice.mosquitto:
            port = self._start_mosquitto()
            self.broker = f"localhost:{port}, mosquitto"
            return "127.0.0.1", port, "5"
        try:
            embedded = self._exits.enter_context(EmbeddedBroker())
        except BrokerError as exc:
            hint = "" if "amqtt" not in str(exc) else "; it comes with `pip install 'gaugecast[demo]'`"
            raise Unreachable(f"{exc}{hint}") from exc
        self.broker = f"localhost:{embedded.port}, embedded"
        return embedded.host, embedded.port, "3.1.1"

    def _start_mosquitto(self) -> int:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            raise Unreachable("mosquitto expected for --mosquitto, found none; `apt-get install mosquitto`")
        port = _free_port()
        settings = self._directory / "mosquitto.conf"
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\n")
        self._spawn("mosquitto", [program, "-c", str(settings)])
        until = time.monotonic() + _MOSQUITTO_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            time.sleep(0.02)
        raise Unreachable(f"mosquitto expected to listen on port {port} within {_MOSQUITTO_S:g} s, it did not")

    # -- the daemon

    def _start_daemon(self, host: str, port: int, protocol: str) -> None:
        client_id = f"gaugecast-demo-{os.getpid()}"
        console_port = _free_port() if has_console() else None
        self.console = "" if console_port is None else f"http://127.0.0.1:{console_port}/"
        self.config.write_text(
            render_config(
                self.config,
                host=host,
                port=port,
                protocol=protocol,
                client_id=client_id,
                http_port=self._http_port,
                console_port=console_port,
            )
        )
        command = [sys.executable, "-m", "gaugecast", "run", "-c", str(self.config)]
        self._daemon = self._spawn("daemon", command)

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        """A child that a Ctrl-C in our terminal does not reach; it is ended with SIGTERM when we leave."""
        with (self._directory / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # no thread of ours runs yet
            )
        self._exits.callback(_end, child)
        return child

    def _last_words(self) -> str:
        lines = (self._directory / "daemon.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-8:]) or "(none)"

    # -- the tanks

    def _start_tanks(self, host: str, port: int) -> None:
        try:
            link = self._exits.enter_context(PublishLink(host, port))
        except LinkError as exc:
            raise Unreachable(str(exc)) from exc
        stop = threading.Event()
        thread = threading.Thread(target=self._publish, args=(link, stop), name="tanks", daemon=True)
        self._exits.callback(thread.join, _STOP_S)
        self._exits.callback(stop.set)  # callbacks run last in, first out: stop, then join, then disconnect
        thread.start()

    def _publish(self, link: PublishLink, stop: threading.Event) -> None:
        plant = Plant(self._seed, self._tanks, PERIOD_S, time_scale=TIME_SCALE)
        start_ns = next_tick_ns(time.time_ns(), PERIOD_S)
        faults = fault_schedule(self._seed, tanks=self._tanks, start_ns=start_ns)
        try:
            publish_in_time(inject(tank_samples(plant, start_ns), faults, self.injected), link, stop=stop)
        except (LinkError, OSError) as exc:
            self._failure = exc  # `check` tells it to the main thread


def split_address(address: str) -> tuple[str, int]:
    """`host:port`, `[::1]:port` or `host` (port 1883).

    Raises:
        ConfigError: It is none of these.
    """
    host, colon, port = address.rpartition(":") if not address.endswith("]") else (address, "", "")
    if not colon:
        host, port = address, "1883"
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"--broker: expected host:port, got {address!r}")
    return host.strip("[]"), int(port)


def _free_port() -> int:
    """Of this machine, as long as nobody takes it before we do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """In the child: the kernel sends SIGTERM when the demo dies, even by kill -9."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL if that is not enough; by the child's own id."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

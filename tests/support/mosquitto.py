"""A real mosquitto for the tests: own port, own directory, ended by its process id; and raw paho clients beside it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def wait_until(condition: Callable[[], Any], *, what: str | Callable[[], str], deadline_s: float = 20.0) -> Any:
    """Poll until `condition()` is true and return it; AssertionError naming `what` once `deadline_s` are over."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        threading.Event().wait(0.005)
    raise AssertionError(f"waited {deadline_s:g} s in vain: {what if isinstance(what, str) else what()}")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free when bound."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files made by openssl for one test run: a CA, a server named localhost, a client."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(directory: Path) -> Certificates:
    """Make a CA and certificates signed by it, valid for two days."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    directory.mkdir(parents=True, exist_ok=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca")
    (directory / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "san"),
        )
    names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(directory / name for name in names))


class Mosquitto:
    """One broker on 127.0.0.1. `start`, `stop` (SIGTERM), `kill` (SIGKILL) and `restart` keep port and directory."""

    def __init__(
        self,
        directory: Path,
        *,
        conf: str = "",
        anonymous: bool = True,
        certificates: Certificates | None = None,
        client_certificates: bool = False,
        acl: str | None = None,
        persistence: bool = False,
        log_all: bool = True,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.certificates = certificates
        self._directory = directory
        self._log = directory / "mosquitto.log"
        self._child: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'true' if anonymous else 'false'}"]
        lines += ["log_dest stderr", "log_type all" if log_all else "log_type warning"]
        if os.geteuid() == 0:
            lines.append("user root")
        if certificates is not None:
            lines += [f"cafile {certificates.ca}", f"certfile {certificates.server}"]
            lines += [f"keyfile {certificates.server_key}", f"require_certificate {str(client_certificates).lower()}"]
        if acl is not None:
            (directory / "acl").write_text(acl)
            lines.append(f"acl_file {directory / 'acl'}")
        if persistence:
            lines += ["persistence true", f"persistence_location {directory}/", "autosave_interval 1800"]
        (directory / "mosquitto.conf").write_text("\n".join([*lines, conf, ""]))

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        assert MOSQUITTO is not None, "expected mosquitto to be installed"
        with self._log.open("ab") as log:
            command = [MOSQUITTO, "-c", str(self._directory / "mosquitto.conf")]
            self._child = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._accepts, what=f"mosquitto listening on {self.port}: {self.log_lines()[-3:]}")

    def stop(self) -> None:
        """End it with SIGTERM and wait; a broker with persistence saves its sessions."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL and wait; sessions since the last save are lost."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def write_acl(self, acl: str) -> None:
        """Replace the ACL file and have it read (SIGHUP)."""
        (self._directory / "acl").write_text(acl)
        os.kill(self.pid, signal.SIGHUP)

    def log_lines(self) -> list[str]:
        """All that it has logged, restarts included."""
        return self._log.read_text(errors="replace").splitlines() if self._log.exists() else []

    def count(self, text: str) -> int:
        """How many log lines contain `text`."""
        return sum(text in line for line in self.log_lines())

    def wait_for(self, text: str, *, times: int = 1, deadline_s: float = 20.0) -> None:
        """Wait until `times` log lines contain `text`."""
        wait_until(lambda: self.count(text) >= times, what=f"{times} x {text!r} in the log", deadline_s=deadline_s)

    def _accepts(self) -> bool:
        assert self._child is not None
        assert self._child.poll() is None, f"mosquitto ended at once: {self.log_lines()[-3:]}"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _end(self, sign: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGCONT)
            self._child.send_signal(sign)
            self._child.wait(timeout=20)
        self._child = None


@contextmanager
def run_mosquitto(directory: Path, **settings: Any) -> Iterator[Mosquitto]:
    """A started broker, ended on leaving."""
    broker = Mosquitto(directory, **settings)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


class Heard(NamedTuple):
    """One message as a raw client got it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class RawClient:
    """An independent paho client with paho's own thread: what the world beside our daemon sees and sends."""

    def __init__(self, broker: Mosquitto, *, client_id: str = "", subscribe: str | None = None, qos: int = 1) -> None:
        self.heard: list[Heard] = []
        self._ready = threading.Event()
        self._filter, self._qos = subscribe, qos
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(200)
        if broker.certificates is not None:
            files = broker.certificates
            context = ssl.create_default_context(cafile=str(files.ca))
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as in `mqtt.credentials`
            context.load_cert_chain(files.client, files.client_key)
            self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _c, _u, m: self.heard.append(Heard(m.topic, bytes(m.payload), m.qos, m.retain))
        self._client.connect("localhost" if broker.certificates else "127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._ready.wait(20), "expected the raw client to be connected and subscribed within 20 s"

    def publish(
        self, messages: Iterable[tuple[str, bytes]], *, qos: int = 1, retain: bool = False, wait: bool = True
    ) -> None:
        """Publish, and at QoS 1 wait until the broker has taken all."""
        sent = [self._client.publish(topic, body, qos, retain) for topic, body in messages]
        for each in sent if wait else ():
            each.wait_for_publish(30)

    def publish_with_properties(self, topic: str, body: bytes, user: list[tuple[str, str]], *, qos: int = 1) -> None:
        """Publish one message with user properties."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = user
        self._client.publish(topic, body, qos, properties=properties).wait_for_publish(30)

    def wait_heard(self, count: int, *, deadline_s: float = 20.0) -> list[Heard]:
        """Wait until `count` messages were heard; return all heard so far."""
        wait_until(lambda: len(self.heard) >= count, what=f"{count} messages heard", deadline_s=deadline_s)
        return list(self.heard)

    def close(self) -> None:
        """Disconnect and end paho's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        if self._filter is None:
            self._ready.set()
        else:
            client.subscribe(self._filter, self._qos)

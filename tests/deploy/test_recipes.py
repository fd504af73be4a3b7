"""deploy/mosquitto, as an operator copies it, in a real broker: TLS, passwords, ACL, queues."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import DaemonProcess, run_daemon
from support.machine import ROOT
from support.mosquitto import MOSQUITTO, Certificates, free_port, make_certificates, wait_until

DEPLOY = ROOT / "deploy"
PASSWORDS = {"gaugecast": "g-secret", "tank-7": "t-secret", "reader": "r-secret"}


class SiteBroker:
    """mosquitto with deploy/mosquitto's files, their paths and ports replaced, beside a main file as Debian has it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.plain, self.secure = free_port(), free_port()
        self.certificates: Certificates = make_certificates(directory / "certs")
        text = (DEPLOY / "mosquitto" / "gaugecast.conf").read_text()
        for old, new in (
            ("/etc/mosquitto/certs/server", str(directory / "certs" / "server")),
            ("/etc/mosquitto/certs", str(directory / "certs")),
            ("/etc/mosquitto", str(directory)),
            ("listener 1883", f"listener {self.plain}"),
            ("listener 8883", f"listener {self.secure}"),
        ):
            assert old in text
            text = text.replace(old, new)
        shutil.copy(DEPLOY / "mosquitto" / "gaugecast.acl", directory / "gaugecast.acl")
        (directory / "conf.d").mkdir()
        (directory / "conf.d" / "gaugecast.conf").write_text(text)
        main = f"persistence true\npersistence_location {directory}/\nlog_dest stderr\ninclude_dir {directory}/conf.d\n"
        (directory / "mosquitto.conf").write_text(main + "user root\n")
        for i, (user, password) in enumerate(PASSWORDS.items()):
            words = ["mosquitto_passwd", *(["-c"] if i == 0 else []), "-b", str(directory / "gaugecast.passwd")]
            subprocess.run([*words, user, password], check=True, capture_output=True)
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until both listeners answer."""
        assert MOSQUITTO is not None
        with (self._directory / "log").open("wb") as log:
            command = [MOSQUITTO, "-c", str(self._directory / "mosquitto.conf")]
            self._child = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(
            lambda: b"running" in (self._directory / "log").read_bytes(), what=f"mosquitto {self._directory}/log"
        )

    def close(self) -> None:
        """End it."""
        assert self._child is not None
        self._child.kill()
        self._child.wait(timeout=10)

    def publish(self, user: str, topic: str, payload: str, *, lines: bool = False) -> int:
        """mosquitto_pub at QoS 1 over TLS; its exit code. MQTT 5, so that a refusal is told."""
        login = ["-u", user, "-P", PASSWORDS[user]] if user else []
        words = ["mosquitto_pub", "-V", "5", "-p", str(self.secure), "--cafile", str(self.certificates.ca), *login]
        what = ["-l"] if lines else ["-m", payload]
        said = subprocess.run(
            [*words, "-h", "localhost", "-q", "1", "-t", topic, *what],
            input=payload if lines else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return said.returncode or int("error" in said.stderr.lower() or "not authorized" in said.stderr.lower())


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteBroker]:
    """A broker as an operator makes it of our files."""
    broker = SiteBroker(tmp_path_factory.mktemp("site") / "mosquitto")
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


def daemon_config(broker: SiteBroker, directory: Path) -> str:
    """The daemon's side: TLS, user, password file."""
    (directory / "password").write_text(PASSWORDS["gaugecast"])
    return f"""
[mqtt]
host = "localhost"
port = {broker.secure}
username = "gaugecast"
password_file = "{directory / "password"}"
[mqtt.tls]
ca = "{broker.certificates.ca}"
[fleet.tanks]
subscribe = ["plant/{{site}}/{{tank}}/telemetry"]
time = "$.t"
period = "1s"
[fleet.tanks.features.pressure]
"""


def reading(second: int) -> str:
    """One payload."""
    return json.dumps({"t": 1_700_000_000 + second, "pressure": 2.0})


def test_the_daemon_forecasts_through_tls_passwords_and_acl(broker: SiteBroker, tmp_path: Path) -> None:
    """A sensor writes its own topic, the daemon reads it and answers, a reader hears it."""
    with run_daemon(tmp_path / "d", daemon_config(broker, tmp_path)) as daemon:
        words = ["mosquitto_sub", "-p", str(broker.secure), "-h", "localhost", "--cafile", str(broker.certificates.ca)]
        login = ["-u", "reader", "-P", PASSWORDS["reader"]]
        heard = subprocess.Popen(
            [*words, *login, "-t", "gaugecast/tanks/#", "-C", "1", "-W", "20"], stdout=subprocess.PIPE, text=True
        )
        for second in range(3):
            assert broker.publish("tank-7", "plant/north/tank-7/telemetry", reading(second)) == 0
        daemon.wait_metric("gaugecast_forecasts_total", 3, fleet="tanks")
        broker.publish("tank-7", "plant/north/tank-7/telemetry", reading(9))  # once the reader is surely there
        out, _ = heard.communicate(timeout=25)
        assert json.loads(out)["stream"] == "north/tank-7"
        assert daemon.metrics().total("gaugecast_outputs_refused_total") == 0
        assert daemon.metrics().unaccounted == 0


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("tank-7", "plant/north/tank-8/telemetry"),
        ("tank-7", "gaugecast/tanks/north/tank-7"),
        ("reader", "plant/north/tank-7/telemetry"),
        ("", "plant/north/tank-7/telemetry"),
    ],
)
def test_nobody_writes_what_is_not_theirs(broker: SiteBroker, user: str, topic: str) -> None:
    """Another's readings, a forecast by a sensor, a reading by a reader, anything by nobody: refused."""
    assert broker.publish(user, topic, reading(0)) != 0


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_old_tls_is_refused(broker: SiteBroker) -> None:
    """1.2 at least."""
    context = ssl.create_default_context(cafile=str(broker.certificates.ca))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as in `mqtt.credentials`
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with (
        socket.create_connection(("localhost", broker.secure), timeout=5) as sock,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(sock, server_hostname="localhost")


def test_the_queue_holds_what_a_default_broker_would_drop(broker: SiteBroker, tmp_path: Path) -> None:
    """3,000 readings while the daemon is away, three times mosquitto's default: all are forecast when it is back."""
    daemon = DaemonProcess(tmp_path / "d", daemon_config(broker, tmp_path).replace("tanks", "queue"))
    try:
        daemon.start()
        assert daemon.stop() == 0
        lines = "\n".join(reading(100 + second) for second in range(3000))
        assert broker.publish("tank-7", "plant/south/tank-7/telemetry", lines, lines=True) == 0
        daemon.start()
        daemon.wait_metric("gaugecast_messages_received_total", 3000)
        assert daemon.metrics().unaccounted == 0
    finally:
        if daemon.running:
            daemon.kill()

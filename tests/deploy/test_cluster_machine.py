"""The units of a cluster under a real systemd: head, worker and cluster on one fresh machine, behind their walls."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import cluster.guard  # before ray, which reads its settings when it is imported

pytest.importorskip("ray", reason=cluster.guard.REASON)

import gaugecast
from deploy.test_cluster_deployment import PLACE, UNITS
from support.machine import Machine, run_machine, why_not
from support.mosquitto import Mosquitto, RawClient, free_port, run_mosquitto, wait_until
from support.postgres import INITDB, Postgres

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
    pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed"),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the fresh machine has Python 3.11, and ours is another"
    ),
]
#: What neither Ray nor a cluster without learners imports, and is large.
_LEFT = (
    "tensorflow*",
    "keras*",
    "jax*",
    "pyarrow*",
    "pandas*",
    "matplotlib*",
    "playwright*",
    "mypy*",
    "ruff*",
    "scipy*",
)
_CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {port}
[storage]
postgres = "{url}"
postgres_schema = "{schema}"
directory = "/var/lib/gaugecast/cluster"
[http]
port = 0
[learning]
mode = "off"
[fleet.tanks]
subscribe = ["tanks/{{tank}}"]
time = "$.t"
period = "1s"
stale_after = "1d"
[fleet.tanks.features.pressure]
"""
_PROGRAM = '#!/bin/sh\nPYTHONPATH=/opt/gaugecast/site exec /usr/bin/python3 -m {module} "$@"\n'


def install(machine: Machine) -> None:
    """Our own libraries, as they are, in the place where the units look for programs."""
    site = machine.shared / "site"
    shutil.copytree(sysconfig.get_paths()["purelib"], site, ignore=shutil.ignore_patterns(*_LEFT), symlinks=True)
    shutil.rmtree(site / "gaugecast", ignore_errors=True)
    shutil.copytree(Path(gaugecast.__file__ or "").parent, site / "gaugecast")
    machine.run("mkdir -p /opt/gaugecast/current/bin /etc/gaugecast && mv /run/shared/site /opt/gaugecast/site")
    for name, module in (("gaugecast", "gaugecast"), ("ray", "ray.scripts.scripts")):
        (machine.shared / name).write_text(_PROGRAM.format(module=module))
        machine.run(f"install -m 755 /run/shared/{name} /opt/gaugecast/current/bin/{name}")
    machine.run("useradd --system --no-create-home gaugecast")


def configure(machine: Machine, broker: Mosquitto, postgres: Postgres) -> str:
    """Files and units; the environment of commands, as words of a shell."""
    place, port = postgres.new_place(), free_port()
    text = _CONFIG.format(port=broker.port, url=place.url, schema=place.schema)
    (machine.shared / "cluster.toml").write_text(text)
    (machine.shared / "token").write_text(secrets.token_hex(32))
    names = {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/etc/gaugecast/token", "HEAD_ADDRESS": f"127.0.0.1:{port}",
        "NODE_ADDRESS": "127.0.0.1", "PARTITIONS": "2",
    }  # fmt: skip
    (machine.shared / "cluster.env").write_text("".join(f"{name}={value}\n" for name, value in names.items()))
    machine.run("install -o gaugecast -m 600 /run/shared/token /run/shared/cluster.* /etc/gaugecast/")
    for unit in UNITS:
        (machine.shared / unit).write_text((PLACE / unit).read_text().replace("--port 6379", f"--port {port}"))
        machine.run(f"cp /run/shared/{unit} /etc/systemd/system/")
    machine.run("systemctl daemon-reload")
    return "PATH=/opt/gaugecast/current/bin:$PATH " + " ".join(f"{name}={value}" for name, value in names.items())


@pytest.fixture
def client(tmp_path: Path) -> Iterator[tuple[Mosquitto, RawClient]]:
    """A broker, and somebody who sends readings and hears forecasts."""
    with run_mosquitto(tmp_path / "broker") as broker, RawClient(broker, subscribe="gaugecast/tanks/#") as one:
        yield broker, one


def test_the_units_make_a_cluster_that_forecasts_and_ends_in_order(
    client: tuple[Mosquitto, RawClient], postgres: Postgres, tmp_path: Path
) -> None:
    """Ray behind those walls, with what the head says of health checks; both nodes are there, and a stop is a stop."""
    broker, sensors = client
    with run_machine(tmp_path / "m") as machine:
        install(machine)
        environment = configure(machine, broker, postgres)

        def journal() -> str:
            return machine.run("journalctl --no-pager -n 60 -u 'gaugecast-*'", check=False).stdout

        machine.run("systemctl start gaugecast-ray-head")
        assert '{"health_check_initial_delay_ms":1000,' in machine.property("gaugecast-ray-head", "ExecStart")

        def said() -> list[dict[str, object]]:
            told = machine.run(f"{environment} gaugecast cluster status --json", check=False)
            return json.loads(told.stdout) if told.returncode == 0 else []

        machine.run("systemctl start gaugecast-ray-worker gaugecast-cluster")
        parts = wait_until(said, what=journal, deadline_s=150.0)
        at = int(time.time()) - 3600
        sensors.publish([(f"tanks/{n}", json.dumps({"t": at, "pressure": 1.0 + n}).encode()) for n in range(8)])
        assert len(sensors.wait_heard(8, deadline_s=60.0)) >= 8
        assert len({part["node"] for part in parts if str(part["name"]).startswith("partition-")}) == 2
        machine.run("systemctl stop gaugecast-cluster", deadline_s=150.0)
        assert machine.property("gaugecast-cluster", "Result") == "success", journal()
        assert "partition ready" in journal()

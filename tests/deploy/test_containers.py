"""Image and composition: what they promise, and their steps on a fresh machine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gaugecast.config import load_settings, resolve_fleets
from support.machine import ROOT, run_machine, why_not
from support.mosquitto import MOSQUITTO, free_port, wait_until
from support.wheels import wheelhouse

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "compose" / "Dockerfile").read_text()


# -- the composition


def service(name: str) -> dict[str, Any]:
    """One service of compose.yaml, anchors resolved."""
    found = COMPOSE["services"][name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", list(COMPOSE["services"]))
def test_every_service_is_walled_in_pinned_and_bounded(name: str) -> None:
    """No capability, no new privileges, read-only root, a version, a bound on memory, ports on this machine only."""
    one = service(name)
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["read_only"] is True
    assert one["restart"] == "unless-stopped"
    assert re.search(r":(v?\d+\.\d+\.\d+|local)$", one["image"])
    assert "mem_limit" in one
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))
    assert not one.get("privileged")
    assert "network_mode" not in one


def test_every_file_and_volume_that_is_mounted_is_there() -> None:
    """Relative sources exist beside compose.yaml, named ones are declared."""
    for one in COMPOSE["services"].values():
        for mount in one.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), mount
                assert mount.endswith(":ro"), mount
            else:
                assert source in COMPOSE["volumes"], mount
    build = service("gaugecast")["build"]
    assert (DEPLOY / "compose" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).exists()


def test_names_and_ports_of_the_composition_agree(tmp_path: Path) -> None:
    """The daemon's broker, Prometheus' target and Grafana's Prometheus are services of it, on the ports they serve."""
    config = DEPLOY / "compose" / "gaugecast.toml"
    settings = load_settings(config, {})
    assert resolve_fleets(settings)
    assert settings.mqtt.host in COMPOSE["services"]
    scrape = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    (target,) = scrape["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"gaugecast:{settings.http.port}"
    assert f"EXPOSE {settings.http.port}" in DOCKERFILE
    assert settings.http.host == "0.0.0.0"
    url = service("grafana")["environment"]["PROMETHEUS_URL"]
    assert re.fullmatch(r"http://(\w+):9090", url)[1] in COMPOSE["services"]  # type: ignore[index]
    mounted = {m.split(":")[1] for m in service("prometheus")["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in scrape["rule_files"]} <= mounted
    for name in ("gaugecast-rules.yml", "gaugecast-alerts.yml"):
        shutil.copy(DEPLOY / "prometheus" / name, tmp_path / name)
    shutil.copy(DEPLOY / "compose" / "prometheus.yml", tmp_path / "prometheus.yml")
    if shutil.which("promtool") is not None:
        subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True)


def test_the_composition_s_broker_starts(tmp_path: Path) -> None:
    """Its file, with the port and the directory replaced."""
    assert MOSQUITTO is not None
    text = (DEPLOY / "compose" / "mosquitto.conf").read_text()
    text = text.replace("listener 1883", f"listener {free_port()} 127.0.0.1").replace("/mosquitto/data", str(tmp_path))
    (tmp_path / "m.conf").write_text(text + "user root\n")
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen([MOSQUITTO, "-c", str(tmp_path / "m.conf")], stdout=log, stderr=log)
    try:
        wait_until(lambda: b"running" in (tmp_path / "log").read_bytes() or child.poll() is not None, what="mosquitto")
        assert child.poll() is None, (tmp_path / "log").read_text()
    finally:
        child.kill()
        child.wait(timeout=10)


# -- the image


def instructions() -> list[tuple[str, str]]:
    """(keyword, rest) of the Dockerfile, comments left out."""
    lines = re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
    found = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return [(words[0], words[1] if len(words) > 1 else "") for words in found]


def last_stage() -> list[tuple[str, str]]:
    """Instructions of the image that is shipped."""
    made = instructions()
    begin = max(i for i, (word, _) in enumerate(made) if word == "FROM")
    return made[begin:]


def test_the_dockerfile_keeps_to_the_rules() -> None:
    """Two stages from pinned bases, nothing fetched by ADD, no secret, not root, a health check, exec forms."""
    made = instructions()
    bases = [rest for word, rest in made if word == "FROM"]
    assert len(bases) == 2
    assert all(re.match(r"python:3\.1[123]-slim-\w+( AS \w+)?$", base) for base in bases)
    assert {word for word, _ in made} <= {
        *("FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL"),
        *("ENTRYPOINT", "CMD"),
    }
    assert not re.search(r"(?i)password|secret|token", DOCKERFILE)
    words = [word for word, _ in last_stage()]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert dict(last_stage())["USER"] == "10001:10001"
    assert "HEALTHCHECK" in words
    assert all(rest.startswith("[") for word, rest in last_stage() if word in ("ENTRYPOINT", "CMD"))
    assert not any("pip" in rest for word, rest in last_stage() if word == "RUN")


def test_only_what_is_copied_leaves_the_machine() -> None:
    """Every source of a COPY exists and is let through by the ignore file, which shuts out all else."""
    ignored = (DEPLOY / "compose" / "Dockerfile.dockerignore").read_text().splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in let_through, source


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_its_steps_build_a_small_daemon_that_runs_as_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The RUN lines on a fresh machine, then the entry point as user 10001: its version, its size."""
    wheels = wheelhouse(build=True)
    with run_machine(tmp_path / "m") as machine:
        shutil.copytree(wheels, machine.shared / "wheels", ignore=lambda _, names: {n for n in names if n == "dist"})
        source = machine.shared / "src"
        for word, rest in instructions():
            if word == "COPY" and not rest.startswith("--from"):
                *files, target = rest.split()
                for name in files:
                    place = source / (name if target == "./" else target)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, place)
        machine.run("ln -s /usr/bin/python3 /usr/local/bin/python; cp -r /run/shared/src /src")
        offline = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/run/shared/wheels PIP_NO_COMPILE=1"
        for word, rest in instructions():
            if word == "RUN":
                machine.run(f"cd /src && export {offline} && {rest}", deadline_s=300)
        entry = " ".join(map(shlex.quote, json.loads(dict(last_stage())["ENTRYPOINT"])))
        as_user = "setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs env PATH=/opt/gaugecast/bin:$PATH"
        assert machine.run(f"{as_user} {entry} version").stdout.strip()
        machine.run(f"{as_user} sh -c 'touch /var/lib/gaugecast/mine && ! touch /opt/gaugecast/theirs'")
        size_mb = int(machine.run("du -sm /opt/gaugecast").stdout.split()[0])
        with capsys.disabled():
            print(f"\nthe image's layer: {size_mb} MB")
        assert size_mb < 150

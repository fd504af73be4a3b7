"""Units and composition of a cluster: what systemd, Ray and our own command line make of them."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import cluster.guard  # before ray, which reads its settings when it is imported
from cluster.beginning import health_said
from deploy.test_systemd import needs_systemd
from gaugecast.cli.main import app
from gaugecast.cluster.plan import Plan
from gaugecast.config import load_settings
from support.machine import ROOT

PLACE = ROOT / "deploy" / "cluster"
UNITS = tuple(sorted(path.name for path in PLACE.glob("*.service")))
COMPOSE = yaml.safe_load((PLACE / "compose.yaml").read_text())
RAY_UNITS = ("gaugecast-ray-head.service", "gaugecast-ray-worker.service")
#: Of the daemon's: TensorFlow writes code, Ray reads of the machine in /proc and leaves its memory to a second unit.
NOT_ALL_WALLS = {
    *("MemoryDenyWriteExecute", "ProcSubset", "RemoveIPC", "PrivateUsers", "RestrictAddressFamilies"),
    "SystemCallFilter",
}


def service_of(name: str) -> dict[str, str]:
    """[Service] of a unit; of keys that come several times, the last."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case-sensitive
    parser.read(PLACE / name if name in UNITS else PLACE.parent / "systemd" / name)
    return dict(parser["Service"])


def started(name: str) -> list[str]:
    """The words that a unit starts, as systemd parts them: quotes are taken away wherever they stand."""
    return shlex.split(service_of(name)["ExecStart"])


def shell_words() -> list[list[str]]:
    """The commands of the composition's head, by line."""
    *_, script = COMPOSE["services"]["cluster"]["command"]
    return [shlex.split(line) for line in script.replace("\\\n", "").splitlines()]


# -- the units


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault_in_the_units(name: str, tmp_path: Path) -> None:
    """`systemd-analyze verify`, with a program in the place of ours."""
    for each in UNITS:
        text = re.sub(r"/opt/gaugecast/current/bin/\w+", "/bin/true", (PLACE / each).read_text())
        (tmp_path / each).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    assert [line for line in said.stderr.splitlines() if name in line] == []


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_the_exposure_stays_below_its_bound(name: str, tmp_path: Path) -> None:
    """systemd's own figure: 0 is walled in, 10 is free."""
    place = shutil.copy(PLACE / name, tmp_path / name)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", place]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_of_the_cluster_has_the_walls_of_the_daemon(name: str) -> None:
    """All but those that Ray or TensorFlow cannot live with; the same user; restarted for ever."""
    daemon, service = service_of("gaugecast.service"), service_of(name)
    walls = [
        key for key in daemon if key.startswith(("Protect", "Private", "Restrict", "SystemCall", "Lock", "Keyring"))
    ]
    walls += ["NoNewPrivileges", "CapabilityBoundingSet", "AmbientCapabilities", "User", "Group", "UMask", "Restart"]
    kept = [key for key in walls if key not in NOT_ALL_WALLS]
    assert {key: service.get(key) for key in kept} == {key: daemon[key] for key in kept}
    assert service["EnvironmentFile"] == "/etc/gaugecast/cluster.env"


def test_ray_tells_its_makers_nothing() -> None:
    """Neither of the units' nor of the composition's."""
    for name in RAY_UNITS:
        assert "RAY_USAGE_STATS_ENABLED=0" in service_of(name)["Environment"].split()
    for name in ("cluster", "worker"):
        assert COMPOSE["services"][name]["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"


# -- commands, wherever they stand


def options(words: Iterable[str]) -> list[str]:
    """The options among words, without values."""
    return [word.partition("=")[0] for word in words if word.startswith("-")]


def test_ray_knows_the_options_that_it_is_started_with() -> None:
    """Those of units and composition."""
    pytest.importorskip("ray", reason=cluster.guard.REASON)
    from ray.scripts.scripts import start

    known = {text for parameter in start.params for text in parameter.opts}
    worker = COMPOSE["services"]["worker"]["command"]
    for words in (*map(started, RAY_UNITS), shell_words()[0], worker):
        assert Path(words[0]).name == "ray"
        assert words[1] == "start"
        assert set(options(words)) <= known


@pytest.mark.parametrize("words", [started("gaugecast-cluster.service"), shell_words()[1][1:]])
def test_our_command_line_takes_what_it_is_started_with(words: Sequence[str]) -> None:
    """`gaugecast cluster run`, with its options."""
    assert (Path(words[0]).name, *words[1:3]) == ("gaugecast", "cluster", "run")
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    command = group.get_command(context, "cluster").get_command(context, "run")
    known = {text for parameter in command.params for text in parameter.opts}
    assert set(options(words)) <= known


def test_a_lost_node_is_noticed_in_three_seconds_everywhere() -> None:
    """What the head says of health checks holds for all; as JSON it must come through quotes."""
    unit = started("gaugecast-ray-head.service")
    said = json.loads(unit[unit.index("--system-config") + 1])
    words = shell_words()[0]
    assert said == json.loads(words[words.index("--system-config") + 1]) == health_said((PLACE / UNITS[1]).read_text())
    each_ms = said["health_check_period_ms"] + said["health_check_timeout_ms"]
    assert said["health_check_failure_threshold"] * each_ms <= 3000


# -- the composition


def test_its_configuration_is_one_of_a_cluster() -> None:
    """Broker and database are services; the metrics' port is the one that is let out."""
    settings = load_settings(PLACE / "gaugecast.toml", {})
    assert Plan.of([settings], 4).fleets
    database = re.fullmatch(r"postgresql://(\w+)@(\w+)/(\w+)", settings.storage.postgres)
    assert database is not None
    user, host, name = database.groups()
    assert {settings.mqtt.host, host} <= COMPOSE["services"].keys()
    made = COMPOSE["services"][host]["environment"]
    assert (made["POSTGRES_USER"], made.get("POSTGRES_DB", made["POSTGRES_USER"])) == (user, name)
    assert COMPOSE["services"]["cluster"]["ports"] == [f"127.0.0.1:{settings.http.port}:{settings.http.port}"]


@pytest.mark.parametrize("name", list(COMPOSE["services"]))
def test_every_service_is_bounded_and_what_it_names_is_there(name: str) -> None:
    """Versions, memory, files, volumes, secrets, services; those of ours have no capability."""
    one = COMPOSE["services"][name]
    assert one["restart"] == "unless-stopped"
    assert re.search(r":(\d+\.\d+(\.\d+)?|cluster)$", one["image"])
    assert "mem_limit" in one
    assert set(one.get("depends_on", ())) <= COMPOSE["services"].keys()
    assert set(one.get("secrets", ())) <= COMPOSE["secrets"].keys()
    for mount in one.get("volumes", []):
        source = mount.split(":")[0]
        assert (PLACE / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount
    if one["image"] == "gaugecast:cluster":
        assert one["cap_drop"] == ["ALL"]
        assert one["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/token"


def test_the_image_that_it_names_can_be_built() -> None:
    """Its first lines say how: the arguments are those of the Dockerfile, and the extra is one of ours."""
    text = (PLACE / "compose.yaml").read_text()
    command = re.search(r"#\s+(docker build .*)", text)
    assert command is not None
    words = shlex.split(command[1])
    dockerfile = (PLACE / words[words.index("-f") + 1]).read_text()
    name, _, value = words[words.index("--build-arg") + 1].partition("=")
    assert re.search(rf"^ARG {name}=", dockerfile, re.MULTILINE)
    assert f"\n{value} = [" in (ROOT / "pyproject.toml").read_text()
    assert f"{words[words.index('-t') + 1]}" == COMPOSE["services"]["worker"]["image"]
    assert (PLACE / words[-1]).resolve() == ROOT

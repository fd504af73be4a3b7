"""What a release consists of: lists of what is in it, the Home Assistant app, and all files made in one go."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from gaugecast.config import load_settings
from support.machine import ROOT

DEPLOY = ROOT / "deploy"
APP = DEPLOY / "home-assistant" / "gaugecast"


def script(path: Path) -> ModuleType:
    """A script of deploy/, imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_sbom(document: dict[str, Any], *, without: tuple[str, ...] = ("tensorflow",)) -> None:
    """Complete: us, all that the slim install asks for, and edges between what is there."""
    wanted = re.findall(r"^([a-z0-9-]+)", (DEPLOY / "requirements-edge.txt").read_text(), re.MULTILINE)
    names = {one["name"] for one in document["components"]}
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "gaugecast"
    assert set(wanted) <= names
    assert not names & set(without)
    refs = {one["bom-ref"] for one in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in document["dependencies"]} == refs
    assert all(set(one["dependsOn"]) <= refs for one in document["dependencies"])
    assert all(one["purl"].startswith("pkg:pypi/") for one in document["components"])


def test_the_list_of_an_installation_has_all_packages_once(tmp_path: Path) -> None:
    """Names are normalised, what is asked for only with an extra is no edge, and two looks give the same."""
    for name, version, requires in (("gaugecast", "1.0", "Struct_Log>=2"), ("Struct.Log", "2.1", 'x ; extra == "y"')):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\nRequires-Dist: {requires}\n"
        )
    sbom = script(DEPLOY / "sbom.py")
    found = sbom.describe(tmp_path)
    assert [one["purl"] for one in found["components"]] == ["pkg:pypi/struct-log@2.1"]
    assert found["dependencies"][0] == {"ref": "pkg:pypi/gaugecast@1.0", "dependsOn": ["pkg:pypi/struct-log@2.1"]}
    assert found["components"][0]["licenses"] == [{"license": {"name": "MIT"}}]
    assert sbom.describe(tmp_path) == found


@pytest.mark.parametrize(("learner", "expected"), [("no", "--no-deps ."), ("", "--no-deps ."), ("yes", ".")])
def test_one_dockerfile_makes_the_image_with_a_learner_and_that_without(learner: str, expected: str) -> None:
    """With it, all that the package asks for is installed; without, only the slim list."""
    text = (DEPLOY / "compose" / "Dockerfile").read_text()
    line = next(line for line in text.splitlines() if "LEARNER" in line and line.startswith("RUN"))
    said = subprocess.run(
        ["sh", "-c", line.removeprefix("RUN ").replace("/opt/gaugecast/bin/pip", "echo")],
        capture_output=True,
        text=True,
        env={"LEARNER": learner, "PATH": os.environ["PATH"]},
        check=True,
    )
    assert said.stdout.strip() == f"install --no-cache-dir {expected}"


def test_the_debian_package_s_configuration_is_right_and_short() -> None:
    """dpkg keeps it as it was changed, and asks only where the package's own changes: so it hardly ever may."""
    settings = load_settings(DEPLOY / "debian" / "gaugecast.toml", {})
    assert list(settings.fleet) == ["tanks"]
    assert len((DEPLOY / "debian" / "gaugecast.toml").read_text().splitlines()) < 30


# -- Home Assistant


def test_the_home_assistant_app_says_what_the_supervisor_asks_for() -> None:
    """The keys that an app must have, the version of the package, and a port that run.py opens."""
    told = yaml.safe_load((APP / "config.yaml").read_text())
    assert {"name", "version", "slug", "description", "arch"} <= told.keys()
    assert told["options"].keys() == told["schema"].keys()
    assert list(told["ports"]) == ["9464/tcp"]
    assert yaml.safe_load((DEPLOY / "home-assistant" / "repository.yaml").read_text())["name"]


def test_the_app_takes_broker_and_password_from_home_assistant(tmp_path: Path) -> None:
    """The password goes into a file that only its owner may read; each variable is a key of the configuration."""
    run = script(APP / "run.py")
    broker = {"host": "core-mosquitto", "port": 1883, "username": "addons", "password": "s3cret"}
    made = run.environment(broker, tmp_path / "secret")
    assert "s3cret" not in str(made)
    assert (tmp_path / "secret").read_text() == "s3cret"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    settings = load_settings(DEPLOY / "debian" / "gaugecast.toml", made)
    assert (settings.mqtt.host, settings.mqtt.username, settings.http.port) == ("core-mosquitto", "addons", 9464)
    assert run.environment({}, tmp_path / "none").keys() == {
        "GAUGECAST_STORAGE__DIRECTORY",
        "GAUGECAST_HTTP__HOST",
        "GAUGECAST_HTTP__PORT",
    }
    assert not (tmp_path / "none").exists()


# -- all of it


@pytest.mark.long
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_all_that_is_asked_for_is_there_for_arm64(tmp_path: Path, python: str) -> None:
    """As wheels, TensorFlow included: an image with a learner builds on an arm64 machine, and compiles nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    platforms = [f"--platform=manylinux{tag}_aarch64" for tag in ("_2_28", "_2_27", "_2_17", "2014")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--only-binary=:all:", *platforms]
    report = tmp_path / "report.json"
    words = ["--python-version", python, "--target", str(tmp_path / "none"), "--report", str(report)]
    found = subprocess.run([*command, *words, *project["dependencies"]], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    names = {one["metadata"]["name"] for one in json.loads(report.read_text())["install"]}
    assert {"tensorflow", "numpy", "msgspec"} <= names


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_release_has_all_its_files(tmp_path: Path) -> None:
    """Wheel and source, packages for two machines (whose wheels must be there), app, lists, sums."""
    pytest.importorskip("build")
    subprocess.run(
        ["sh", str(DEPLOY / "release.sh"), str(tmp_path)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHON": sys.executable},
    )
    version = re.search(r'"(.+)"', (ROOT / "daemon" / "gaugecast" / "__init__.py").read_text().split("__version__")[1])
    assert version is not None
    name = f"gaugecast_{version[1]}"
    assert {path.name for path in tmp_path.iterdir()} == {
        f"gaugecast-{version[1]}-py3-none-any.whl",
        f"gaugecast-{version[1]}.tar.gz",
        f"{name}_amd64.deb",
        f"{name}_amd64.cdx.json",
        f"{name}_arm64.deb",
        f"{name}_arm64.cdx.json",
        f"gaugecast-{version[1]}-home-assistant.tar.gz",
        "SHA256SUMS",
    }
    for line in (tmp_path / "SHA256SUMS").read_text().splitlines():
        digest, file = line.split()
        assert hashlib.sha256((tmp_path / file).read_bytes()).hexdigest() == digest
    for arch in ("amd64", "arm64"):
        check_sbom(json.loads((tmp_path / f"{name}_{arch}.cdx.json").read_text()))
    with tarfile.open(tmp_path / f"gaugecast-{version[1]}-home-assistant.tar.gz") as app:
        assert f"./gaugecast/gaugecast-{version[1]}-py3-none-any.whl" in app.getnames()
    with zipfile.ZipFile(tmp_path / f"gaugecast-{version[1]}-py3-none-any.whl") as wheel:
        assert "gaugecast/__init__.py" in wheel.namelist()
        listed = json.loads(wheel.read(f"gaugecast-{version[1]}.dist-info/sboms/gaugecast.cdx.json"))
    check_sbom(listed, without=())

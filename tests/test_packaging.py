"""What is shipped: the wheel has all that it needs and nothing else, and a gateway can do without TensorFlow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import gaugecast
import gaugecast_sim
from gaugecast.loop.models import SHIPPED
from support.mosquitto import MOSQUITTO, RawClient, run_mosquitto

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*words: str | Path, deadline_s: float = 280.0) -> str:
    """Run a command without our source roots on the path; what it said on stdout, or AssertionError with stderr."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=deadline_s, env=environ, cwd=ROOT, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree as anyone would."""
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", place, ROOT)
    (built,) = place.glob("*.whl")
    return built


@pytest.mark.skipif(os.environ.get("GAUGECAST_TEST_INSTALLED") != "1", reason="the sources are under test here")
def test_the_package_under_test_is_the_installed_one() -> None:
    """`make test` tests what a user gets, not the working tree."""
    for package in (gaugecast, gaugecast_sim):
        assert package.__file__ is not None
        assert "site-packages" in package.__file__


def test_the_wheel_carries_code_schema_model_and_licence_and_nothing_else(wheel: Path) -> None:
    """Two packages, each file of the tree in it once, no tests, no caches."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    shipped = {name for name in names if ".dist-info/" not in name}
    sources = {
        str(path.relative_to(root))
        for root in (ROOT / "daemon", ROOT / "simulators")
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    told = Parser().parsestr(metadata)

    assert shipped == sources
    assert len(names) == len(set(names))
    assert {
        "gaugecast/forecast/forecast.schema.json",
        "gaugecast/forecast/anomaly/anomaly.schema.json",
        "gaugecast/forecast/crossings/crossing.schema.json",
        "gaugecast/shipped/demo-tanks/model.json",
        "gaugecast/shipped/demo-tanks/weights.npz",
        "gaugecast/py.typed",
        "gaugecast_sim/py.typed",
    } <= shipped
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Version"] == gaugecast.__version__
    assert told["Requires-Python"].replace(" ", "") in ("<3.14,>=3.11", ">=3.11,<3.14")


def test_the_shipped_models_are_small() -> None:
    """A wheel is no place for large weights."""
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 100_000


def test_the_list_for_gateways_is_ours_without_tensorflow() -> None:
    """deploy/requirements-edge.txt and the declared dependencies differ by TensorFlow alone."""
    text = (ROOT / "deploy" / "requirements-edge.txt").read_text()
    edge = sorted(line for line in text.splitlines() if line and not line.startswith("#"))

    assert edge == sorted(one for one in PROJECT["dependencies"] if not one.startswith("tensorflow"))


def test_the_list_for_the_console_is_the_extra() -> None:
    """deploy/requirements-console.txt, which the Debian package and install.sh bring along."""
    text = (ROOT / "deploy" / "requirements-console.txt").read_text()
    listed = sorted(line for line in text.splitlines() if line and not line.startswith("#"))

    assert listed == sorted(PROJECT["optional-dependencies"]["console"])
    for script in ("install.sh", "debian/build.sh"):
        assert "requirements-console.txt" in (ROOT / "deploy" / script).read_text()


@pytest.mark.long
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_gateway_without_tensorflow_forecasts_with_a_trained_model(wheel: Path, tmp_path: Path) -> None:
    """A clean environment with that list and the wheel alone: no TensorFlow, and forecasts with the model's version."""
    gateway = tmp_path / "gateway"
    run(sys.executable, "-m", "venv", gateway)
    pip = (gateway / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, "-r", ROOT / "deploy" / "requirements-edge.txt")
    run(*pip, "--no-deps", wheel)
    installed = run(gateway / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "list")
    version = json.loads((SHIPPED / "demo-tanks" / "model.json").read_text())["version"]

    with (
        run_mosquitto(tmp_path / "broker") as broker,
        RawClient(broker, subscribe="gaugecast/demo-tanks/#") as client,
    ):
        said = run(
            *(gateway / "bin" / "gaugecast", "demo", "--broker", f"127.0.0.1:{broker.port}"),
            *("--tanks", "2", "--for", "8"),
            deadline_s=90,
        )
        said_by = (json.loads(heard.payload) for heard in client.heard)
        models = {message["model"] for message in said_by if "forecast" in message}

    assert not re.search("tensorflow|keras", installed, re.IGNORECASE)
    assert re.search(r"[1-9]\d* forecasts", said), said
    assert version in models
    assert models <= {None, version}  # None: the first steps, until it is warm

"""Wheels for machines without a network: the slim requirements, fetched once, and the package itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.machine import ROOT

WHEELHOUSE = ROOT / "build" / "wheelhouse"


def wheelhouse(*, build: bool = False) -> Path:
    """What deploy/requirements-*.txt name, and what the build needs if `build`; kept under build/.

    For Debian 12's Python, whatever runs the tests.
    """
    target = ["--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    target += ["--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64"]
    lists = [ROOT / "deploy" / f"requirements-{name}.txt" for name in ("edge", "console")]
    wanted = [(re.findall(r"(?m)^[a-z0-9-]+", listed.read_text()), ["-r", str(listed)]) for listed in lists]
    if build:
        wanted.append((["hatchling"], ["hatchling>=1.28"]))
    for names, words in wanted:
        if not all(list(WHEELHOUSE.glob(f"{name.replace('-', '_')}-*.whl")) for name in names):
            command = [sys.executable, "-m", "pip", "download", "-q", "-d", str(WHEELHOUSE), *target, *words]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
    return WHEELHOUSE


def package_wheel(directory: Path) -> Path:
    """The package: the wheel under test if one is, else one of the sources as they are now."""
    built = sorted((ROOT / "build" / "dist").glob("gaugecast-*.whl"))
    if os.environ.get("GAUGECAST_TEST_INSTALLED") == "1" and built:
        return built[-1]
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return next(directory.glob("gaugecast-*.whl"))

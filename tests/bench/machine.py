"""Where it was measured: processor, versions, the BLAS kernel that ran, and what else the machine did meanwhile."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LOOK_S = 1.0
_WRITES, _WRITTEN = 200, 8192
_PACKAGES = ("numpy", "msgspec", "tensorflow", "keras", "paho-mqtt", "gmqtt", "uvloop", "river")
_KERNEL = "from gaugecast.engine.selftest import fingerprint as f; print(f().split('; ')[3].removeprefix('blas '))"


def facts() -> dict[str, str]:
    """What a reader must know to compare the figures with others."""
    return {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{_system()}, Linux {platform.release()}",
        "broker": _mosquitto(),
        "Python": platform.python_version(),
        "packages": ", ".join(_versions()),
        "BLAS kernel": blas_kernel(),
        "disk": disk(),
    }


def disk() -> str:
    """How long a commit waits for the disk that ledgers are on: 8 KB over bytes that are there, and fdatasync."""
    place = Path("build/bench/disk")
    place.parent.mkdir(parents=True, exist_ok=True)
    waits_s = []
    with place.open("wb") as file:
        for number in range(2 * _WRITES):
            began = time.perf_counter()
            os.pwrite(file.fileno(), bytes(_WRITTEN), _WRITTEN * (number % _WRITES))
            os.fdatasync(file.fileno())
            waits_s.append(time.perf_counter() - began)
    place.unlink()
    waits_s = sorted(waits_s[_WRITES:])
    p50, p99 = (1e3 * waits_s[int(share * _WRITES)] for share in (0.5, 0.99))
    return f"8 KB and fdatasync {p50:.1f} ms, one in a hundred {p99:.1f} ms"


def blas_kernel() -> str:
    """What a daemon started from here computes with."""
    found = subprocess.run([sys.executable, "-c", _KERNEL], capture_output=True, text=True, check=True)
    return found.stdout.strip()


class Load:
    """What the machine did beside the benchmark: looked at for a second before it began, when ours do nothing."""

    def __init__(self) -> None:
        self._others = _busy_share(_times(), _times_after(LOOK_S))
        self._began = _times()

    def __str__(self) -> str:
        """Busy before with other things, and stolen by the host since, in per cent of all processors."""
        stolen = _share(self._began, _times(), "steal")
        return f"{self._others:.0%} busy before, {stolen:.0%} stolen"


def _times() -> dict[str, int]:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    return dict(zip(names, map(int, fields), strict=True))


def _times_after(seconds: float) -> dict[str, int]:
    time.sleep(seconds)
    return _times()


def _busy_share(before: dict[str, int], after: dict[str, int]) -> float:
    return 1 - _share(before, after, "idle") - _share(before, after, "iowait")


def _share(before: dict[str, int], after: dict[str, int], name: str) -> float:
    passed = sum(after.values()) - sum(before.values())
    return (after[name] - before[name]) / passed if passed else 0.0


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _mosquitto() -> str:
    from support.mosquitto import MOSQUITTO

    said = subprocess.run([MOSQUITTO or "mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    return said.split("\n", 1)[0].replace(" version", "")

"""`gaugecast check -c FILE` as an operator types it: one good file and five bad ones, each with its message."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.daemon import run_command

CONFIGS = Path(__file__).parent.parent / "configs"

#: File → what its message must name: file, place, and the mend.
BAD = {
    "bad_key.toml": ("[fleet.tanks]", "did you mean 'period'"),
    "bad_loop.toml": ("[fleet.tanks] output", "publish elsewhere"),
    "bad_overlap.toml": ("[fleet.boilers] subscribe", "make them disjoint"),
    "bad_qos.toml": ("[fleet.tanks] input_qos", "expected 0 or 1"),
    "bad_secret.toml": ("[mqtt] password", "password_file"),
    "bad_stream.toml": ("{hall} is not captured", "{site}, {tank}"),
}


def test_a_good_file_passes() -> None:
    """Exit 0, and what it would do."""
    found = run_command("check", "-c", str(CONFIGS / "good.toml"))
    assert found.returncode == 0, found.stderr
    assert "plant/{site}/{tank}/telemetry" in found.stdout


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_file_is_refused_with_file_place_and_mend(name: str) -> None:
    """Exit 78, one message, no traceback."""
    found = run_command("check", "-c", str(CONFIGS / name))
    assert found.returncode == 78
    assert "Traceback" not in found.stderr
    for word in (name, *BAD[name]):
        assert word in found.stderr

"""The project's own habits: nothing is checked less strictly here than elsewhere, and nothing twice in two ways."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_tests_are_typed_as_strictly_as_the_source() -> None:
    """All that is linted is checked by mypy, by one set of rules; no file is let off."""
    mypy = PROJECT["tool"]["mypy"]
    assert mypy["strict"]
    assert {"daemon/gaugecast", "simulators/gaugecast_sim", "tests"} <= set(mypy["files"])
    assert "exclude" not in mypy
    let_off = [text for text in (ROOT / "tests").rglob("*.py") if "# mypy: ignore" in text.read_text()[:500]]
    assert [path for path in let_off if path.name != Path(__file__).name] == []
    assert {one for table in mypy["overrides"] for one in table} <= {
        "module",
        "ignore_missing_imports",
        "follow_imports",
    }


def test_warnings_wrong_options_and_tests_that_should_fail_and_pass_are_errors() -> None:
    """A deprecation is met when it is new; a test that is expected to fail says so when it no longer does."""
    pytest = PROJECT["tool"]["pytest"]["ini_options"]
    assert pytest["filterwarnings"][0] == "error"
    assert pytest["xfail_strict"]
    assert {"--strict-markers", "--strict-config"} <= set(pytest["addopts"].split())


def test_before_a_commit_the_same_is_checked_as_by_make() -> None:
    """By the same tools from the same place."""
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooked = {hook["entry"].removeprefix(".venv/bin/python -m ").split()[0] for hook in local["hooks"]}
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert hooked == set(re.findall(r"-m (\w+)", recipe[1]))

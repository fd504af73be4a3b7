"""Rules and alerts: checked by promtool, fired and kept silent by it, and loaded by a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alert_cases import CASES, HEALTHY, MINUTES, QUIET
from gaugecast.metrics.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "deploy" / "prometheus"
RULES, ALERTS = PLACE / "gaugecast-rules.yml", PLACE / "gaugecast-alerts.yml"

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def rules_of(path: Path) -> list[dict[str, Any]]:
    """All rules of a file."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERT_NAMES = [rule["alert"] for rule in rules_of(ALERTS)]


def promtool(*words: object) -> str:
    """What promtool says; fails if it does."""
    said = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout + said.stderr


def series(samples: Mapping[str, str]) -> list[dict[str, str]]:
    """Input series as promtool's tests have them."""
    return [{"series": name, "values": values} for name, values in samples.items()]


def firing(alert: str, at: int, count: int) -> dict[str, Any]:
    """Expects that so many alerts of a name fire at a minute."""
    expected = [{"labels": "{}", "value": count}] if count else []
    expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    return {"expr": expr, "eval_time": f"{at}m", "exp_samples": expected}


def promtool_file(directory: Path, test: dict[str, Any], *, alerts: Path = ALERTS) -> Path:
    """A unit test for promtool of the recording rules and `alerts`."""
    document = {"rule_files": [str(RULES), str(alerts)], "evaluation_interval": "1m", "tests": [test]}
    path = directory / f"{alerts.stem}-tests.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=10_000))
    return path


def alone(directory: Path, name: str) -> Path:
    """A file of rules with one alert: that the others do not fire meanwhile is not asked, and takes their time."""
    rule = next(rule for rule in rules_of(ALERTS) if rule["alert"] == name)
    path = directory / f"{name}.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": [rule]}]}))
    return path


def test_promtool_accepts_rules_and_configuration() -> None:
    """`promtool check rules` and `check config`, which follows the rule files."""
    promtool("check", "rules", RULES, ALERTS)
    assert "2 rule files found" in promtool("check", "config", PLACE / "prometheus.yml")


def test_every_alert_fires_when_it_should_and_not_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One trouble each on an otherwise healthy daemon; before its time it is silent."""
    assert sorted(CASES) == sorted(ALERT_NAMES)
    files = []
    for name, case in CASES.items():
        samples = {**{n: s for n, s in HEALTHY.items() if n not in case.without}, **case.series}
        expected = [firing(name, case.silent, 0), firing(name, case.fires, 1)]
        test = {"name": name, "interval": "1m", "input_series": series(samples), "promql_expr_test": expected}
        files.append(promtool_file(tmp_path, test, alerts=alone(tmp_path, name)))
    said = promtool("test", "rules", *files)
    with capsys.disabled():
        print(f"\npromtool test rules, {len(CASES)} alerts fire: {said.split()[-1]}")


@pytest.mark.parametrize("scene", list(QUIET))
def test_every_alert_stays_silent_on_a_daemon_that_is_well(
    scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Quiet, paused, restarting or at full work: nothing fires at any time that is looked at, over eight hours."""
    minutes = [*range(1, 140, 3), *range(145, MINUTES, 20)]
    expr = 'count by (alertname) (ALERTS{alertstate="firing"})'
    silent = [{"expr": expr, "eval_time": f"{minute}m", "exp_samples": []} for minute in minutes]
    test = {"name": scene, "interval": "1m", "input_series": series(QUIET[scene]), "promql_expr_test": silent}
    said = promtool("test", "rules", promtool_file(tmp_path, test))
    with capsys.disabled():
        print(f"\npromtool test rules, {scene.split(':')[0]}: all silent, {said.split()[-1]}")


def test_rules_ask_only_for_metrics_that_exist() -> None:
    """A renamed metric must not silence an alert without a word."""
    known = {d.name for d in CATALOGUE} | {r["record"] for r in rules_of(RULES)}
    known |= {"up", "process_start_time_seconds", "process_resident_memory_bytes"}
    known |= {f"{d.name}_{part}" for d in CATALOGUE if d.kind == "histogram" for part in ("bucket", "sum", "count")}
    for rule in rules_of(RULES) + rules_of(ALERTS):
        asked = set(re.findall(r"\b(?:\w+:)?(?:gaugecast|process)_\w+(?::\w+)?|\bup\b", rule["expr"]))
        assert asked, rule
        assert asked <= known, f"{rule}: {asked - known}"


def test_the_healthy_daemon_has_every_metric_that_an_alert_asks_for() -> None:
    """Silence for want of a series would prove nothing."""
    have = {name.partition("{")[0] for name in HEALTHY}
    for rule in rules_of(RULES) + rules_of(ALERTS):
        asked = set(re.findall(r"(?<![\w:])(?:gaugecast|process)_\w+", rule["expr"]))
        assert asked - {"gaugecast_stage_seconds_sum"} <= have, f"{rule}: {asked - have}"


@pytest.mark.parametrize("rule", rules_of(ALERTS), ids=ALERT_NAMES)
def test_every_alert_tells_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    """Summary, description, severity, and a section of the runbook that is there."""
    notes = rule["annotations"]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert 10 < len(notes["summary"]) < 120
    assert len(notes["description"]) > len("A sentence that says what it means.")
    path, _, anchor = notes["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor in {heading.strip().lower() for heading in headings}


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    """The other way round."""
    headings = re.findall(r"^#+ (Gaugecast\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERT_NAMES)


def test_a_mutant_of_an_alert_turns_its_test_red(tmp_path: Path) -> None:
    """The harness can fail: a threshold moved out of reach is noticed."""
    text = ALERTS.read_text().replace("gaugecast_disk_free_bytes < 1e9", "gaugecast_disk_free_bytes < 1")
    (tmp_path / "mutant.yml").write_text(text)
    case = CASES["GaugecastDiskLow"]
    test = {
        "interval": "1m",
        "input_series": series({**HEALTHY, **case.series}),
        "promql_expr_test": [firing("GaugecastDiskLow", case.fires, 1)],
    }
    document = {"rule_files": [str(RULES), str(tmp_path / "mutant.yml")], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "tests.yml").write_text(json.dumps(document))
    said = subprocess.run(["promtool", "test", "rules", tmp_path / "tests.yml"], capture_output=True, check=False)
    assert said.returncode != 0

"""A week of a small plant: the alerts that fire are those that should, and none else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.test_prometheus import ALERTS, RULES, rules_of
from gaugecast.service.replaying import replay_ledger
from simulation.place import empty_place
from week.plant import T0_S, Plant
from week.series import Series
from week.story import SHORT, WEEK, Story

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")

#: What rules and alerts ask for; buckets and sums of histograms, too.
ASKED = {name for rule in rules_of(RULES) + rules_of(ALERTS) for name in re.findall(r"\bgaugecast_\w+", rule["expr"])}


def live(story: Story, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Series:
    """Live a story; what was scraped. No reading is lost but those that the restore goes back behind."""
    series = Series(ASKED, T0_S)
    plant = Plant(directory, series, monkeypatch)
    story.live(plant)
    assert plant.broker.idle
    assert plant.broker.published_total >= plant.kept
    plant.stop()
    report = replay_ledger(plant.state, plant.settings.loop)
    assert report.outputs > 100
    assert report.differing == 0
    return series


def judge(series: Series, story: Story, directory: Path) -> str:
    """What promtool says where exactly these alerts fire."""
    expr = 'group by (alertname) (ALERTS{alertstate="firing"})'
    tests = [
        {
            "expr": expr,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
        }
        for minute, names in story.looked_at()
    ]
    test = {"name": "plant", "interval": "1m", "input_series": series.to_promtool(), "promql_expr_test": tests}
    document = {"rule_files": [str(RULES), str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}
    (directory / "tests.yml").write_text(json.dumps(document))
    said = subprocess.run(
        ["promtool", "test", "rules", directory / "tests.yml"], capture_output=True, text=True, check=False, timeout=900
    )
    return said.stdout + said.stderr if said.returncode else "SUCCESS"


@pytest.mark.parametrize(
    "story", [SHORT, pytest.param(WEEK, marks=[pytest.mark.long, pytest.mark.timeout(2400)])], ids=["short", "week"]
)
def test_the_alerts_that_fire_are_those_that_should(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor taken off, the broker restarted, an upgrade, a restore, a full disk; and long hours between.

    The harness can fail: a story in which one alert more is expected turns it red.
    """
    with empty_place() as place:
        series = live(story, place, monkeypatch)
    assert judge(series, story, tmp_path) == "SUCCESS"
    monkeypatch.setattr(Story, "looked_at", lambda _: iter([(story.full - 30, {"GaugecastDown"})]))
    assert "GaugecastDown" in judge(series, story, tmp_path)

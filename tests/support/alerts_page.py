"""docs/alerts.md, made of the alerts that ship: PYTHONPATH=tests python -m support.alerts_page docs/alerts.md"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "gaugecast-alerts.yml"
BEGIN = "<!-- from here on written by `python -m support.alerts_page docs/alerts.md` -->\n"
SEVERITIES = ("critical", "warning", "info")


def alerts() -> list[dict[str, Any]]:
    """Those of the file, in its order."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def render() -> str:
    """A table by severity, and what each asks."""
    return "".join(_section(severity) for severity in SEVERITIES)


def _section(severity: str) -> str:
    rules = [rule for rule in alerts() if rule["labels"]["severity"] == severity]
    lines = [f"\n## {severity.capitalize()}"]
    for rule in rules:
        lines += ["", f"### `{rule['alert']}`", "", *_told(rule)]
    return "\n".join(lines) + "\n"


def _told(rule: dict[str, Any]) -> Iterator[str]:
    notes = rule["annotations"]
    yield f"{words(notes['summary'])}. {words(notes['description'])}"
    yield ""
    yield f"For {rule.get('for', '0s')}. What to do: [runbook]({notes['runbook_url'].removeprefix('docs/')})."
    yield ""
    yield "```promql"
    yield rule["expr"].strip()
    yield "```"


def words(text: str) -> str:
    """What Prometheus fills in, as people say it: `{{ $labels.fleet }}` is FLEET."""
    text = re.sub(r"\{\{ \$labels\.(\w+) [^}]*\}\}|\{\{ \$labels\.(\w+) \}\}", lambda m: (m[1] or m[2]).upper(), text)
    text = re.sub(r"\{\{ \$value \| humanizePercentage \}\}", "N %", " ".join(text.split()))
    return re.sub(r"\{\{[^}]*\$value[^}]*\}\}", "N", text)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(page.read_text().partition(BEGIN)[0] + BEGIN + render())

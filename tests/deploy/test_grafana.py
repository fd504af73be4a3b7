"""Dashboards: made by code, valid for Grafana, and every panel's query answered by a live Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gaugecast.demo.tanks import PERIOD_S
from gaugecast.metrics.catalogue import CATALOGUE
from support.plant import Plant, run_plant

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "deploy" / "grafana"
PAGES = {path.stem: json.loads(path.read_text()) for path in sorted((PLACE / "dashboards").glob("*.json"))}

#: What Grafana puts in place of its variables: one fleet, stream and feature, all instances.
CHOSEN = {
    "instance": ".*",
    "fleet": "demo-tanks",
    "stream": "tank-01",
    "feature": "temperature",
    "__rate_interval": "10s",
}

#: Of what this plant has not: a silent stream, a model on trial, a backup.
EMPTY = {"Silent streams/A", "Learning progress/B", "Skill in shadow/A", "Skill in shadow/B", "Newest backup/A"}
#: And it lists no horizons, nor thresholds.
EMPTY |= {f"What is expected, by horizon/{letter}" for letter in "ABC"}
EMPTY |= {f"How honest intervals are/{letter}" for letter in "AB"}
EMPTY |= {"Most surprising now/A", "How strange it is/A"}  # nothing is judged so early
EMPTY |= {"Crossings/A", "Time until a crossing/A", "Streams with a crossing foretold/A", "Share of each expert/A"}
EMPTY |= {"Skill of each expert/A"}


def panels_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels that ask something."""
    return [panel for panel in page["panels"] if panel["type"] not in ("row", "text")]


def queries_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    """(title/letter, expression) of all queries."""
    return [(f"{p['title']}/{t['refId']}", t["expr"]) for p in panels_of(page) for t in p["targets"]]


def fill(expr: str) -> str:
    """The expression as Grafana sends it."""
    return re.sub(r"\$(\w+)", lambda found: CHOSEN[found[1]], expr)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Three tanks at work for half a minute."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    with run_plant(tmp_path_factory.mktemp("plant"), seconds=15.0) as plant:
        yield plant


def test_the_files_are_what_the_code_makes() -> None:
    """Nobody has edited the JSON by hand."""
    said = subprocess.run(
        [sys.executable, "-m", "gaugecast_dashboards", "--check"],
        cwd=PLACE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert set(PAGES) == {"gaugecast-fleet", "gaugecast-stream", "gaugecast-daemon"}


@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_is_laid_out_without_overlaps(name: str) -> None:
    """No two panels share a cell of the 24-column grid, ids are unique, every panel says what it shows."""
    page = PAGES[name]
    cells: set[tuple[int, int]] = set()
    for panel in page["panels"]:
        at = panel["gridPos"]
        own = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not own & cells, panel["title"]
        assert all(x < 24 for x, _ in own), panel["title"]
        cells |= own
    assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
    assert all(panel["description"] for panel in panels_of(page))
    assert page["uid"] == name


def test_pages_ask_only_for_metrics_that_exist_and_together_for_all_but_a_few() -> None:
    """Every metric of the catalogue is on a page, but those that only alerts or people at a prompt need."""
    asked = {m for page in PAGES.values() for _, e in queries_of(page) for m in re.findall(r"gaugecast_\w+", e)}
    known = {d.name for d in CATALOGUE}
    bases = {re.sub(r"_(bucket|sum|count)$", "", m) if m not in known else m for m in asked}
    assert bases <= known, bases - known
    not_shown = {
        "gaugecast_anomalies_total",
        "gaugecast_broken_states_total",
        "gaugecast_broker_messages_dropped_total",
        "gaugecast_fingerprint_info",
        "gaugecast_mqtt_side_connected",
        "gaugecast_quarantine_rows",
        "gaugecast_refused_rows",
    }
    assert known - bases <= not_shown, known - bases - not_shown


@pytest.mark.parametrize("name", list(PAGES))
def test_every_query_of_a_page_is_answered_with_values(
    name: str, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the live Prometheus, over the time in which it looked: only trouble fills the others."""
    empty = []
    queries = queries_of(PAGES[name])
    for title, expr in queries:
        if title in EMPTY:
            plant.prometheus.range(fill(expr), plant.began, plant.ended)  # it is understood all the same
            continue
        found = plant.prometheus.range(fill(expr), plant.began, plant.ended)
        if not any(value == value for series in found for _, value in series.values):  # NaN is no value
            empty.append(f"{title}: {fill(expr)}")
    with capsys.disabled():
        print(
            f"\n{name}: {len(queries) - len(empty)} of {len(queries)} queries of {len(panels_of(PAGES[name]))} panels"
        )
    assert empty == []


def test_the_choices_at_the_top_of_the_pages_can_be_made(plant: Plant) -> None:
    """`label_values` of each variable has the plant's names."""
    wanted = {
        "instance": f"127.0.0.1:{plant.daemon.http_port}",
        **{k: CHOSEN[k] for k in ("fleet", "stream", "feature")},
    }
    for page in PAGES.values():
        for variable in page["templating"]["list"]:
            if variable["type"] != "query":
                continue
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert found is not None
            series = plant.prometheus.ask("series", **{"match[]": fill(found[1])})
            assert wanted[variable["name"]] in {one[found[2]] for one in series}, variable["definition"]


def test_the_forecast_lies_over_the_observation(plant: Plant) -> None:
    """Observed and predicted of the Stream page are of the same instant: predicted is the forecast of a step before."""
    queries = dict(queries_of(PAGES["gaugecast-stream"]))
    title = "The forecast over the observation"
    observed, predicted = (
        plant.prometheus.range(fill(queries[f"{title}/{x}"]), plant.began, plant.ended) for x in "AB"
    )
    spread = max(v for _, v in observed[0].values) - min(v for _, v in observed[0].values)
    residuals = [abs(a - b) for (_, a), (_, b) in zip(observed[0].values[8:], predicted[0].values[8:], strict=False)]
    assert spread > 0
    assert sorted(residuals)[len(residuals) // 2] < 0.5 * spread  # another feature's would be far beyond


def test_prometheus_scrapes_the_daemon_and_no_alert_fires_on_a_plant_at_work(plant: Plant) -> None:
    """The target is up, both rule files are loaded and healthy, recording rules have values, nothing fires."""
    (target,) = plant.prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["labels"]["job"]) == ("up", "gaugecast")
    rules = [rule for group in plant.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    for rule in rules:
        if rule["type"] == "recording":
            assert plant.prometheus.range(rule["name"], plant.began, plant.ended), rule["name"]
    expected = ("GaugecastFallback", "GaugecastCrossing")  # the demo has a threshold that tanks cross
    firing = [alert["labels"] for alert in plant.prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"]
    assert [labels for labels in firing if labels["alertname"] not in expected] == []
    readings = plant.prometheus.instant("sum(rate(gaugecast_readings_received_total[10s]))")[0].values[0][1]
    assert readings == pytest.approx(3 / PERIOD_S, rel=0.5)


def test_provisioning_names_what_is_there() -> None:
    """Both files are YAML of version 1, and the data source's folder variables are the compose file's."""
    (source,) = yaml.safe_load((PLACE / "provisioning/datasources/gaugecast.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((PLACE / "provisioning/dashboards/gaugecast.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "${PROMETHEUS_URL}")
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/gaugecast"


def test_what_people_lose_sleep_over_has_a_panel() -> None:
    """Learning and how good it is in shadow, late readings, who is silent by name, restarts, the age of the backup."""
    titles = {panel["title"] for page in PAGES.values() for panel in panels_of(page)}
    assert {
        "Learning progress", "Skill in shadow", "Late readings", "How late", "Silent streams", "Newest backup"
    } <= titles  # fmt: skip
    asked = [expr for page in PAGES.values() for _, expr in queries_of(page)]
    assert any("changes(process_start_time_seconds" in expr for expr in asked), "expected a panel of restarts"

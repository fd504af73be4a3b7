"""Draws dashboards' panels from a live Prometheus, with the queries that Grafana sends: the pictures in docs/images.

PYTHONPATH=tests:daemon:simulators python -m support.draw_panels docs/images
"""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from support.plant import Plant, run_plant
from support.prometheus import Series

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"
COLORS = {"green": "#73bf69", "red": "#f2495c", "yellow": "#fade2a", "blue": "#5794f2", "orange": "#ff9830",
          "purple": "#b877d9", "transparent": "#00000000", "text": "#ccccdc"}  # fmt: skip
INK, PAPER, GRID = "#ccccdc", "#181b1f", "#2c3235"
CHOSEN = {"instance": ".*", "fleet": "demo-tanks", "stream": "tank-01", "feature": "temperature",
          "__rate_interval": "10s"}  # fmt: skip
CELL_W, CELL_H = 0.62, 0.30


def fill(text: str) -> str:
    """Variables as Grafana fills them."""
    return re.sub(r"\$(\w+)", lambda found: CHOSEN.get(found[1], found[0]), text)


def legend_of(query: Mapping[str, Any], series: Series) -> str:
    """The legend with its labels."""
    text = str(query["legendFormat"])
    if text == "__auto":
        return ""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: series.labels.get(found[1], ""), text)


def draw_page(plant: Plant, name: str, place: Path) -> None:
    """One dashboard as one picture, panels where Grafana puts them."""
    page = json.loads((DASHBOARDS / f"{name}.json").read_text())
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in page["panels"])
    figure = plt.figure(figsize=(24 * CELL_W, rows * CELL_H), facecolor="#111217")
    for panel in page["panels"]:
        at = panel["gridPos"]
        if panel["type"] == "row":
            figure.text(0.01, 1 - (at["y"] + 0.7) / rows, fill(panel["title"]), color=INK, fontsize=11, weight="bold")
            continue
        box = (
            at["x"] / 24 + 0.004,
            1 - (at["y"] + at["h"] - 0.15) / rows,
            at["w"] / 24 - 0.008,
            (at["h"] - 0.3) / rows,
        )
        axes = figure.add_axes(box, facecolor=PAPER)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.01, 0.97, panel["title"], transform=axes.transAxes, va="top", color=INK, fontsize=8, weight="bold")
        _draw(plant, figure, axes, panel)
    figure.savefig(place, dpi=80, facecolor=figure.get_facecolor())
    plt.close(figure)


def _draw(plant: Plant, figure: Any, axes: Any, panel: Mapping[str, Any]) -> None:
    kind = panel["type"]
    found = [
        (query, series)
        for query in panel["targets"]
        for series in plant.prometheus.range(fill(query["expr"]), plant.began, plant.ended)
    ]
    if kind == "timeseries":
        _draw_curves(plant, figure, axes, panel, found)
    elif kind == "stat":
        _draw_stat(axes, panel, found)
    elif kind == "state-timeline":
        _draw_states(plant, axes, panel, found)
    else:
        _draw_table(axes, panel, found)


def _draw_curves(
    plant: Plant, figure: Any, outer: Any, panel: Mapping[str, Any], found: list[tuple[Any, Series]]
) -> None:
    box = outer.get_position()
    axes = figure.add_axes(
        (box.x0 + 0.03, box.y0 + 0.22 * box.height, box.width - 0.035, 0.62 * box.height), facecolor=PAPER
    )
    axes.tick_params(colors=INK, labelsize=6, length=2)
    axes.grid(color=GRID, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    styles = {
        o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]}
        for o in panel["fieldConfig"]["overrides"]
    }
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    curves = [([t - plant.began for t, _ in s.values], [v for _, v in s.values], legend_of(q, s)) for q, s in found]
    if stacked and curves:
        times = sorted({t for xs, _, _ in curves for t in xs})
        tables = [dict(zip(xs, ys, strict=True)) for xs, ys, _ in curves]
        heights = [[0 if math.isnan(v := table.get(t, 0.0)) else v for t in times] for table in tables]
        labels = [label for _, _, label in curves]
        named = [COLORS.get(styles.get(label, {}).get("color", {}).get("fixedColor", "")) for label in labels]
        axes.stackplot(times, heights, labels=labels, alpha=0.6, colors=named if all(named) else None)
    else:
        for xs, ys, label in curves:
            style = styles.get(label, {})
            color = COLORS.get(style.get("color", {}).get("fixedColor", ""))
            dashes = "--" if "custom.lineStyle" in style else "-"
            axes.plot(xs, ys, dashes, label=label or None, color=color, linewidth=1.2)
    if any(label for _, _, label in curves):
        outer.legend(
            *axes.get_legend_handles_labels(), loc="lower left", ncols=8, fontsize=6, labelcolor=INK, frameon=False
        )


def _draw_stat(axes: Any, panel: Mapping[str, Any], found: list[tuple[Any, Series]]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    if not found:
        return
    query, series = found[-1]
    value = next(v for _, v in reversed(series.values) if not math.isnan(v))
    color = INK
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = COLORS[step["color"]]
    words = defaults.get("mappings", [{"options": {}}])[0]["options"]
    text = words.get(f"{value:g}", {}).get("text") or _with_unit(value, defaults["unit"])
    if panel["options"]["textMode"] == "name":
        text, color = legend_of(query, series), INK
    axes.text(0.5, 0.42, text, transform=axes.transAxes, ha="center", va="center", color=color, fontsize=17)


def _with_unit(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit in ("s", "dtdurations"):
        return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
    return f"{value:.3g}" + ("/s" if unit == "cps" else "")


def _draw_states(plant: Plant, axes: Any, panel: Mapping[str, Any], found: list[tuple[Any, Series]]) -> None:
    span = plant.ended - plant.began
    for row, (query, series) in enumerate(found):
        y = 0.85 - 0.85 * (row + 0.9) / len(found)
        label = legend_of(query, series)
        axes.text(0.01, y + 0.3 / len(found), label, transform=axes.transAxes, color=INK, fontsize=7, va="center")
        for at, value in series.values:
            color = COLORS["green"] if label == "sound" else COLORS["yellow"]
            color = COLORS["red"] if panel["title"] == "Degraded" else color
            if value == 1:
                axes.barh(
                    y,
                    0.85 / span,
                    0.55 / len(found),
                    0.12 + 0.85 * (at - plant.began) / span,
                    align="edge",
                    color=color,
                )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _draw_table(axes: Any, panel: Mapping[str, Any], found: list[tuple[Any, Series]]) -> None:
    hidden = {"__name__", "job", "instance"}
    for row, (_, series) in enumerate(found[:10]):
        cells = [f"{v}" for k, v in sorted(series.labels.items()) if k not in hidden] + [f"{series.values[-1][1]:.3g}"]
        axes.text(
            0.02, 0.80 - 0.085 * row, "    ".join(cells), transform=axes.transAxes, color=INK, fontsize=7, va="top"
        )


def main(folder: Path) -> None:
    """Run a plant for a while and draw all pages of it."""
    with tempfile.TemporaryDirectory() as name, run_plant(Path(name) / "plant", seconds=75, tanks=4) as plant:
        for page in sorted(DASHBOARDS.glob("*.json")):
            draw_page(plant, page.stem, folder / f"{page.stem}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

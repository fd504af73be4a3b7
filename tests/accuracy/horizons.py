"""Horizons by the protocols of papers: both out of one run a set, with the network and without; held against bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from accuracy.peer import PEER, peer_rows
from accuracy.runs import Rows
from gaugecast.fleet import Fleet, Threshold
from gaugecast.history import fleet_of_file, read_inputs
from gaugecast.learn.backtest.horizon_run import backtest_horizons, horizon_rows
from gaugecast.learn.backtest.run import without_waiting
from gaugecast.records import Input

PROTOCOLS = ("adapt-z", "fsnet")
HORIZONS = (1, 24, 48)
LEVEL = 0.9
#: Rows that thresholds are chosen by: those that both protocols train on.
TRAIN_ROWS = 2880
#: What rows of thresholds are called.
CROSSING = "crossing"
#: How rows without the network are told apart: nobody trains beside the loop.
ALONE = "loop"


class Bound(NamedTuple):
    """Mean square error over 1…H that the mixture must not exceed, and the best published, for H of `HORIZONS`."""

    ours: tuple[float, float, float]
    published: tuple[float, float, float] | None = None


#: By set, protocol and whether the network is among the experts (`lockstep`) or not (`loop`).
#: Published: ADAPT-Z, ICLR 2026, best of four backbones; DSOF, ICLR 2025.
BOUNDS: dict[tuple[str, str, str], Bound] = {
    ("ETTh2", "adapt-z", "lockstep"): Bound((0.0592, 0.1607, 0.2103), (0.0628, 0.1607, 0.2103)),
    ("ETTh1", "adapt-z", "lockstep"): Bound((0.1045, 0.2942, 0.345), (0.1107, 0.2942, 0.3431)),
    ("ETTh2", "fsnet", "lockstep"): Bound((0.311, 1.52, 2.60), (0.365, 1.694, 2.988)),
    ("ETTh1", "fsnet", "lockstep"): Bound((0.192, 0.628, 0.758)),
    ("ETTh2", "adapt-z", ALONE): Bound((0.068, 0.171, 0.216), (0.0628, 0.1607, 0.2103)),
}
MODELS = ("mix", "stacked", "linear", "network", "persistence")
TITLES = {
    "mix": "**mix**, what is published",
    "stacked": "stacked: linear, fed with the network's move",
    "linear": "linear, direct",
    "network": "LSTM-64, closed loop",
    "persistence": "persistence",
}
#: Distance of the coverage from what was promised that is let pass, by horizon.
COVERAGE = {1: 0.01, 24: 0.02}


def run_protocols(path: Path, seed: int) -> Rows:
    """All experts, cold start."""
    return _rows(path, seed, network=True)


def run_alone(path: Path, seed: int) -> Rows:
    """What a fleet without a learner has: persistence, the linear experts, and their mixture."""
    return [row | {"learning": ALONE} for row in _rows(path, seed, network=False)]


def _rows(path: Path, seed: int, *, network: bool) -> Rows:
    fleet = without_waiting(fleet_of_file(path))
    batches = list(read_inputs(path, fleet))
    made = backtest_horizons(
        fleet, batches, protocols=PROTOCOLS, horizons=HORIZONS, levels=(LEVEL,), network=network, seed=seed,
        thresholds=thresholds_of(fleet, [one for batch in batches for one in batch][:TRAIN_ROWS]),
    )  # fmt: skip
    rows = [_named(row) for one in made for row in horizon_rows(one, path.stem)]
    return rows + [row for one in made for row in peer_rows(one, path.stem, LEVEL, fleet.period_ns)]


def thresholds_of(fleet: Fleet, train: Sequence[Input]) -> list[Threshold]:
    """Where the last variable lies a tenth of the time, above and below, as its training rows know; a day ahead."""
    name = fleet.forecast_features[-1].name
    values = np.array([np.frombuffer(one.values, "<f8")[fleet.forecast_places[-1]] for one in train])
    low, high = (float(np.quantile(values, share)) for share in (0.1, 0.9))
    within = max(1, round(86_400e9 / fleet.period_ns))
    return [Threshold(name, True, high, within), Threshold(name, False, low, within)]


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """Rows are told apart by their model: each threshold is one."""
    if row["model"] != CROSSING:
        return row
    side = "above" if "above" in row else "below"
    return row | {"model": f"{CROSSING} {side}"}


def mean_squares(rows: Rows, key: tuple[str, str, str], model: str) -> dict[int, dict[str, Any]]:
    """Rows of one model by horizon."""
    return {
        row["horizon"]: row
        for row in rows
        if (row["set"], row["protocol"], row["learning"]) == key and row["model"] == model
    }


def horizon_verdicts(name: str, rows: Rows) -> list[tuple[bool, str]]:
    """Whether each bound of a set holds, in words."""
    found = []
    for key, bound in BOUNDS.items():
        mix = mean_squares(rows, key, "mix")
        if key[0] != name or not mix:
            continue
        for h, limit in zip(HORIZONS, bound.ours, strict=True):
            mse = mix[h]["horizon_mean"]
            found.append((mse <= limit, f"{' '.join(key)}, mean 1…{h}: MSE {mse:.4f}, bound {limit:.4f}"))
        for h, limit in COVERAGE.items():
            off = mix[h]["coverage"] - mix[h]["nominal"]
            found.append((abs(off) <= limit, f"{' '.join(key)}, {h} ahead: coverage off by {off:+.2%}, ±{limit:.0%}"))
    return found


def show_protocols(console: Console, name: str, rows: Rows) -> None:
    """Means over 1…H of each expert, beside bounds and what is published; then the intervals."""
    for key, bound in BOUNDS.items():
        if key[0] != name or not mean_squares(rows, key, "mix"):
            continue
        table = Table(f"{key[1]}, {'with' if key[2] != ALONE else 'without'} network", *(f"1…{h}" for h in HORIZONS))
        for model in MODELS:
            by_horizon = mean_squares(rows, key, model)
            if by_horizon:
                cells = (by_horizon[h] for h in HORIZONS)
                table.add_row(model, *(f"{row['horizon_mean']:.4f} / {row['horizon_mean_mae']:.4f}" for row in cells))
        table.add_row("bound", *(f"{mse:.4f}" for mse in bound.ours), style="dim")
        if bound.published:
            table.add_row("published, best", *(f"{mse:.4f}" for mse in bound.published), style="dim")
        console.print(table)
        console.print(_intervals(mean_squares(rows, key, "mix"), mean_squares(rows, key, PEER)))
        crossings = list(_crossings(rows, key))
        if crossings:
            table = Table("crossings within a day", *CROSSING_HEAD)
            for crossing in crossings:
                table.add_row(*crossing)
            console.print(table)


INTERVAL_HEAD = ("covered", "worst window", "width", "Winkler", "pinball", "narrower than persistence's; mean so far")


def _intervals(mix: dict[int, dict[str, Any]], peer: dict[int, dict[str, Any]]) -> Table:
    table = Table(f"intervals of {LEVEL:.0%}", *INTERVAL_HEAD)
    for h, row in mix.items():
        table.add_row(f"{h} ahead", *_interval_cells(row, peer.get(h)))
    return table


def _interval_cells(row: dict[str, Any], peer: dict[str, Any] | None) -> tuple[str, ...]:
    worst = "–" if row["worst_under"] is None else f"{row['worst_under']:.1%}"
    figures = (f"{row['width']:.3f}", f"{row['winkler']:.3f}", f"{row['pinball']:.4f}")
    less = "–" if peer is None else f"{peer['narrower']:.0%}; {peer['narrower_mean']:.0%}"
    return (f"{row['coverage']:.2%}", worst, *figures, less)


CROSSING_HEAD = ("cases", "rate", "Brier", "skill", "crossings", "foretold", "lead", "false/week")


def _crossings(rows: Rows, key: tuple[str, str, str]) -> Iterator[tuple[str, ...]]:
    """A line a threshold."""
    for row in rows:
        if (row["set"], row["protocol"], row["learning"]) == key and row["model"].startswith(CROSSING):
            side = "above" if "above" in row else "below"
            skill = "–" if row["brier_skill"] is None else f"{row['brier_skill']:.2f}"
            lead = "–" if row["lead_s"] is None else f"{row['lead_s'] / 3600:.0f} h"
            yield (
                f"{row['feature']} {side} {row[side]:.1f}", f"{row['count']:,}", f"{row['rate']:.3f}",
                f"{row['brier']:.4f}", skill, str(row["crossings"]), str(row["foretold"]), lead,
                f"{row['false_alarms']:.2f}",
            )  # fmt: skip


def horizon_lines(rows: Rows) -> list[str]:
    """The tables of docs/accuracy.md."""
    lines: list[str] = []
    for key, bound in BOUNDS.items():
        mix = mean_squares(rows, key, "mix")
        if not mix:
            continue
        network = "" if key[2] != ALONE else ", without a network"
        heads = [f"1…{h}" if h > 1 else "1" for h in HORIZONS]
        lines += [f"| {key[0]}, {key[1]}{network} | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
        for model in MODELS:
            found = mean_squares(rows, key, model)
            if found:
                cells = (f"{found[h]['horizon_mean']:.4f} / {found[h]['horizon_mean_mae']:.4f}" for h in HORIZONS)
                lines.append(f"| {TITLES[model]} | {' | '.join(cells)} |")
        if bound.published:
            lines.append(f"| published, best | {' | '.join(f'{mse:.4f}' for mse in bound.published)} |")
        lines += ["", f"Intervals of {LEVEL:.0%} around the mixture, at the horizon itself:", ""]
        lines += [f"| ahead | {' | '.join(INTERVAL_HEAD)} |", "|---|" + "---|" * len(INTERVAL_HEAD)]
        peer = mean_squares(rows, key, PEER)
        for h in HORIZONS:
            lines.append(f"| {h} | {' | '.join(_interval_cells(mix[h], peer.get(h)))} |")
        crossings = [f"| {' | '.join(cells)} |" for cells in _crossings(rows, key)]
        if crossings:
            head = [f"| crossings within a day | {' | '.join(CROSSING_HEAD)} |", "|---|" + "---|" * len(CROSSING_HEAD)]
            lines += ["", *head, *crossings]
        lines.append("")
    return lines[:-1]

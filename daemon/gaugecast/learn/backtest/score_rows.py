"""A backtest's figures as plain rows, for JSON files and for whoever compares them."""

from __future__ import annotations

from typing import Any

from gaugecast.known import known
from gaugecast.learn.backtest.run import Forecaster, Report


def protocol_of(report: Report) -> str:
    """What was scored and how, in a line: enough to repeat it."""
    split = report.split
    unit = "deviations of the train rows" if split.train else "deviations of the scored rows"
    rows = f"{report.scored.start}..{min(report.scored.stop, max(len(c.tick) for c in report.courses)) - 1}"
    train = f"train {split.train:g}, validation {split.validation:g}, " if split.train else ""
    return f"{train}scored rows {rows}, errors in {unit if split.standardise else 'units of the sensors'}, prequential"


def result_rows(report: Report, name: str) -> list[dict[str, Any]]:
    """One row for each forecaster and horizon: `{set, protocol, model, start, learning, horizon, mse, …}`.

    Figures that are not finite are `null`.
    """
    return [row for forecaster in report.forecasters for row in _rows_of(report, name, forecaster)]


def _rows_of(report: Report, name: str, forecaster: Forecaster) -> list[dict[str, Any]]:
    protocol = protocol_of(report)
    return [
        {
            "set": name,
            "protocol": protocol,
            "model": forecaster.model,
            "start": forecaster.start,
            "learning": forecaster.learning,
            "horizon": score.horizon,
            "mse": known(score.overall.mse),
            "mae": known(score.overall.mae),
            "skill": score.overall.skill,
            "count": score.overall.count,
            "per_feature": {
                feature: {"mse": known(one.mse), "mae": known(one.mae), "skill": one.skill}
                for feature, one in score.per_feature.items()
            },
        }
        for score in forecaster.scores
    ]

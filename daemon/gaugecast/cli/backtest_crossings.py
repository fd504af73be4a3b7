"""`gaugecast backtest --threshold 'pressure>8.2@1h'`: how it is written, and the tables of what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from gaugecast.cli.figures import figure_grid
from gaugecast.config.duration import duration_text, parse_duration_ns
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet, Threshold

if TYPE_CHECKING:
    from gaugecast.learn.backtest.crossing_score import CrossingScore

_FORM = re.compile(r"(.+?)\s*([<>])\s*([-+.\deE]+)\s*@\s*(\S+)")


def threshold_of(text: str, fleet: Fleet) -> Threshold:
    """A threshold of `pressure>8.2@1h`.

    Raises:
        ConfigError: It is written otherwise, or the fleet has no such feature.
    """
    found = _FORM.fullmatch(text.strip())
    names = [feature.name for feature in fleet.forecast_features]
    if found is None or found[1] not in names:
        raise ConfigError(
            f"--threshold: a feature ({', '.join(names)}), > or <, a value, @ and a duration expected, as in "
            f"{names[0]}>8.2@1h; got {text!r}"
        )
    try:
        value = float(found[3])
    except ValueError as exc:
        raise ConfigError(f"--threshold: a number expected, got {found[3]!r}") from exc
    within, rest = divmod(parse_duration_ns(found[4]), fleet.period_ns)
    if rest or not within:
        raise ConfigError(
            f"--threshold: a multiple of the period {duration_text(fleet.period_ns)} expected, got {found[4]}"
        )
    return Threshold(found[1], found[2] == ">", value, within)


def crossings_table(crossings: Sequence[CrossingScore], period_ns: int) -> Table:
    """A row a threshold."""
    heads = ("cases", "rate", "Brier", "skill", "hap-\npened", "fore-\ntold", "lead", "false a\nweek")
    table = figure_grid("crossings", "within", *heads)
    for one in crossings:
        skill = "–" if one.skill is None else f"{one.skill:.2f}"
        lead = "–" if one.lead_s is None else duration_text(round(one.lead_s * 1e9))
        table.add_row(
            _name(one.threshold), duration_text(one.threshold.within * period_ns), f"{one.count:,}", f"{one.rate:.3f}",
            f"{one.brier:.4f}", skill, str(one.crossings), str(one.foretold), lead, f"{one.false_alarms:.2f}",
        )  # fmt: skip
    return table


def reliability_table(crossings: Sequence[CrossingScore]) -> Table:
    """By tenth of probability what was foretold and what happened, with the number of cases; a row a tenth."""
    table = figure_grid("of a threshold", "told", "happened", "cases")
    for one in crossings:
        name = _name(one.threshold)
        for part in one.reliability:
            if part.cases:
                table.add_row(name, f"{part.foretold:.0%}", f"{part.happened:.0%}", f"{part.cases:,}")
                name = ""
    return table


def _name(threshold: Threshold) -> str:
    return f"{threshold.feature} {'>' if threshold.above else '<'} {threshold.value:g}"

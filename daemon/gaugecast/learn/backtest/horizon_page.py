"""A backtest of horizons on one page of HTML that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gaugecast.config.duration import duration_text
from gaugecast.forecast.horizons.rows import LEADS
from gaugecast.learn.backtest.crossing_score import CrossingScore
from gaugecast.learn.backtest.horizon_run import HorizonReport
from gaugecast.learn.backtest.score_rows import protocol_of
from gaugecast.learn.pages import html as parts

HEADINGS = {
    "errors": "Error by horizon",
    "intervals": "Intervals by horizon",
    "bands": "Forecast and interval over what came",
}


def write_horizon_page(made: HorizonReport, pictures: Sequence[Path], path: Path, *, name: str) -> None:
    """Write the page; `pictures` are PNG files."""
    body = [parts.tiles(_tiles(made))]
    body += [parts.shown(HEADINGS[picture.stem], picture) for picture in pictures]
    body += [parts.heading("In figures"), _errors(made)]
    if any(made.intervals.values()):
        body.append(_intervals(made))
    body.append(_leads(made))
    if made.crossings:
        body += [parts.heading("Crossings"), _crossings(made), *map(_reliability, made.crossings)]
    lead = f"{f'{made.protocol}: ' if made.protocol else ''}{protocol_of(made.report)}, cold start"
    path.write_text(parts.page(f"Backtest of {name} by horizon", lead, body), encoding="utf-8")


def _tiles(made: HorizonReport) -> Iterator[tuple[str, str]]:
    """The farthest horizon: error, gain, and how honest the widest interval was."""
    far = made.listed[-1]
    mean, last = (mean_of(made, model, far)[0] for model in ("mix", "persistence"))
    yield f"MSE {'1…' if made.protocol else 'at '}{_span(made, far)}", parts.show(mean)
    yield "less than persistence", f"{1.0 - mean / last:.1%}" if last > 0 else "–"
    for one in made.intervals[far][-1:]:
        yield f"of {one.nominal:.0%} intervals held", f"{one.coverage:.1%}"
        yield "mean width", parts.show(one.width)
    yield "steps", f"{max(len(course.tick) for course in made.report.courses):,}"


def mean_of(made: HorizonReport, model: str, horizon: int) -> tuple[float, float]:
    """MSE and MAE as they are told: with a protocol means over 1…H, else at the horizon alone."""
    if made.protocol:
        return made.mean_to(model, horizon)
    at = next(one for one in made.scores[model] if one.horizon == horizon).overall
    return at.mse, at.mae


def _errors(made: HorizonReport) -> str:
    rows = [
        (_span(made, h), *(" / ".join(map(parts.show, mean_of(made, model, h))) for model in made.scores))
        for h in made.listed
    ]
    return parts.table(("MSE / MAE, mean 1…H" if made.protocol else "MSE / MAE, ahead", *made.scores), rows)


def _intervals(made: HorizonReport) -> str:
    rows = [
        (
            _span(made, h), f"{one.nominal:.0%}", f"{one.coverage:.2%}",
            "–" if one.worst is None else f"{one.worst:.1%}",
            parts.show(one.width), parts.show(one.winkler), parts.show(one.pinball),
        )
        for h in made.listed
        for one in made.intervals[h]
    ]  # fmt: skip
    return parts.table(("intervals", "nominal", "covered", "worst window", "width", "Winkler", "pinball"), rows)


def _leads(made: HorizonReport) -> str:
    rows = [(_span(made, h), *(f"{share:.0%}" for share in made.leads[h])) for h in made.listed]
    return parts.table(("leads, share of steps", *LEADS), rows)


def _crossings(made: HorizonReport) -> str:
    head = (
        "threshold",
        "within",
        "cases",
        "rate",
        "Brier",
        "skill",
        "happened",
        "foretold",
        "lead",
        "false/stream/week",
    )
    rows = [
        (
            _mark(one), _span(made, one.threshold.within), f"{one.count:,}", f"{one.rate:.3f}", f"{one.brier:.4f}",
            "–" if one.skill is None else f"{one.skill:.2f}", str(one.crossings), str(one.foretold),
            "–" if one.lead_s is None else duration_text(round(one.lead_s * 1e9)), f"{one.false_alarms:.2f}",
        )
        for one in made.crossings
    ]  # fmt: skip
    return parts.table(head, rows)


def _reliability(one: CrossingScore) -> str:
    rows = [
        (f"{part.foretold:.0%}", f"{part.happened:.0%}", f"{part.cases:,}") for part in one.reliability if part.cases
    ]
    return parts.table((f"{_mark(one)}: foretold", "happened", "cases"), rows)


def _mark(one: CrossingScore) -> str:
    return f"{one.threshold.feature} {one.threshold.side} {one.threshold.value:g}"


def _span(made: HorizonReport, horizon: int) -> str:
    return duration_text(horizon * made.report.fleet.period_ns)

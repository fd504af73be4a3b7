"""What dashboards are made of: a page is rows of panels; a panel asks Prometheus some queries."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["timeseries", "stat", "table", "state-timeline"]

#: One meaning, one colour, on all pages.
OBSERVED, FORECAST, RESIDUAL, GOOD, UNSURE, BAD = "blue", "orange", "purple", "green", "yellow", "red"


@dataclass(frozen=True, slots=True)
class Style:
    """How one query's curves look.

    Attributes:
        color: Name of Grafana's palette.
        dashed: For what was expected rather than measured.
        fill_below_to: Legend of the query below: the area between is filled, as for an interval.
        points: Single points instead of a line, as for marks of anomalies.
    """

    color: str = ""
    dashed: bool = False
    fill_below_to: str = ""
    points: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the legend of its series, `{{label}}` for a label's value."""

    expr: str
    legend: str = ""
    style: Style | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        unit: Grafana's unit id: `s`, `percentunit`, `bytes`, `short`, `none`.
        steps: Colours from a value on: `((None, "green"), (0.1, "yellow"))`.
        names: Words in place of values.
        instant: Ask for the last value only (tables, stats without a curve).
        show_name: A stat that shows its series' name, not its value.
    """

    title: str
    description: str
    queries: tuple[Query, ...] = ()
    kind: Kind = "timeseries"
    width: int = 12
    height: int = 8
    unit: str = "short"
    lowest: float | None = None
    highest: float | None = None
    decimals: int | None = None
    stacked: bool = False
    steps: tuple[tuple[float | None, str], ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    instant: bool = False
    show_name: bool = False


#: A panel that shows one figure, low enough for a row of its kind.
stat = functools.partial(Panel, kind="stat", height=4)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, laid out from left to right and then down."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a page, filled by `label_values(metric, label)`."""

    name: str
    label: str
    query: str
    several: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard; `uid` is its address for ever."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    span: str = "now-1h"
    refresh: str = "10s"
    links: tuple[str, ...] = field(default=("gaugecast",))

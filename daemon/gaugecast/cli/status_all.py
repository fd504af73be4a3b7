"""`gaugecast status` of several daemons: a line each, and what they do together."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import NOTHING, add_names, show_bytes, show_name, show_rate
from gaugecast.errors import WrongUse
from gaugecast.status import Status

_ALL = "together"


@dataclass(frozen=True, slots=True)
class One:
    """What was found out of one daemon.

    Attributes:
        name: Of its file, without `.toml`.
        answer: `None` = it does not answer, and `trouble` says why; else `trouble` is what is wrong with its file.
    """

    name: str
    answer: Status | None
    trouble: str | None

    @property
    def well(self) -> bool:
        """Whether it forecasts."""
        return self.answer is not None and self.answer.ready


def files_meant(given: Sequence[Path]) -> list[Path]:
    """Files as they are, of a directory all `*.toml`, and what a pattern such as `part-*.toml` matches; once each.

    Raises:
        WrongUse: A directory has none, or nothing matches.
    """
    found: dict[Path, None] = {}
    for path in given:
        places = [path]
        if path.is_dir():
            places = sorted(path.glob("*.toml"))
        elif not path.exists() and glob.has_magic(str(path)):
            places = [Path(name) for name in sorted(glob.glob(str(path)))]
        if not places:
            raise WrongUse(f"--config: expected configuration files, {path} has none")
        found |= dict.fromkeys(places)
    return list(found)


def all_to_json(told: Sequence[One]) -> dict[str, Any]:
    """By name what each says; `unreachable` in place of that says why one does not."""
    return {
        one.name: {"unreachable": one.trouble}
        if one.answer is None
        else {**msgspec.to_builtins(one.answer), "config_fault": one.trouble}
        for one in told
    }


def render_all(told: Sequence[One]) -> RenderableType:
    """A line each, the sums below; pure."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    add_names(table, "daemon", [*(one.name for one in told), _ALL], style="bold")
    for title in ("streams", "in/s", "out/s", "unconfirmed", "ledger"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("does", overflow="fold")
    for one in told:
        table.add_row(Text(show_name(one.name)), *_figures(one.answer), _does(one))
    table.add_row(Text(_ALL), *_sums([one.answer for one in told if one.answer is not None]), _well(told))
    return table


def _figures(answer: Status | None) -> list[str]:
    if answer is None:
        return [NOTHING] * 5
    size = answer.storage.ledger_bytes
    return [
        f"{_streams(answer):,}",
        show_rate(answer.rates.readings_per_s),
        show_rate(answer.rates.forecasts_per_s),
        f"{answer.publishing.unconfirmed:,}",
        NOTHING if size is None else show_bytes(size),
    ]


def _streams(answer: Status) -> int:
    return sum(fleet.streams.active for fleet in answer.fleets.values() if fleet.streams is not None)


def _sums(answers: Sequence[Status]) -> list[str]:
    return [
        f"{sum(map(_streams, answers)):,}",
        show_rate(sum(answer.rates.readings_per_s or 0.0 for answer in answers)),
        show_rate(sum(answer.rates.forecasts_per_s or 0.0 for answer in answers)),
        f"{sum(answer.publishing.unconfirmed for answer in answers):,}",
        show_bytes(sum(answer.storage.ledger_bytes or 0 for answer in answers)),
    ]


def _does(one: One) -> Text:
    if one.answer is None:
        return Text(show_name(one.trouble or "does not answer"), style="bold red")
    told = [str(one.answer.doing), *one.answer.degraded, *(["its file is wrong by now"] if one.trouble else [])]
    style = "green" if one.well and len(told) == 1 else "yellow" if one.well else "bold red"
    return Text(show_name(", ".join(told)), style=style)


def _well(told: Sequence[One]) -> Text:
    well = sum(one.well for one in told)
    return Text(f"{well} of {len(told)} forecast", style="green" if well == len(told) else "red")

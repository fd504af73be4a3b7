"""What each question of the API is answered with, made of what the daemon says and what the ledger has."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.console import asked, shapes, table
from gaugecast.console.asking import Asking
from gaugecast.console.explained import Explain
from gaugecast.console.forecasting import Forecaster, Forecasting
from gaugecast.console.looking_back import LookBack, Looking
from gaugecast.console.past import MOST_READINGS, Past
from gaugecast.console.series import Curve, column_of, curve_of, gaps_before, thinned
from gaugecast.console.skill import SkillParams, Skills, SkillView
from gaugecast.console.told import Said, Told
from gaugecast.errors import GaugecastError, ModelError, WrongUse
from gaugecast.fleet import Fleet
from gaugecast.known import all_known
from gaugecast.ledger.ports import PastReader
from gaugecast.ledger.reader import LedgerReader
from gaugecast.lessons import skill_means
from gaugecast.records import Float64, Int64
from gaugecast.status import Status
from gaugecast.storage.models import ModelStore

_SPARK = 48
_MOST_KEPT = 10_000  # refused messages that are counted


class World:
    """What the console knows of: the daemon and its state directory. Any thread.

    Args:
        config: The daemon's configuration file.
        directory: Its state directory.
        socket: Its control socket.
        open_reader: Opens its ledger, wherever that lies.
        look_back: Computes past steps again; `None` = nobody can.
        explain: Tells what was known at them; `None` = nobody can.
        forecaster: Forecasts a history; `None` = nobody can.
    """

    def __init__(
        self, config: Path, directory: Path, socket: Path, *, look_back: LookBack | None = None,
        explain: Explain | None = None, forecaster: Forecaster | None = None,
        open_reader: Callable[[Path], PastReader] = LedgerReader,
    ) -> None:  # fmt: skip
        self.config, self.directory = config, directory
        self.asking, self.past, self.told = Asking(socket), Past(directory, open_reader), Told()
        self.looking, self.forecasting = Looking(look_back, explain), Forecasting(forecaster)
        self.skills = Skills(self.past)
        self._cells: tuple[object, list[shapes.Cell]] = (None, [])

    def cells(self) -> list[shapes.Cell]:
        """A row for each feature of each stream, made once for each answer of the daemon."""
        parts = self.asking.table()
        made_of, cells = self._cells
        if made_of is not parts:
            cells = table.cells_of(parts, self.asking.status())
            self._cells = parts, cells
        return cells


def status(world: World, _: asked.Nothing) -> shapes.StatusView:
    """How the daemon is; an answer, too, where it is away."""
    ledger = world.past.fault()
    try:
        now = world.asking.status()
    except GaugecastError as exc:
        last, heard_at_s = world.asking.last_status or (None, None)
        sentence = "The daemon does not answer."
        return shapes.StatusView(sentence=sentence, away=str(exc), heard_at_s=heard_at_s, ledger=ledger, status=last)
    sentence = f"{now.doing}: {now}" if now.ready else str(now.doing)
    return shapes.StatusView(sentence=sentence, heard_at_s=time.time(), ledger=ledger, status=now)


def streams(world: World, wanted: asked.StreamsParams) -> shapes.StreamsView:
    """A page of rows."""
    cells = world.cells()
    found = table.chosen(cells, wanted)
    return shapes.StreamsView(
        rows=found[wanted.offset : wanted.offset + wanted.limit],
        total=len(found),
        streams=world.asking.table()[0].total,
        fleets=sorted({cell.fleet for cell in cells}),
        quality=table.count_quality(cells),
        as_of_s=time.time(),
    )


def crossings(world: World, wanted: asked.MostParams) -> shapes.Rows:
    """Those that are told of now, the soonest first."""
    found = table.crossings(world.cells())
    return shapes.Rows(rows=found[: wanted.limit], total=len(found))


def surprises(world: World, wanted: asked.MostParams) -> shapes.Rows:
    """The rows whose last reading was forecast worst, in usual residuals."""
    found = table.surprises(world.cells())
    return shapes.Rows(rows=found[: wanted.limit], total=len(found))


def sparks(world: World, wanted: asked.SparksParams) -> shapes.SparksView:
    """The last values of some streams."""
    fleet = world.past.fleet(wanted.fleet)
    return shapes.SparksView(sparks={stream: _spark(world, fleet, stream) for stream in wanted.stream})


def _spark(world: World, fleet: Fleet, stream: str) -> dict[str, list[float | None]]:
    readings, made, _ = world.past.history(fleet.name, stream, from_ns=None, to_ns=None, most=_SPARK)
    return {
        fleet.features[place].name: all_known(curve_of(readings, made, fleet, place=place, horizon=0).observed.tolist())
        for place in fleet.forecast_places
    }


def stream(world: World, wanted: asked.StreamParams) -> shapes.StreamView:
    """One stream now.

    Raises:
        WrongUse: It is not active.
    """
    answer = world.asking.stream(wanted.fleet, wanted.stream)
    if not answer.rows:
        raise WrongUse(f"no stream {wanted.stream!r} of fleet {wanted.fleet!r} is active")
    fleet = world.past.fleet(wanted.fleet)
    world.told.note(answer.rows)
    told = [
        f"{row.feature} {one.words(row.unit)}"
        for row in answer.rows
        for one in row.crossings
        if one.open or one.crossed
    ]
    return shapes.StreamView(
        rows=answer.rows, period_s=fleet.period_ns / 1e9, words=table.quality_words(answer.rows[0].quality),
        crossing_words=told,
    )  # fmt: skip


def series(world: World, wanted: asked.SeriesParams) -> shapes.SeriesView:
    """One feature's past.

    Raises:
        WrongUse: The fleet, or the feature, or the horizon is none.
    """
    fleet = world.past.fleet(wanted.fleet)
    place = _place(fleet, wanted.feature)
    if wanted.horizon >= len(fleet.ahead):
        raise WrongUse(f"horizon: expected a place below {len(fleet.ahead)}, got {wanted.horizon}")
    from_ns, to_ns = (None if at_s is None else round(at_s * 1e9) for at_s in (wanted.from_s, wanted.to_s))
    most = MOST_READINGS if from_ns is not None else wanted.points
    column = column_of(fleet, place=place, horizon=wanted.horizon)
    readings, made, more = world.past.history(
        wanted.fleet, wanted.stream, from_ns=from_ns, to_ns=to_ns, most=most, only=(place, column)
    )
    readings, made = readings._replace(values=_first(readings.values)), made._replace(forecasts=_first(made.forecasts))
    curve = curve_of(readings, made, fleet, place=place, horizon=wanted.horizon)
    told = world.told.of(wanted.fleet, wanted.stream)
    return _shown(curve, told, fleet, wanted=wanted, place=place, more=more)


def _first(rows: Float64) -> Float64:
    """The only column; NaN where a stretch is older than the feature."""
    return rows[:, 0] if rows.shape[1] else np.full(len(rows), np.nan)


def _place(fleet: Fleet, feature: str) -> int:
    for place in fleet.forecast_places:
        if fleet.features[place].name == feature:
            return place
    known = ", ".join(one.name for one in fleet.forecast_features)
    raise WrongUse(f"feature: expected one of {known}, got {feature!r}")


def _shown(
    curve: Curve, told: Mapping[int, Said], fleet: Fleet, *, wanted: asked.SeriesParams, place: int, more: bool
) -> shapes.SeriesView:
    gaps = np.add.accumulate(gaps_before(curve.at_ns, fleet.period_ns).astype(np.int64))
    places = thinned(curve, wanted.points)
    cut, feature = curve.taken(places), fleet.features[place]
    own = [told.get(round(at / 1000)) for at in cut.made_ns.tolist()]
    bounds = np.array([_bounds(one, feature.name, wanted.horizon) for one in own]).reshape(-1, 2)
    columns = [cut.at_ns / 1e9, cut.observed, cut.expected, cut.observed - cut.expected, bounds[:, 0], bounds[:, 1]]
    breaks = np.flatnonzero(np.diff(gaps[places])) + 1
    words: list[str | None] = [None if one is None else one.words for one in own]
    for shift, at in enumerate(breaks.tolist()):
        words.insert(at + shift, None)
    at_s, *others = _broken(columns, breaks)
    observed, expected, residual, lower, upper = (all_known(one.tolist()) for one in others)
    return shapes.SeriesView(
        unit=feature.unit, period_s=fleet.period_ns / 1e9, at_s=at_s.tolist(), observed=observed, expected=expected,
        residual=residual, lower=lower, upper=upper, quality=words, readings=len(curve.at_ns),
        horizon_s=fleet.ahead[wanted.horizon] * fleet.period_ns / 1e9,
        horizons_s=[h * fleet.period_ns / 1e9 for h in fleet.ahead], reaches_back=more,
    )  # fmt: skip


def _broken(columns: list[Float64], breaks: Int64) -> list[Float64]:
    """The columns, times first, with nothing at an instant within each gap."""
    at_s = columns[0]
    middles = (at_s[breaks] + at_s[breaks - 1]) / 2 if len(breaks) else np.empty(0)
    return [np.insert(column, breaks, np.nan if i else middles) for i, column in enumerate(columns)]


def _bounds(said: Said | None, feature: str, horizon: int) -> tuple[float, float]:
    known = said.bounds.get(feature, []) if said is not None else []
    return (known[horizon] if horizon < len(known) else None) or (np.nan, np.nan)


def models(world: World, _: asked.Nothing) -> shapes.ModelsView:
    """Weights on the disk, and their roles in the running daemon."""
    roles: dict[str, Any] = {}
    now: Status | None = None
    away = None
    try:
        roles, now = world.asking.models(), world.asking.status()
    except GaugecastError as exc:
        away = str(exc)
    store = ModelStore(world.directory)
    rows = [
        _model(store, fleet, version, roles.get(fleet, {}))
        for fleet in sorted({*world.past.fleets(), *roles})
        for version in reversed(store.versions(fleet))
    ]
    work = [] if now is None else [(name, fleet) for name, fleet, _ in now.at_work()]
    lessons = {name: fleet.lesson for name, fleet in work if fleet.lesson}
    experts = {
        name: {feature: one.experts for feature, one in fleet.features.items() if one.experts} for name, fleet in work
    }
    return shapes.ModelsView(
        models=rows, learning="" if now is None else str(now.learning), lessons=lessons,
        experts={name: one for name, one in experts.items() if one}, away=away,
        skill_means="" if now is None else skill_means(now.skill_half_life),
    )  # fmt: skip


def skill(world: World, wanted: SkillParams) -> SkillView:
    """How well a fleet was forecast, stretch by stretch."""
    return world.skills.of(wanted.fleet)


def _model(store: ModelStore, fleet: str, version: str, told: dict[str, Any]) -> shapes.ModelRow:
    role = next((name for name, one in told.get("roles", {}).items() if one["version"] == version), None)
    known = told["roles"][role] if role is not None else {}
    made_by, layers = store.origin(fleet, version)
    return shapes.ModelRow(
        fleet=fleet, version=version, role=role, skill=known.get("skill"), steps=known.get("steps"),
        good=told.get("good") == version, made_by=made_by, layers=layers,
        stored_at_s=_stored_at_s(store, fleet, version),
    )  # fmt: skip


def _stored_at_s(store: ModelStore, fleet: str, version: str) -> float | None:
    try:
        return store.place(fleet, version).stat().st_mtime
    except (OSError, ModelError):
        return None


def refused(world: World, wanted: asked.RefusedParams) -> shapes.RefusedView:
    """The newest refused messages, and how many there are of each reason."""
    kept = world.past.quarantined(_MOST_KEPT, None)
    rows = [row for row in kept if wanted.reason in (None, "", row.reason)][: wanted.limit]
    try:
        total = world.asking.status().total
    except GaugecastError:
        total = None
    return shapes.RefusedView(
        rows=[
            shapes.RefusedRow(
                number=row.number, received_at_s=row.received_at_ns / 1e9, fleet=row.fleet, stream=row.stream,
                topic=row.topic, reason=row.reason, detail=row.detail,
                payload=row.head.decode(errors="backslashreplace"), payload_base64=base64.b64encode(row.head).decode(),
            )
            for row in rows
        ],
        by_reason=dict(Counter(row.reason for row in kept).most_common()),
        late=None if total is None else total.late, duplicate=None if total is None else total.duplicate,
        not_ours=None if total is None else total.not_ours,
    )  # fmt: skip

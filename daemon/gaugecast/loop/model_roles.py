"""Which weights have which role: hand-overs, promotion of a shadow that has proven itself, rollback of what fails.

Every change is an event input, so that a replay makes it at the same place. The weights of an event were read and
checked before it is ordered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import numpy as np

from gaugecast import events
from gaugecast.config.schema import Learning
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert, same_shape
from gaugecast.forecast.skill import skill
from gaugecast.logs import get
from gaugecast.loop.engines import EngineLoader, EngineLoading
from gaugecast.loop.ports import Models
from gaugecast.loop.standing import Standing, follow
from gaugecast.loop.trial import Trial, hold_trial
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fits import check_meaning, misfit
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.looking import roles_of, versions_of
from gaugecast.pipeline.meaning import goes_on
from gaugecast.pipeline.rebuilding import DETECTOR
from gaugecast.records import Order

log = get("gaugecast")

#: Steps in which weights that gain count as good, and after which a loss counts, what went before included.
_GOOD_STEPS = 20
#: Steps after which the loss of these weights alone counts.
_SURE_STEPS = 100
#: States that stopped being finite under the same weights: no reading does that so often.
_BROKEN_STATES = 20
#: What the manifests of the learner's weights say.
LEARNER = "gaugecast learn"


class ModelRoles:
    """Owned by the loop's thread. Its verbs give orders for the next batch.

    No order may name weights whose engine is not there: the loop would load it when it takes the event.

    Args:
        pending: Whether a change of a fleet is on its way: then nothing is judged or changed.
    """

    def __init__(
        self, pipeline: Pipeline, store: Models, settings: Learning, *, pending: Callable[[str], bool],
        engines: EngineLoader,
    ) -> None:  # fmt: skip
        self._pipeline, self._store, self._settings = pipeline, store, settings
        self._pending, self._engines = pending, engines
        self.standings: dict[str, Standing] = {}

    def standing(self, fleet: str) -> Standing:
        """Of one fleet; made when first asked for."""
        return self.standings.setdefault(fleet, Standing())

    def remember(self, told: Iterable[tuple[str, events.Event]]) -> None:
        """Take from the ledger's events (fleet, event) what a former process knew."""
        follow(told, self.standing)

    def make_room(self, fleets: Iterable[Fleet]) -> None:
        """A configuration is about to be taken: what it has no place for may come back with its shape."""
        coming = {fleet.name: fleet for fleet in fleets}
        for name, part in self._pipeline.parts.items():
            fleet = coming.get(name)
            if part.in_force is not None and (fleet is None or not goes_on(part.fleet, fleet)):
                self.standing(name).put_away(part.in_force.version)

    def former(self, fleet: Fleet) -> Model | None:
        """What forecast the fleet when it last had the shape that it has now; `None` where there is nothing."""
        for version in reversed(self.standing(fleet.name).former):
            try:
                model = self._store.load(fleet.name, version)
                if misfit(model.manifest, fleet):
                    continue
                self._engines.demand(model)
                self._store.touch(fleet.name, version)
            except (ModelError, EngineLoading, OSError) as exc:
                log.warning("model does not come back", fleet=fleet.name, version=version, why=str(exc))
                continue
            return model
        return None

    def fleets(self) -> set[str]:
        """Those that there are weights of."""
        return set(self._store.fleets())

    def forget(self, fleet: str) -> None:
        """Let no model come back with a fleet that is gone for good, and let the sweeper have its weights.

        Raises:
            OSError: Its folder cannot be written.
        """
        self._store.forget(fleet)
        self.standing(fleet).forget()

    def loss_orders(self, lost: Iterable[tuple[str, str]]) -> list[Order]:
        """Orders that say of roles that they are empty, since weights (fleet, version) could not be read.

        From there on a replay is exact again.
        """
        made: list[Order] = []
        for fleet in sorted({fleet for fleet, _ in lost} & self._pipeline.parts.keys()):
            part = self._pipeline.parts[fleet]
            empty = [role for role in roles_of(part) if role not in versions_of(part)]
            made += [Order(events.ModelInstalled(role, "", reason="lost"), fleet) for role in empty]
        return made

    def part(self, fleet: str) -> FleetPipeline:
        """The part of a configured fleet.

        Raises:
            ModelError: There is none.
        """
        part = self._pipeline.parts.get(fleet)
        if part is None:
            raise ModelError(f"one of the fleets {', '.join(self._pipeline.parts)} expected, got {fleet!r}")
        return part

    def hand_over(self, fleet: str, version: str, role: str, reason: str) -> list[Order]:
        """Give weights from the store a role; what they remember of the streams follows, a chunk a batch.

        Raises:
            ModelError: They are damaged, do not fit the fleet, or may not have that role; counted, nothing changes.
            EngineLoading: Nothing speaks against them so far, but their engine is not there yet.
        """
        part, standing = self.part(fleet), self.standing(fleet)
        try:
            self._check_quiet(fleet)
            model = self._store.load(fleet, version)
            check_meaning(model, part.fleet, detects=role == DETECTOR)
            given = _role_for(part, model, role, learned=reason == events.LEARNED)
            self._engines.demand(model)
            self._store.touch(fleet, version)
        except (ModelError, OSError) as exc:
            standing.refused_total += 1
            log.warning("weights refused", fleet=fleet, version=version, role=role, why=str(exc))
            raise ModelError(str(exc)) from exc
        if given == "in_force":
            self._note_good(part)
        standing.handovers_total += 1
        sha256 = model.manifest.sha256
        event = events.ModelInstalled(given, version, sha256=sha256, reason=reason, good=standing.good)
        chunks = self._memory_of(fleet, version) if given == "shadow" else []
        return [Order(event, fleet), *(Order(events.ShadowWarmed(version), fleet, state=chunk) for chunk in chunks)]

    def _memory_of(self, fleet: str, version: str) -> list[bytes]:
        try:
            return self._store.take_memory(fleet, version)
        except ModelError as exc:
            log.warning("begins cold in shadow", why=str(exc))
            return []

    def promote(self, fleet: str, reason: str = "asked") -> Order:
        """Put the shadow in force.

        Raises:
            ModelError: There is no shadow, or something is under way.
        """
        part = self.part(fleet)
        self._check_quiet(fleet)
        if part.shadow is None:
            raise ModelError(f"fleet {fleet!r}: a model in shadow expected, there is none")
        self._note_good(part)
        version, good = part.shadow.version, self.standing(fleet).good
        log.info("promote", fleet=fleet, version=version, reason=reason)
        return Order(events.ShadowPromoted(version, reason=reason, good=good), fleet)

    def roll_back(self, fleet: str, reason: str = "asked") -> Order:
        """Put the last good weights in force again; persistence where there are none, or where they fail themselves.

        Raises:
            ModelError: Nothing is in force, or something is under way.
            EngineLoading: What it goes back to needs an engine that is not there yet.
        """
        part, standing = self.part(fleet), self.standing(fleet)
        self._check_quiet(fleet)
        if part.in_force is None:
            raise ModelError(f"fleet {fleet!r}: a model in force expected, there is none")
        version = self._good_version(part)
        standing.good = version
        standing.disown(part.in_force.version)
        standing.rollbacks_total += 1
        log.warning("rollback", fleet=fleet, version=part.in_force.version, to=version or "persistence", reason=reason)
        return Order(events.ModelInstalled("in_force", version, reason=events.ROLLBACK, good=version), fleet)

    def judge(self) -> list[Order]:
        """Once a second: promote shadows that have proven themselves, roll back what loses to persistence.

        Rollback only while we learn: else nothing may depend on when somebody looks, and what is in force was put
        there by people.
        """
        learning = self._settings.mode in ("child", "unit")  # `auto`: nobody has said yet what it comes to
        made: list[Order] = []
        for fleet, part in self._pipeline.parts.items():
            if self._pending(fleet):
                continue
            if (trial := self.trial(part)) is not None and trial.passed:
                made.append(self.promote(fleet, "beat what is in force"))
            elif learning and part.in_force is not None and (why := self._failing(part)):
                with contextlib.suppress(EngineLoading):  # in the next second, then
                    made.append(self.roll_back(fleet, why))
        return made

    def trial(self, part: FleetPipeline) -> Trial | None:
        """How the model in shadow fares; `None` where there is none."""
        if part.shadow is None:
            return None
        steps, gained = measured(part, part.shadow)
        rival = 0.0 if part.in_force is None else measured(part, part.in_force)[1]
        return hold_trial(self._settings, steps=steps, skill=gained, rival=rival)

    def _check_quiet(self, fleet: str) -> None:
        if self._pending(fleet):
            raise ModelError(f"fleet {fleet!r}: a change of its weights or configuration is on its way; ask again")

    def _good_version(self, part: FleetPipeline) -> str:
        """What to go back to; empty = persistence. Read here, for an event may name nothing that cannot be read."""
        fleet, version = part.fleet.name, self.standing(part.fleet.name).good
        assert part.in_force is not None
        if version in ("", part.in_force.version):
            return ""
        try:
            model = self._store.load(fleet, version)
            check_meaning(model, part.fleet)
            self._engines.demand(model)
            self._store.touch(fleet, version)
        except (ModelError, OSError) as exc:
            log.warning("good weights gone", fleet=fleet, version=version, why=str(exc))
            return ""
        return version

    def _failing(self, part: FleetPipeline) -> str:
        """Why the weights in force must go; empty while they may stay."""
        expert, standing = part.in_force, self.standing(part.fleet.name)
        assert expert is not None
        if standing.version != expert.version:
            standing.version, standing.broken = expert.version, expert.broken_total
        if expert.broken_total - standing.broken >= _BROKEN_STATES:
            return "states not finite"
        for (steps, gained), enough in ((measured(part, expert), _GOOD_STEPS), (expert.since_use, _SURE_STEPS)):
            if steps >= enough and gained < self._settings.rollback_skill:
                return "lost to persistence"
        return ""

    def _note_good(self, part: FleetPipeline) -> None:
        """Weights that are about to be replaced: were they good?"""
        if part.in_force is None:
            return
        steps, gained = part.in_force.since_use
        if steps >= _GOOD_STEPS and gained > 0:
            self.standing(part.fleet.name).good = part.in_force.version


def _role_for(part: FleetPipeline, model: Model, role: str, *, learned: bool) -> events.Role:
    """The role that weights get: nothing begins cold in force, and the learner stays out of the way of people.

    Raises:
        ModelError: They may not have it.
    """
    given = events.ROLES.get(role)
    if given is None:
        raise ModelError(f"role {' or '.join(events.ROLES)} expected, got {role!r}")
    if given == DETECTOR:
        return given
    goes_on = part.in_force is not None and same_shape(part.in_force.model, model)
    if role == "in_force" and not goes_on:
        raise ModelError("weights of the shape of those in force expected; others warm up in shadow first")
    if not learned or given == "in_force":
        return given
    if goes_on:
        return "in_force"  # its shadow was promoted before it heard of that
    if part.shadow is not None and part.shadow.model.manifest.provenance.get("made_by") != LEARNER:
        raise ModelError(f"{part.shadow.version} is on trial, which the learner did not make")
    return given


def measured(part: FleetPipeline, expert: Expert) -> tuple[float, float]:
    """Steps (discounted, over all streams, mean over the features) and skill (mean over the features) of a model."""
    live = part.table.live_slots()
    error, last, scored = (expert.columns[n][live].sum(axis=0) for n in ("square_error", "square_last", "scored"))
    by_feature = skill(error, last)
    moving = ~np.isnan(by_feature)
    return float(scored.mean()), float(by_feature[moving].mean()) if moving.any() else 0.0

"""Which weights have which role: hand-overs, promotion of a shadow that has proven itself, rollback of what fails.

Every change is an event input, so that a replay makes it at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gaugecast.config.schema import Learning
from gaugecast.errors import ModelError
from gaugecast.forecast.expert import Expert
from gaugecast.forecast.skill import skill
from gaugecast.logs import get
from gaugecast.pipeline import Pipeline, events
from gaugecast.pipeline.lane import Lane
from gaugecast.records import Input
from gaugecast.service.models import ModelStore, check_fits

log = get("gaugecast")

#: Weights count as good when they have gained on persistence over so many steps.
_GOOD_STEPS = 20


@dataclass(slots=True)
class Standing:
    """What is known of a fleet's weights in this process.

    Attributes:
        good: The newest version that has gained on persistence while it was in force.
        handovers_total, rollbacks_total, refused_total: Of this process.
        ordered: An event is on its way; nothing is judged until it is taken.
    """

    good: str = ""
    handovers_total: int = 0
    rollbacks_total: int = 0
    refused_total: int = 0
    ordered: bool = False


class ModelKeeper:
    """Owned by the loop's thread. Its verbs give events for the next batch."""

    def __init__(self, pipeline: Pipeline, store: ModelStore, settings: Learning) -> None:
        self._pipeline, self._store, self._settings = pipeline, store, settings
        self.standings: dict[str, Standing] = {}

    def standing(self, fleet: str) -> Standing:
        """Of one fleet; made when first asked for."""
        return self.standings.setdefault(fleet, Standing())

    def lane(self, fleet: str) -> Lane:
        """The lane of a configured fleet.

        Raises:
            ModelError: There is none.
        """
        lane = self._pipeline.lanes.get(fleet)
        if lane is None:
            raise ModelError(f"one of the fleets {', '.join(self._pipeline.lanes)} expected, got {fleet!r}")
        return lane

    def hand_over(self, fleet: str, version: str, role: str, reason: str) -> Input:
        """Give weights from the store a role.

        Raises:
            ModelError: They are damaged, do not fit the fleet, or the role is unknown; counted, nothing changes.
        """
        lane, standing = self.lane(fleet), self.standing(fleet)
        try:
            if role not in ("in_force", "shadow"):
                raise ModelError(f"role in_force or shadow expected, got {role!r}")
            model = self._store.load(fleet, version)
            check_fits(model, lane.fleet)
        except ModelError:
            standing.refused_total += 1
            raise
        if role == "in_force":
            self._note_good(lane)
        standing.handovers_total += 1
        event = events.ModelInstalled(role, version, sha256=model.manifest.sha256, reason=reason)  # type: ignore[arg-type]
        return self._order(fleet, event)

    def promote(self, fleet: str, reason: str = "asked") -> Input:
        """Put the shadow in force.

        Raises:
            ModelError: There is no shadow.
        """
        lane = self.lane(fleet)
        if lane.shadow is None:
            raise ModelError(f"fleet {fleet!r}: a model in shadow expected, there is none")
        log.info("promote", fleet=fleet, version=lane.shadow.version, reason=reason)
        return self._order(fleet, events.ShadowPromoted(lane.shadow.version, reason=reason))

    def roll_back(self, fleet: str, reason: str = "asked") -> Input:
        """Put the last good weights in force again; persistence where there are none.

        Raises:
            ModelError: Nothing is in force.
        """
        lane, standing = self.lane(fleet), self.standing(fleet)
        if lane.in_force is None:
            raise ModelError(f"fleet {fleet!r}: a model in force expected, there is none")
        version = standing.good if standing.good != lane.in_force.version else ""
        standing.rollbacks_total += 1
        log.warning("rollback", fleet=fleet, version=lane.in_force.version, to=version or "persistence", reason=reason)
        return self._order(fleet, events.ModelInstalled("in_force", version, reason=events.ROLLBACK))

    def judge(self) -> list[Input]:
        """Once a second: promote shadows that have proven themselves, roll back what loses to persistence."""
        made: list[Input] = []
        for fleet, lane in self._pipeline.lanes.items():
            if self.standing(fleet).ordered:
                continue
            if lane.shadow is not None and self._has_proven(lane):
                made.append(self.promote(fleet, "beat what is in force"))
            elif lane.in_force is not None and self._has_failed(lane):
                made.append(self.roll_back(fleet, "lost to persistence"))
        return made

    def taken(self) -> None:
        """The events that were ordered have been taken."""
        for standing in self.standings.values():
            standing.ordered = False

    def _order(self, fleet: str, event: events.Event) -> Input:
        self.standing(fleet).ordered = True
        return events.event_input(event, received_at_ns=0, fleet=fleet)

    def _has_proven(self, lane: Lane) -> bool:
        assert lane.shadow is not None
        steps, gained = measured(lane, lane.shadow)
        if steps < self._settings.promote_after:
            return False
        bar = 0.0 if lane.in_force is None else measured(lane, lane.in_force)[1]
        return gained >= max(0.0, bar) + self._settings.promote_skill

    def _has_failed(self, lane: Lane) -> bool:
        assert lane.in_force is not None
        steps, gained = measured(lane, lane.in_force)
        return steps >= _GOOD_STEPS and gained < self._settings.rollback_skill

    def _note_good(self, lane: Lane) -> None:
        """Weights that are about to be replaced: were they good?"""
        if lane.in_force is None:
            return
        steps, gained = lane.in_force.since_use
        if steps >= _GOOD_STEPS and gained > 0:
            self.standing(lane.fleet.name).good = lane.in_force.version


def measured(lane: Lane, expert: Expert) -> tuple[float, float]:
    """Steps (discounted, over all streams, mean over the features) and skill (mean over the features) of a model."""
    live = lane.table.live_slots()
    error, last, scored = (expert.columns[n][live].sum(axis=0) for n in ("square_error", "square_last", "scored"))
    by_feature = skill(error, last)
    moving = ~np.isnan(by_feature)
    return float(scored.mean()), float(by_feature[moving].mean()) if moving.any() else 0.0

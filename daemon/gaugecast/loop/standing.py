"""What is known of a fleet's weights beyond those that forecast now: what to go back to, what left with its shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gaugecast import events

#: Shapes of a fleet that it may go back to with the weights that it had.
_FORMER = 20


@dataclass(slots=True)
class Standing:
    """What is known of a fleet's weights.

    Attributes:
        good: The newest version that has gained on persistence while it was in force; the ledger's events have it too.
        handovers_total, rollbacks_total, refused_total: Of this process.
        former: Versions that were in force when the fleet left or became another, newest last: they come back with it.
        version, broken: In force when last looked at, and the states that had broken before these weights came.
    """

    good: str = ""
    handovers_total: int = 0
    rollbacks_total: int = 0
    refused_total: int = 0
    former: list[str] = field(default_factory=list)
    version: str = ""
    broken: int = 0

    def put_away(self, version: str) -> None:
        """These weights leave with the fleet, or with its shape, through no fault of theirs."""
        self.disown(version)
        self.former = [*self.former, version][-_FORMER:] if version else self.former

    def forget(self) -> None:
        """Nothing comes back: the fleet is gone for good."""
        self.former, self.good = [], ""

    def disown(self, version: str) -> None:
        """They are not to come back."""
        self.former = [one for one in self.former if one != version]


def follow(told: Iterable[tuple[str, events.Event]], standing_of: Callable[[str], Standing]) -> None:
    """Learn from the ledger's events (fleet, event) what the process knew that made them."""
    in_force: dict[str, str] = {}
    for fleet, event in told:
        standing = standing_of(fleet)
        if isinstance(event, events.ModelInstalled | events.ShadowPromoted):
            standing.good = event.good
        if isinstance(event, events.FleetForgotten):
            standing.forget()
            in_force.pop(fleet, None)
        elif isinstance(event, events.FleetConfigured | events.FleetRetired):
            standing.put_away(in_force.get(fleet, ""))
        elif isinstance(event, events.ShadowPromoted):
            in_force[fleet] = event.version
        elif isinstance(event, events.ModelInstalled) and event.role == "in_force":
            if event.reason == events.ROLLBACK:
                standing.disown(in_force.get(fleet, ""))
            in_force[fleet] = event.version

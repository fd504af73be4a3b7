"""Orders wait here until the loop takes them before the next readings; a change of configuration among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gaugecast.config.schema import Loop
from gaugecast.events import Announced, FleetRetired, ModelInstalled, limits_of
from gaugecast.fleet import Fleet
from gaugecast.loop.asides import birth_topics
from gaugecast.loop.ports import Decodes
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.meaning import goes_on
from gaugecast.records import Order
from gaugecast.topics import Pattern
from gaugecast.topics.system import SYS_DROPPED

#: What a newcomer remembers of thousands of streams is megabytes: so much of it goes into one batch.
BATCH_BYTES = 512 << 10


class TopicFilters(NamedTuple):
    """What is asked of the broker.

    Attributes:
        filters: (topic filter, QoS).
        retained: Those of them for which retained messages count.
    """

    filters: tuple[tuple[str, int], ...]
    retained: tuple[str, ...]

    @classmethod
    def of(cls, fleets: Sequence[Fleet], *, watch_drops: bool) -> TopicFilters:
        """What the fleets read and, where it is wanted, the broker's own count of drops."""
        ours: dict[str, int] = {}  # several fleets may read one filter
        for name, qos in ((Pattern.parse(text).filter, f.input_qos) for f in fleets for text in f.subscribe):
            ours[name] = max(qos, ours.get(name, 0))
        drops = [(SYS_DROPPED, 0)] if watch_drops else []
        drops += [(topic, 0) for topic in birth_topics(fleets)]
        kept = [Pattern.parse(text).filter for f in fleets if f.accept_retained for text in f.subscribe]
        return cls((*ours.items(), *drops), tuple(dict.fromkeys(kept)))


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration on its way: compiled and checked, in force from the batch on that takes it.

    Attributes:
        limits: Settings of `[loop]` that bear on results.
        decoder: Reads messages by it.
        subscriptions: Asked of the broker when it is in force.
        before: Orders that are taken before it, in the same batch.
    """

    fleets: tuple[Fleet, ...]
    limits: Loop
    decoder: Decodes
    subscriptions: TopicFilters
    before: Sequence[Order] = ()

    def orders(
        self, pipeline: Pipeline, shipped: Callable[[Fleet], Model | None], former: Callable[[Fleet], Model | None]
    ) -> Iterator[Order]:
        """What it changes against what is in force in `pipeline` now.

        Args:
            shipped: The model that comes with the package for a fleet, stored already; `None` where there is none.
            former: What forecast the fleet when it last had its new shape.
        """
        yield from self.before
        limits = limits_of(self.limits)
        if not pipeline.limits_told or pipeline.limits != limits:
            yield Order(limits)
        names = {fleet.name for fleet in self.fleets}
        yield from (Order(FleetRetired(steps_kept=True), name) for name in pipeline.parts if name not in names)
        for fleet in self.fleets:
            part = pipeline.parts.get(fleet.name)
            if part is None or part.fleet.digest() != fleet.digest():
                yield Order.configuring(fleet)
                if (part is None or not goes_on(part.fleet, fleet)) and (model := former(fleet)) is not None:
                    yield _install(model, fleet, reason="the shape that it was learned for is back")
                    continue
            if (part is None or part.in_force is None) and (model := shipped(fleet)) is not None:
                yield _install(model, fleet, reason="shipped")


def _install(model: Model, fleet: Fleet, *, reason: str) -> Order:
    manifest = model.manifest
    return Order(ModelInstalled("in_force", manifest.version, sha256=manifest.sha256, reason=reason), fleet.name)


class Orders:
    """A queue. Owned by the loop's thread.

    What stands in line behind a configuration was ordered under the one before; whoever gives orders asks `pending`
    first where that matters.

    Attributes:
        batch_bytes: So much state goes into one batch, or one order, if that has more.
    """

    def __init__(self) -> None:
        self.batch_bytes = BATCH_BYTES
        self._line: deque[Order | Configuration] = deque()

    def add(self, order: Order | Configuration) -> None:
        """Put it at the end."""
        self._line.append(order)

    def pending(self, fleet: str) -> bool:
        """Whether a change of this fleet is on its way: an order, or a configuration."""
        return any(isinstance(one, Configuration) or one.fleet == fleet for one in self._line)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._line)

    def take(self) -> tuple[Configuration | None, list[Order]]:
        """What goes into the next batch: a configuration, or what stands before one, as much as a batch can carry."""
        if self._line and isinstance(self._line[0], Configuration):
            return self._line.popleft(), []  # type: ignore[return-value]
        taken: list[Order] = []
        size = 0
        while self._line and not isinstance(one := self._line[0], Configuration):
            size += len(one.state)
            if taken and size > self.batch_bytes:
                break
            taken.append(one)
            self._line.popleft()
            if isinstance(one.event, Announced):
                break
        return None, taken

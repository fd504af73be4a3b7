"""What a cluster consists of, from the configuration files: a file an ingest, and all fleets in every partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from gaugecast.cluster.routing import slots_of
from gaugecast.config import Settings, resolve_fleets
from gaugecast.config.split import check_disjoint
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.lessons import LearningStatus
from gaugecast.service.learning_mode import decide


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """One ingest.

    Attributes:
        name: Of its lease, and of its batches.
        settings: Its broker and session.
        fleets: What it subscribes and decodes.
    """

    name: str
    settings: Settings
    fleets: tuple[Fleet, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it.

    Attributes:
        ingests: In the order of the files.
        fleets: Of all ingests together, as each partition has them.
        partitions: How many; it stays so, for the ledgers are cut by it.
        settings: Of the first file: what partitions go by.
        learning: What its `[learning] mode` comes to where this was planned.
    """

    ingests: tuple[IngestPlan, ...]
    fleets: tuple[Fleet, ...]
    partitions: int
    settings: Settings
    learning: LearningStatus = field(default_factory=LearningStatus)

    @property
    def learned(self) -> tuple[str, ...]:
        """The fleets that have a learner each; none where nothing is learned."""
        return tuple(fleet.name for fleet in self.fleets) if self.learning.mode in ("child", "unit") else ()

    @classmethod
    def of(cls, files: Sequence[Settings], partitions: int) -> Plan:
        """Plan it.

        Raises:
            ConfigError: Two ingests would take the same readings, or what they say of a fleet differs.
        """
        slots_of(0, partitions)
        ingests = tuple(
            IngestPlan(f"ingest-{number}", _stored_with(files[0], one), resolve_fleets(one))
            for number, one in enumerate(files)
        )
        check_ingests(ingests)
        return cls(ingests, _merged(ingests), partitions, files[0], decide(files[0].learning))


def check_ingests(ingests: Sequence[IngestPlan]) -> None:
    """No reading may come by two ingests, and no two may share a session.

    Raises:
        ConfigError: They would.
    """
    for one, other in combinations(ingests, 2):
        if _broker(one) == _broker(other):
            if one.settings.mqtt.client_id == other.settings.mqtt.client_id:
                raise ConfigError(
                    f"{other.settings.source}: [mqtt] client_id: {other.settings.mqtt.client_id!r} is that of "
                    f"{one.settings.source}, too; a broker lets each id connect once"
                )
            check_disjoint([(each.settings.source, each.fleets) for each in (one, other)])


def _stored_with(first: Settings, other: Settings) -> Settings:
    """With the database of the first file: leases lie where ledgers do, whatever the others say."""
    return other.model_copy(update={"storage": first.storage}).read_from(other.source)


def _broker(one: IngestPlan) -> tuple[str, int]:
    return one.settings.mqtt.host, one.settings.mqtt.port


def _merged(ingests: Sequence[IngestPlan]) -> tuple[Fleet, ...]:
    """Fleets of one name are one fleet, whose topics are those of all."""
    merged: dict[str, Fleet] = {}
    for ingest in ingests:
        for fleet in ingest.fleets:
            known = merged.setdefault(fleet.name, fleet)
            if replace(known, subscribe=()) != replace(fleet, subscribe=()):
                raise ConfigError(
                    f"{ingest.settings.source}: [fleet.{fleet.name}] is said otherwise in another file; only "
                    "`subscribe` may differ"
                )
            topics = dict.fromkeys((*known.subscribe, *fleet.subscribe))
            merged[fleet.name] = replace(known, subscribe=tuple(topics))
    return tuple(merged.values())

"""A cluster is asked as one daemon is: who is asked, and how what partitions say becomes one answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gaugecast import control
from gaugecast.cluster.account import joined
from gaugecast.cluster.gateway import Gateway, act_on
from gaugecast.cluster.ingesting import IngestStatus
from gaugecast.cluster.routing import Routing
from gaugecast.counts import FleetCounts
from gaugecast.errors import CommandRefused
from gaugecast.status import FeatureStatus, FleetStatus, Rates, Status, StreamCounts

NAMES = [f"s{number}" for number in range(8)]


def status_of(streams: int, skill: float | None = None, *, recovered: float = 1.0) -> Status:
    """Of a partition with so many streams."""
    fleet = FleetStatus(
        counts=FleetCounts(received=10 * streams), streams=StreamCounts(active=streams), model="1a",
        features={"p": FeatureStatus(unit="bar", skill=skill)},
    )  # fmt: skip
    publishing = msgspec.structs.replace(Status().publishing, connected=True, unconfirmed=1)
    return Status(
        recovered=recovered, fleets={"tanks": fleet}, rates=Rates(readings_per_s=1.0 * streams), publishing=publishing
    )


WELL = IngestStatus(name="ingest-0", connected=True)


class Partitions:
    """Some that remember what they were asked; each has the streams that are its own."""

    def __init__(self, many: int = 3) -> None:
        self.routing = Routing(many)
        self.asked: list[tuple[int, msgspec.Struct]] = []
        self.given: list[int] = []
        self.refusing: set[int] = set()

    def streams(self, number: int) -> list[str]:
        """Of one of them."""
        return [name for name in NAMES if self.routing.partition_of("tanks", name) == number]

    def ask(self, number: int, request: msgspec.Struct) -> dict[str, Any]:
        """As a partition answers."""
        self.asked.append((number, request))
        if number in self.refusing:
            raise CommandRefused(f"partition {number} will not")
        names = self.streams(number)
        if isinstance(request, control.StreamsQuery):
            rows = [control.StreamRow(fleet="tanks", stream=name, feature="p") for name in names][: request.limit]
            return _built(control.StreamsAnswer(rows=rows, total=len(names), status=Status()))
        if isinstance(request, control.TableQuery):
            shown = names[request.offset : request.offset + request.limit]
            return _built(control.TableAnswer(fleets=[_columns(shown)] if shown else [], total=len(names)))
        if isinstance(request, control.ModelsQuery):
            roles = {"in_force": {"version": "2b" if number else "1a", "steps": 10, "skill": 0.5 + number / 10}}
            return {"fleets": {"tanks": {"roles": roles, "good": "1a", "rollbacks": 1}}}
        return {}

    def give(self, number: int, _fleet: str, _files: Mapping[str, bytes], _role: str, _reason: str) -> None:
        """As a partition takes weights."""
        self.given.append(number)


def _built(answer: msgspec.Struct) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(answer)
    return built


def _columns(names: list[str]) -> control.FleetColumns:
    values: list[float | None] = [float(name[1:]) for name in names]
    feature = control.FeatureColumns(
        feature="p", unit="bar", observed=values, forecast=values, predicted=values, skill=values
    )
    zeros = [0] * len(names)
    return control.FleetColumns(
        fleet="tanks", period_s=1.0, streams=names, step=zeros, at_s=[0.0] * len(names), quality=zeros,
        features=[feature],
    )  # fmt: skip


@pytest.fixture
def partitions() -> Partitions:
    """Three."""
    return Partitions()


@pytest.fixture
def gateway(partitions: Partitions, tmp_path: Path) -> Gateway:
    """To them."""
    return Gateway(3, tmp_path, ask=partitions.ask, give=partitions.give, status=Status)


def test_what_concerns_a_stream_goes_to_its_partition(gateway: Gateway, partitions: Partitions) -> None:
    """And what concerns a fleet to all."""
    for name in NAMES:
        gateway.act(control.Forget(fleet="tanks", stream=name))
    assert [number for number, _ in partitions.asked] == [partitions.routing.partition_of("tanks", n) for n in NAMES]
    partitions.asked.clear()
    gateway.act(control.Promote(fleet="tanks"))
    assert [number for number, _ in partitions.asked] == [0, 1, 2]


def test_an_order_to_all_is_refused_only_by_all(gateway: Gateway, partitions: Partitions) -> None:
    """A partition may have no shadow yet where the others have one."""
    partitions.refusing = {0, 2}
    assert act_on(gateway, control.Promote(fleet="tanks")) is None
    partitions.refusing = {0, 1, 2}
    assert act_on(gateway, control.Promote(fleet="tanks")) == "partition 0 will not"


def test_streams_are_sorted_and_cut_as_one_daemon_does(gateway: Gateway) -> None:
    """Whatever partition they are on."""
    answer = gateway.act(control.StreamsQuery(limit=3, offset=2))
    assert isinstance(answer, control.StreamsAnswer)
    assert [row.stream for row in answer.rows] == NAMES[2:5]
    assert answer.total == len(NAMES)


@pytest.mark.parametrize(("offset", "limit"), [(0, 2000), (1, 3), (3, 4), (7, 10), (8, 1)])
def test_a_table_has_each_stream_once(gateway: Gateway, partitions: Partitions, offset: int, limit: int) -> None:
    """In an order that stays, page by page; columns of one fleet are one."""
    everything = [name for number in range(3) for name in partitions.streams(number)]
    answer = gateway.act(control.TableQuery(offset=offset, limit=limit))
    assert isinstance(answer, control.TableAnswer)
    assert answer.total == len(NAMES)
    shown = [name for fleet in answer.fleets for name in fleet.streams]
    assert shown == everything[offset : offset + limit]
    for fleet in answer.fleets:
        assert fleet.features[0].observed == [float(name[1:]) for name in fleet.streams]


def test_of_models_the_version_that_most_have_is_told(gateway: Gateway) -> None:
    """With the steps of those that have it, and their mean skill."""
    answer = gateway.act(control.ModelsQuery())
    assert answer == {
        "fleets": {
            "tanks": {
                "roles": {"in_force": {"version": "2b", "steps": 20, "skill": pytest.approx(0.65)}},
                "good": "1a",
                "rollbacks": 3,
            }
        }
    }


def test_a_stream_keeps_a_name_of_its_partition(gateway: Gateway, partitions: Partitions) -> None:
    """Its readings would go elsewhere under another one."""
    routing = partitions.routing
    other = next(n for n in NAMES if routing.partition_of("tanks", n) != routing.partition_of("tanks", "s0"))
    assert "belongs to a partition by its name" in str(
        act_on(gateway, control.Rename(fleet="tanks", stream="s0", to=other))
    )


def test_weights_that_people_bring_go_to_all(gateway: Gateway, partitions: Partitions, tmp_path: Path) -> None:
    """From the state directory of the machine where the cluster was begun."""
    order = control.HandOver(fleet="tanks", version="1a", reason="asked")
    assert "weights 1a of fleet 'tanks' expected" in str(act_on(gateway, order))
    nobody = control.HandOver(fleet="tanks", version="nope")
    assert "a version of hexadecimal digits expected, got 'nope'" in str(act_on(gateway, nobody))
    place = tmp_path / "models" / "tanks" / "1a"
    place.mkdir(parents=True)
    for name in ("model.json", "weights.npz"):
        (place / name).write_bytes(b"x")
    assert act_on(gateway, order) is None
    assert partitions.given == [0, 1, 2]


def test_the_status_of_all_is_that_of_one() -> None:
    """Counts are added, skills weighed by streams."""
    status = joined([status_of(3, 0.9), status_of(1, 0.5), status_of(0)], [WELL], address="b:1883")
    fleet = status.fleets["tanks"]
    assert status.ready, status.doing
    assert (fleet.counts.received, fleet.streams, fleet.model) == (40, StreamCounts(active=4), "1a")
    assert fleet.features["p"].skill == pytest.approx(0.8)
    assert status.rates.readings_per_s == 4.0
    assert status.publishing.unconfirmed == 3


def test_a_partition_or_an_ingest_that_does_not_answer_is_seen() -> None:
    """Without the one the cluster recovers, without the other it is deaf."""
    assert joined([status_of(1), None], [WELL], address="b:1883").doing.verb == "recovering"
    assert joined([status_of(1, recovered=0.5)], [WELL], address="b:1883").doing.verb == "recovering"
    deaf = joined([status_of(1)], [None], address="b:1883").doing
    assert (deaf.verb, deaf.why) == ("deaf", "not connected to broker b:1883: an ingest does not answer")
    assert joined([None], [WELL], address="b:1883").doing.verb == "starting"

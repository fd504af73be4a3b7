"""The ledgers of all partitions as one, as the learner of a fleet reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from gaugecast import events
from gaugecast.cluster.past import FleetPast
from gaugecast.config.schema import Settings
from gaugecast.errors import Defect
from gaugecast.events import Event
from gaugecast.fleet import Fleet
from gaugecast.learn.online.follower import Follower
from gaugecast.records import Input, Kind, Order
from gaugecast.storage.models import ModelStore
from gaugecast.testing import fleet_of
from gaugecast.testing.readings import reading
from learning.conftest import plain_updates

__all__ = ["plain_updates"]

FLEET = fleet_of()


class _Batch(NamedTuple):
    first_seq: int
    inputs: Sequence[Input]


class Rows:
    """A partition's ledger; `rows[i]` has the seq `i + 1`."""

    first_seq = 1

    def __init__(self, *rows: Input) -> None:
        self.rows = list(rows)

    def renew(self) -> bool:
        """Never."""
        return False

    @property
    def last_seq(self) -> int:
        """The newest."""
        return len(self.rows)

    @property
    def received_at_ns(self) -> int:
        """Of the newest."""
        return self.rows[-1].received_at_ns if self.rows else 0

    def events(self, after_seq: int = 0) -> list[tuple[int, str, Event]]:
        """All."""
        told = enumerate(self.rows, 1)
        return [(seq, one.fleet, one.event) for seq, one in told if one.event is not None and seq > after_seq]

    def replay(self, after_seq: int, *, most: int = 2000, upto_seq: int | None = None) -> Iterator[_Batch]:
        """In batches."""
        for first in range(after_seq, upto_seq or len(self.rows), most):
            yield _Batch(first + 1, self.rows[first : first + most])


def at(received_at_ns: int, stream: str = "a") -> Input:
    """A reading that was received then."""
    return reading(received_at_ns, 1.0, fleet=FLEET.name, stream=stream)._replace(received_at_ns=received_at_ns)


def event(event_: Event, received_at_ns: int = 5) -> Input:
    """Of the fleet."""
    return Order(event_, FLEET.name).stamped(received_at_ns)


def installed(version: str, reason: str = events.LEARNED) -> Event:
    """Weights come into force."""
    return events.ModelInstalled("in_force", version, reason=reason)


def past_of(*ledgers: Rows, fleet: Fleet = FLEET, most: int = 1000) -> FleetPast:
    """From their beginning."""
    return FleetPast(ledgers, fleet, most=most)


def all_of(past: FleetPast, after_seq: int = 0, most: int = 3) -> list[Input]:
    """As the learner asks: one batch a call."""
    found: list[Input] = []
    while (batch := next(iter(past.replay(after_seq, most=most)), None)) is not None:
        assert batch.first_seq == after_seq + 1
        after_seq += len(batch.inputs)
        found += batch.inputs
    return found


def test_readings_of_all_partitions_come_in_the_order_in_which_they_were_received() -> None:
    """After the fleet's configuration; numbered without gaps."""
    past = past_of(Rows(at(10), at(30), at(50)), Rows(at(20, "b"), at(40, "b")))
    first, *rest = all_of(past)
    assert isinstance(first.event, events.FleetConfigured)
    assert [one.received_at_ns for one in rest] == [10, 20, 30, 40, 50]
    assert past.last_seq == 6


def test_what_comes_late_is_taken_as_received_now() -> None:
    """A partition commits when it can: time must not go back for the pipeline."""
    slow = Rows()
    past = past_of(Rows(at(10), at(30)), slow)
    before = all_of(past)
    slow.rows.append(at(20, "b"))
    (late,) = all_of(past, after_seq=len(before))
    assert (late.stream, late.received_at_ns) == ("b", 30)


def test_weights_in_force_are_told_once_and_the_rollback_of_one_partition_not_at_all() -> None:
    """By the partition that has them first; other fleets, rejects and trials are nobody's business."""
    other = reading(7, 1.0, fleet="pumps", stream="x")._replace(received_at_ns=4)
    one = Rows(at(1), other, event(installed("1a")), event(events.ShadowPromoted("2b")), Input.reject("json", 8))
    two = Rows(
        event(events.ShadowPromoted("2b"), 9), event(installed("1a", events.ROLLBACK), 10), event(installed("3c"), 11)
    )
    told = [each.event for each in all_of(FleetPast((one, two), FLEET, most=0)) if each.kind is Kind.EVENT]
    assert [type(each) for each in told] == [events.FleetConfigured, events.ModelInstalled]
    past = past_of(Rows(at(1)), Rows())
    all_of(past)
    past._lanes[0].reader.rows += one.rows[1:]  # type: ignore[attr-defined]
    past._lanes[1].reader.rows += two.rows  # type: ignore[attr-defined]
    came = all_of(past, after_seq=past._seq)
    assert [getattr(each.event, "version", None) for each in came if each.kind is Kind.EVENT] == ["1a", "2b", "3c"]


def test_it_begins_with_what_most_partitions_have_in_force() -> None:
    """A learner that was replaced goes on from there."""
    past = past_of(Rows(event(installed("1a"))), Rows(event(installed("2b"))), Rows(event(installed("2b"))), Rows())
    assert past.in_force() == "2b"
    beginning = all_of(past)[1].event
    assert isinstance(beginning, events.ModelInstalled)
    assert beginning.version == "2b"


def test_it_begins_anew_where_what_follows_on_nothing_is_asked_for() -> None:
    """Anybody else goes on where he was, or asks for what was given already."""
    past = past_of(Rows(at(10), at(20)), Rows(), most=4)
    number = len(all_of(past))
    assert all_of(past, after_seq=number) == []
    assert len(all_of(past)) == number
    with pytest.raises(Defect, match="expected to be asked for what follows on 3, got 1"):
        next(past.replay(1))


def versions_of(inputs: Sequence[Input]) -> list[tuple[str, str]]:
    """What came into force, and why."""
    installed = [one.event for one in inputs if isinstance(one.event, events.ModelInstalled | events.ShadowPromoted)]
    return [(one.version, one.reason) for one in installed]


def test_what_was_in_force_before_the_beginning_is_told_by_no_one() -> None:
    """Not by the inputs that a new learner is shown again, nor by a partition that only gets it now."""
    both = [event(installed("1a")), event(installed("2b", events.ROLLBACK))]
    one = Rows(*both, at(6), event(events.ShadowPromoted("3c"), 7), event(installed("4d"), 8))
    late = Rows(*both, at(6, "b"))
    past = past_of(one, Rows(*one.rows), late)
    came = all_of(past)
    assert versions_of(came) == [("4d", "")]
    late.rows += [event(events.ShadowPromoted("3c"), 9), event(installed("4d"), 10), event(installed("5e"), 11)]
    assert versions_of(all_of(past, after_seq=len(came))) == [("5e", events.LEARNED)]


@pytest.mark.parametrize("reason", [events.ROLLBACK, "asked"])
def test_to_a_version_of_before_the_learner_goes_back_with_most_partitions(reason: str) -> None:
    """One alone is no news, the others tell nothing new; a partition that never had any has no voice."""
    begun = [event(installed("1a")), event(installed("2b"))]
    ledgers = [Rows(*begun), Rows(*begun), Rows(*begun), Rows(), Rows()]
    past = past_of(*ledgers)
    number = len(all_of(past))
    heard = []
    for ledger in ledgers[:3]:
        ledger.rows.append(event(installed("1a", reason), 6))
        came = all_of(past, after_seq=number)
        number += len(came)
        heard.append(versions_of(came))
    assert heard == [[], [("1a", reason)], []]
    for ledger in ledgers[:3]:
        ledger.rows.append(event(installed("", events.ROLLBACK), 7))
    assert versions_of(all_of(past, after_seq=number)) == [("", events.ROLLBACK)]


@pytest.mark.keras
@pytest.mark.usefixtures("plain_updates")
def test_a_sample_that_cannot_be_drawn_anew_costs_the_learner_nothing(tmp_path: Path) -> None:
    """There is no checkpoint to draw from: who looked for one goes on where he was, with all that he has learned."""
    fleet = fleet_of("p")
    ledger = Rows(*(reading(0, 0.0, stream=stream) for stream in "abc"))
    past = past_of(ledger, Rows(), fleet=fleet, most=4)
    table = {"subscribe": ["tank/{tank}"], "period": "1s", "features": {"p": {}}}
    settings = Settings.model_validate({"learning": {"units": [4], "streams": 2}, "fleet": {"tanks": table}})
    follower = Follower(settings, reader=past, restore=lambda new: (new(), 0), store=ModelStore(tmp_path))
    follower.begin()
    assert follower.take_slice(7)
    ledger.rows += [reading(tick, float(tick), stream=stream) for tick in range(1, 9) for stream in "abc"]
    while follower.take_slice(7):
        pass
    learner, reached = follower.learners["tanks"], follower.seq
    assert learner.crowded
    follower.resample()
    ledger.rows.append(reading(9, 9.0))
    assert follower.take_slice(7)
    assert follower.learners["tanks"] is learner
    assert follower.seq == reached + 1

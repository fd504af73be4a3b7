"""Routing by stream, batches on their way, and in which order a partition takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast.batch import Inputs
from gaugecast.cluster.batches import Batch, Order, judge, pack, position_of, unpack
from gaugecast.cluster.exposition import join
from gaugecast.cluster.inbox import BatchDecoder, Inbox, OutOfSequence
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.routing import SLOTS, Piece, Routing, slot_of, slots_of
from gaugecast.config.schema import Settings
from gaugecast.errors import ConfigError, Defect, Fenced
from gaugecast.events import SessionLost
from gaugecast.payloads import Decoded
from gaugecast.records import Input, Kind, Refused
from gaugecast.records import Order as EventOrder
from gaugecast.testing.readings import reading


def rows(*streams: str) -> Inputs:
    """A reading of each, numbered."""
    return Inputs.of([reading(n, float(n), stream=stream) for n, stream in enumerate(streams)])


@given(st.integers(1, 300))
def test_every_slot_belongs_to_one_partition(partitions: int) -> None:
    """Ranges without gaps, of sizes that differ by one at most; the routing goes by the same."""
    ranges = [slots_of(number, partitions) for number in range(partitions)]
    assert [slot for one in ranges for slot in one] == list(range(SLOTS))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1
    routing = Routing(partitions)
    for stream in ("a", "hall/boiler", "ü"):
        assert slot_of("tanks", stream) in ranges[routing.partition_of("tanks", stream)]


def test_slots_stay_what_they_were() -> None:
    """Ledgers are cut by them: another function would look for streams where they are not."""
    assert [slot_of("tanks", stream) for stream in ("a", "north/t7", "")] == [317, 2125, 788]
    with pytest.raises(ConfigError, match="partition"):
        slots_of(3, 3)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.integers(1, 5))
def test_a_batch_is_dealt_out_whole_and_streams_stay_in_order(streams: list[str], partitions: int) -> None:
    """Each row once, in the partition of its stream; what was refused goes where its reject goes."""
    inputs = rows(*streams)
    refused = [Refused(1, "tanks", stream, "t", "not_json", "", b"") for stream in streams]
    routing = Routing(partitions)
    pieces = routing.split(Decoded(inputs, refused, len(streams)))
    assert sorted(row for piece in pieces.values() for row in piece.inputs) == sorted(inputs)
    for number, piece in pieces.items():
        for stream in set(piece.inputs.stream):
            assert routing.partition_of("tanks", stream) == number
            assert [r for r in piece.inputs if r.stream == stream] == [r for r in inputs if r.stream == stream]
        assert {row.stream for row in piece.refused} == set(piece.inputs.stream)


def test_what_is_packed_comes_out_stamped_by_who_takes_it() -> None:
    """All columns as they were, but for the instant of arrival; events never travel."""
    inputs = rows("a", "b")
    inputs.append(Input.reject("not_json", 5, fleet="tanks", dup=True))
    refused = [Refused(5, "tanks", "", "t", "not_json", "why", b"\xff")]
    piece = unpack(pack([Piece(inputs[:1], refused), Piece(inputs[1:], [])]), 99)
    assert list(piece.inputs) == [row._replace(received_at_ns=99) for row in inputs]
    assert all(type(kind) is Kind for kind in piece.inputs.kind)
    assert piece.refused == [refused[0]._replace(received_at_ns=99)]
    with pytest.raises(Defect):
        pack([Piece(Inputs.of([EventOrder(SessionLost()).stamped(1)]), [])])


@pytest.mark.parametrize(
    ("taken", "token", "number", "order"),
    [
        (0, 1, 1, Order.TAKE),
        (0, 1, 2, Order.GAP),
        (position_of(1, 4), 1, 5, Order.TAKE),
        (position_of(1, 4), 1, 4, Order.HAVE),
        (position_of(1, 4), 1, 3, Order.GAP),
        (position_of(1, 4), 1, 6, Order.GAP),
        (position_of(2, 4), 1, 5, Order.STALE),
        (position_of(1, 4), 2, 1, Order.TAKE),
        (position_of(1, 4), 3, 2, Order.GAP),
    ],
)
def test_a_partition_takes_each_batch_once_and_in_order(taken: int, token: int, number: int, order: Order) -> None:
    """A later process of an ingest begins at one; an earlier one is told so."""
    assert judge(taken, token, number) is order


def test_an_inbox_answers_a_repeated_batch_with_what_it_has() -> None:
    """While it is under way with the same ticket, afterwards with one that is done; across a restart, too."""
    noted: dict[str, int] = {}
    inbox, decoder = Inbox({}), BatchDecoder(noted.__setitem__)
    batch = Batch("i", 1, 1, pack([Piece(rows("a"), [])]))
    ticket = inbox.offer(batch)
    assert inbox.offer(batch._replace(again=True)) is ticket
    with pytest.raises(OutOfSequence):
        inbox.offer(batch._replace(number=3))
    messages = inbox.take(10)
    assert len(decoder.decode(messages, 7).inputs) == 1
    assert not ticket.done.is_set()
    inbox.ack(messages)
    assert ticket.done.is_set()
    assert inbox.offer(batch).done.is_set()
    later = Inbox(noted)
    assert later.offer(batch).done.is_set()
    assert later.waiting == 0
    later.offer(batch._replace(token=2))
    with pytest.raises(Fenced):
        later.offer(batch._replace(number=2))


def test_a_lost_session_is_told_before_the_batch_that_came_after_it() -> None:
    """Deliveries of the session before must not be taken for copies."""
    inbox = Inbox({})
    inbox.offer(Batch("i", 1, 1, b""))
    inbox.offer(Batch("i", 1, 2, b"", session_lost=True))
    assert [message.mid for message in inbox.take(10)] == [1]
    assert inbox.take_connects() == []
    assert [message.mid for message in inbox.take(10)] == [2]
    assert not inbox.take_connects()[0].session_present


def settings_of(topic: str, *, client: str, period: str = "1s") -> Settings:
    """A file with one fleet."""
    fleet = {"tanks": {"subscribe": [topic], "period": period, "features": {"p": {}}}}
    return Settings.model_validate({"mqtt": {"client_id": client}, "fleet": fleet}).read_from(f"{client}.toml")


def test_a_plan_merges_fleets_and_refuses_ingests_that_meet() -> None:
    """Same topics, same client id, a fleet that is said in two ways; on another broker the same topics may be."""
    one, other = settings_of("a/{t}", client="one"), settings_of("b/{t}", client="other")
    plan = Plan.of([one, other], 3)
    assert plan.fleets[0].subscribe == ("a/{t}", "b/{t}")
    assert [ingest.name for ingest in plan.ingests] == ["ingest-0", "ingest-1"]
    with pytest.raises(ConfigError, match=r"'a/\+' overlaps 'a/\+' of one\.toml"):
        Plan.of([one, settings_of("a/{t}", client="x")], 1)
    with pytest.raises(ConfigError, match="client_id"):
        Plan.of([one, settings_of("b/{t}", client="one")], 1)
    with pytest.raises(ConfigError, match="only `subscribe` may differ"):
        Plan.of([one, settings_of("b/{t}", client="x", period="2s")], 1)
    with pytest.raises(ConfigError, match="partition"):
        Plan.of([one], 0)


def test_metrics_of_all_parts_are_one_text_with_a_label() -> None:
    """A family is told once; histograms and samples without labels get it, too."""
    text = '# HELP g_a Help.\n# TYPE g_a counter\ng_a 1.0\n# TYPE h histogram\nh_bucket{le="1"} 2.0\nh_sum 3.0\n'
    assert join({"0": text, "1": 'g_b{stream="x"} 5 7\n'}) == (
        '# HELP g_a Help.\n# TYPE g_a counter\ng_a{partition="0"} 1.0\n# TYPE h histogram\n'
        'h_bucket{partition="0",le="1"} 2.0\nh_sum{partition="0"} 3.0\ng_b{partition="1",stream="x"} 5 7\n'
    )

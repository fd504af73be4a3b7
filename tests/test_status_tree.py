"""The tree that the daemon says of itself: what it does, in which order of precedence, and its forms on the wire."""

from __future__ import annotations

import json

import msgspec
import pytest

from gaugecast.outputs.messages import announcement
from gaugecast.status import (
    BrokerStatus,
    FleetCounts,
    FleetStatus,
    PublishingStatus,
    Rates,
    Status,
    StorageStatus,
    StreamCounts,
)

OUT = PublishingStatus(address="site:1883", connected=True)
WELL = Status(recovered=1.0, broker=BrokerStatus(address="plant:1883", connected=True), publishing=OUT)
HELD = StorageStatus(holding="no room on the disk: a batch waits")
AWAY = BrokerStatus(address="plant:1883", error="connection refused")
DEAF = BrokerStatus(address="plant:1883", connected=True, deaf="plant/# was refused: not authorized")
MUTE = PublishingStatus(connected=True, mute="gaugecast/tanks/a: not authorized")
CUT = PublishingStatus(address="site:1883", error="timed out", mute="gaugecast/tanks/a: not authorized")


@pytest.mark.parametrize(
    ("status", "doing"),
    [
        (Status(), "starting"),
        (Status(recovered=0.434), "recovering: 43 %"),
        (WELL, "forecasting"),
        (msgspec.structs.replace(WELL, storage=HELD, broker=AWAY), "holding: no room on the disk: a batch waits"),
        (
            msgspec.structs.replace(WELL, broker=AWAY, publishing=MUTE),
            "deaf: not connected to broker plant:1883: connection refused",
        ),
        (msgspec.structs.replace(WELL, broker=DEAF, publishing=MUTE), "deaf: plant/# was refused: not authorized"),
        (msgspec.structs.replace(WELL, publishing=MUTE), "mute: gaugecast/tanks/a: not authorized"),
        (msgspec.structs.replace(WELL, broker=BrokerStatus(address="plant:1883")), "deaf: not connected to broker "
         "plant:1883: connecting"),
        (msgspec.structs.replace(WELL, publishing=CUT), "mute: not connected to broker site:1883 for publishing: "
         "timed out"),
        (msgspec.structs.replace(WELL, publishing=PublishingStatus(address="site:1883")), "mute: not connected to "
         "broker site:1883 for publishing: connecting"),
        (msgspec.structs.replace(WELL, broker=AWAY, publishing=CUT), "deaf: not connected to broker plant:1883: "
         "connection refused"),
    ],
)  # fmt: skip
def test_one_word_says_what_it_does_and_the_reason_why_not_more(status: Status, doing: str) -> None:
    """Holding hides deaf, deaf hides mute; only forecasting is ready."""
    assert str(status.doing) == doing
    assert status.ready == (doing == "forecasting")


def test_what_it_does_is_made_of_the_tree_wherever_that_comes_from() -> None:
    """A document that claims otherwise is not believed, and a changed tree decides anew."""
    document = json.loads(msgspec.json.encode(msgspec.structs.replace(WELL, storage=HELD)))
    assert document["doing"] == {"verb": "holding", "why": "no room on the disk: a batch waits"}
    document["doing"] = {"verb": "forecasting", "why": ""}
    assert not msgspec.convert(document, Status).ready
    assert msgspec.structs.replace(msgspec.convert(document, Status), storage=StorageStatus()).ready


def test_the_whole_tree_survives_its_way_as_json() -> None:
    """What a command reads is what the daemon has."""
    counts = FleetCounts(received=3, late=1, late_ns=45 * 10**9, rejects={"not_json": 2})
    status = msgspec.structs.replace(WELL, fleets={"tanks": FleetStatus(counts=counts, streams=StreamCounts(active=2))})
    assert msgspec.json.decode(msgspec.json.encode(status), type=Status) == status


def test_counts_of_all_fleets_are_added_up() -> None:
    """Reason by reason, and those that left too."""
    one, other = (
        FleetCounts(late=1, rejects={"not_json": 2}),
        FleetCounts(late=2, rejects={"not_json": 1, "retained": 1}),
    )
    status = Status(fleets={"a": FleetStatus(counts=one, streams=StreamCounts()), "b": FleetStatus(counts=other)})
    assert status.total == FleetCounts(late=3, rejects={"not_json": 3, "retained": 1})
    assert status.total.rejected == 4


def test_the_announcement_keeps_the_word_that_consumers_wait_for() -> None:
    """`status` is `online` as at connect; what it does stands beside."""
    held = json.loads(announcement(msgspec.structs.replace(WELL, storage=HELD)))
    assert held == {"status": "online", "input": True, "doing": "holding", "why": "no room on the disk: a batch waits"}


def test_the_announcement_says_that_nothing_comes_in() -> None:
    """Whoever relies on forecasts sees it without knowing our words for what we do."""
    away = msgspec.structs.replace(WELL, broker=msgspec.structs.replace(AWAY, away=True))
    told = json.loads(announcement(away))
    assert (told["status"], told["input"], told["doing"]) == ("online", False, "deaf")


def test_one_line_for_systemd() -> None:
    """Streams, rate and lag; trouble only where there is some."""
    fleets = {"tanks": FleetStatus(streams=StreamCounts(active=12)), "gone": FleetStatus()}
    well = msgspec.structs.replace(WELL, fleets=fleets, rates=Rates(readings_per_s=239.6))
    assert str(well) == "12 streams, 240 readings/s, 0 unconfirmed"
    troubled = msgspec.structs.replace(well, storage=HELD, reload_refused="reload refused: [mqtt] port")
    assert str(troubled).endswith("; holding: no room on the disk: a batch waits; reload refused: [mqtt] port")

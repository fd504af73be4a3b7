"""Events, open and past: from what was told, message by message, to what one reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.conftest import payload
from console.serving import CONFIG, T0, Served, served
from console.test_guard import WRITE, bearer
from gaugecast.config import resolve_fleets
from gaugecast.config.load import load_settings
from gaugecast.config.schema import Storage
from gaugecast.console import happened
from gaugecast.console.event_shapes import EventsParams
from gaugecast.console.happened import Happened, Heard, chosen, worded
from gaugecast.fleet import Threshold
from gaugecast.forecast.anomaly.message import Anomaly
from gaugecast.forecast.crossings.message import CrossingWriter
from gaugecast.ledger import Ledger
from gaugecast.ledger.rows import Told
from gaugecast.records import Commit, Order, Output, Verdict
from gaugecast.testing import fleet_of
from support.daemon import DaemonProcess
from support.mosquitto import RawClient, wait_until

FLEET = fleet_of("pq")
S = 10**9
HIGH = Threshold("p", True, 9.0, 60)


def anomaly(event: str, at: int, *, stream: str = "a", began: int = 10, peak: float = 1.5, seen: bool = True) -> bytes:
    """A message of an anomaly of `p`."""
    told = {
        "schema": 1, "fleet": "tanks", "stream": stream, "step": at, "event": event, "id": f"{stream}{began}",
        "began": began, "at": at, "severity": "critical" if peak >= 2 else "warning", "score": peak, "peak": peak,
        "reason": "p 2 bar above its usual 3 bar", "features": {"p": {"share": 1.0}} if seen else {}, "more": 1,
    }  # fmt: skip
    return msgspec.json.encode(told)


def crossing(event: str, at: int, *, began: int = 20, crossed: bool = False, likely: float = 0.6) -> bytes:
    """A message of `p` and its threshold at 9."""
    return CrossingWriter(FLEET, "").body(
        HIGH, "b", step=at, at_ns=at * S, began_ns=began * S, event=event, observed=8.0, crossed=crossed,
        likely=likely, by={}, instants=[1.0, 2.0, 4.0],
    )  # fmt: skip


def told(*bodies: bytes, first: int = 1) -> list[Told]:
    """As the ledger has them."""
    return [Told(first + i, 0, "tanks", "?", "topic", body) for i, body in enumerate(bodies)]


def events(*bodies: bytes, **wanted: Any) -> list[Any]:
    """What is shown of these messages."""
    made = Happened()
    made.take(told(*bodies))
    return [worded(one, FLEET) for one in chosen(made.rows(), EventsParams(**wanted), {"tanks": FLEET})]


def test_an_anomaly_has_a_beginning_a_reason_a_peak_and_an_end() -> None:
    """Open until its end is told; an end without a reason, of a stream that left, keeps the last one."""
    (begun,) = events(anomaly("begin", 10), anomaly("update", 12, peak=2.5))
    assert (begun.began_s, begun.ended_s, begun.peak, begun.severity) == (10.0, None, 2.5, "critical")
    assert begun.words.startswith("p 2 bar above")
    assert (begun.feature, begun.shares) == ("p", {"p": 1.0})
    assert (begun.alarm_s, begun.told_s) == (10.0, 12.0)
    (ended,) = events(anomaly("begin", 10), anomaly("end", 15, seen=False))
    assert (ended.ended_s, ended.words) == (15.0, events(anomaly("begin", 10))[0].words)


def test_what_is_read_of_an_anomaly_is_what_its_message_says() -> None:
    """By the names of its keys; the last of them is of a later version."""
    known = {field.name for field in msgspec.structs.fields(Anomaly)} | {"acknowledged"}
    assert {field.name for field in msgspec.structs.fields(Heard)} <= known


def test_a_crossing_says_what_became_of_it() -> None:
    """Foretold; come true, with the instant; or not come true, with the highest probability."""
    (open_,) = events(crossing("begin", 20), crossing("update", 21, likely=0.8))
    assert open_.words == "p will rise above 9 within 1m, P = 0.80"
    assert (open_.foretold.median_s, open_.foretold.crossed_s) == (23.0, None)
    (true,) = events(crossing("begin", 20), crossing("update", 22, crossed=True), crossing("end", 30, likely=0.1))
    assert true.words == "p was above 9, foretold 2 s before, P = 0.60"
    assert (true.foretold.crossed_s, true.ended_s, true.foretold.median_s) == (22.0, 30.0, 24.0)
    (false,) = events(crossing("begin", 20), crossing("end", 80, likely=0.1))
    assert false.words == "p was expected to rise above 9 within 1m, and did not, P = 0.60"


def test_open_ones_come_first_and_each_can_be_found() -> None:
    """By state, kind, stream, a word of the reason, and time."""
    bodies = (
        anomaly("begin", 10),
        anomaly("end", 15),
        anomaly("begin", 12, began=12, stream="c"),
        crossing("begin", 20),
    )
    assert [one.stream for one in events(*bodies)] == ["b", "c", "a"]
    assert [one.stream for one in events(*bodies, state="past")] == ["a"]
    assert [one.stream for one in events(*bodies, kind="crossing")] == ["b"]
    assert [one.stream for one in events(*bodies, stream="c", fleet="tanks")] == ["c"]
    assert [one.stream for one in events(*bodies, search="RISE b")] == ["b"]
    assert [one.stream for one in events(*bodies, to_s=11.0)] == ["a"]
    assert [one.stream for one in events(*bodies, from_s=16.0)] == ["b", "c"]  # what is open has not ended before


def test_what_is_no_message_of_ours_is_passed_over_and_nothing_is_taken_twice() -> None:
    """A later version may say things that we do not know."""
    made = Happened()
    made.take(told(b"{", b'{"id": "x"}', b'{"schema": 9}', anomaly("begin", 10)))
    made.take(told(anomaly("end", 15), first=4))
    assert (made.after, len(made.rows()), made.rows()[0].ended_s) == (4, 1, None)
    made.begin_anew()
    assert (made.after, made.rows()) == (0, [])


def test_of_what_has_ended_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open stays."""
    monkeypatch.setattr(happened, "MOST", 2)
    bodies = [anomaly(event, 10 + i, began=10 + i) for i in range(4) for event in ("begin", "end")]
    assert [one.began_s for one in events(*bodies)] == [13.0, 12.0]
    assert len(events(*(anomaly("begin", i, began=i) for i in range(5)))) == 5


def test_those_that_ended_first_go_first_and_one_that_goes_on_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those that began first; a look at what is new goes through nothing else."""
    monkeypatch.setattr(happened, "MOST", 2)
    made = Happened()
    made.take(told(anomaly("begin", 10, began=10), anomaly("begin", 11, began=11), anomaly("end", 12, began=11)))
    made.take(told(anomaly("end", 13, began=10), anomaly("begin", 14, began=14), first=4))
    assert [one.began_s for one in made.rows()] == [10.0, 14.0]
    made.take(told(anomaly("update", 15, began=10), anomaly("begin", 16, began=16), first=6))
    assert [one.began_s for one in made.rows()] == [10.0, 14.0, 16.0]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[tuple[Served, Ledger]]:
    """Of a ledger alone, into which a test commits."""
    config = tmp_path / "gaugecast.toml"
    config.write_text(CONFIG.format(port=1))
    ledger = Ledger.open(tmp_path, Storage(directory=tmp_path))
    (fleet,) = resolve_fleets(load_settings(config, {}))
    ledger.commit(Commit([Order.configuring(fleet).stamped(S)], [Verdict.NONE]))
    with served(config, tmp_path) as made:
        yield made, ledger
    ledger.close()


def test_the_api_tells_them_page_by_page_without_a_daemon(console: tuple[Served, Ledger]) -> None:
    """What is committed later is seen with the next question."""
    served_, ledger = console
    assert served_.ask("events") == {"rows": [], "total": 0, "open": {}, "kept": {}}
    for body in (anomaly("begin", 10), anomaly("end", 15), crossing("begin", 20)):
        said = Output(0, "tanks", "a", 1, b"", "topic", body, True, 1)
        ledger.commit(Commit([Order.configuring(FLEET).stamped(S)], [Verdict.NONE], [said], told=[said]))
    answer = served_.ask("events", limit=1)
    assert (answer["total"], answer["open"], answer["kept"]) == (2, {"crossing": 1}, {"anomaly": 1, "crossing": 1})
    assert answer["rows"][0]["kind"] == "crossing"
    assert served_.ask("events", offset=1)["rows"][0]["kind"] == "anomaly"
    assert served_.get("/api/v1/events?state=nonsense").status == 400


def test_a_live_daemon_keeps_what_it_tells(daemon: DaemonProcess, sensors: RawClient, tmp_path: Path) -> None:
    """From the reading beyond the threshold to the event on the page."""
    with served(daemon.config_path, daemon.state, None, WRITE) as made:
        sensors.publish([("plant/high", payload(step, 0)) for step in range(30)])
        sensors.publish([("plant/high", json.dumps({"t": T0 + 30, "level": 9.5, "flow": 1}).encode())])
        rows = wait_until(lambda: made.ask("events", stream="high", kind="crossing")["rows"], what="an event")
        assert rows[0]["foretold"]["crossed_s"] == T0 + 30
        assert rows[0]["words"].startswith("level is above 9 m")
        gone = made.post("streams/forget", {"fleet": "tanks", "stream": "high"}, bearer(WRITE))
        assert gone.status == 200
        wait_until(lambda: made.ask("events", stream="high", state="past")["rows"], what="an end")

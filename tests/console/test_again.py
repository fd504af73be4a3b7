"""Computed again in the console's own process: what was forecast then, and what would be of a history that is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.conftest import STEPS, payload
from console.serving import T0, Served
from console.test_api import NAMES
from gaugecast.config.schema import Loop
from gaugecast.console.explained import ExplainParams
from gaugecast.console.forecasting import ForecastBody, Forecasting, Made
from gaugecast.console.looking_back import Again, Looking, ReplayParams
from gaugecast.errors import CommandRefused, Unreachable, WrongUse
from gaugecast.service import one_stream
from gaugecast.service.looking_back import LookingBack
from gaugecast.testing import fleet_of
from support.daemon import DaemonProcess


def history(tank: int, steps: int = STEPS) -> dict[str, Any]:
    """What a tank of the fixture said."""
    told = [json.loads(payload(step, tank)) for step in range(steps)]
    return {
        "fleet": "tanks", "at_s": [T0 + step for step in range(steps)],
        "values": {name: [one[name] for one in told] for name in ("level", "flow")},
    }  # fmt: skip


# -- as it was forecast then


def test_the_past_is_told_as_it_was_published(console: Served) -> None:
    """Byte for byte; the path of then, whose first value the series lays over the next reading."""
    told = console.ask("replay", **NAMES, at_s=T0 + 50.5, from_s=T0 + 40)
    assert (told["steps"], told["differing"]) == (11, 0)
    level = told["rows"][0]
    assert (level["at_s"], level["observed"]) == (T0 + 50, json.loads(payload(50, 1))["level"])
    series = console.ask("series", **NAMES, feature="level", points=100)
    place = series["at_s"].index(T0 + 51)
    assert series["expected"][place] == level["ahead"][0]["forecast"]
    assert series["lower"][place] == level["ahead"][0]["intervals"][0]["lower"]
    assert series["lower"][30] is None  # nobody has asked for those
    farther = console.ask("series", **NAMES, feature="level", horizon=1, points=100)
    assert farther["upper"][farther["at_s"].index(T0 + 53)] == level["ahead"][1]["intervals"][0]["upper"]


def test_where_nothing_was_said_the_last_step_before_is_told(console: Served) -> None:
    """In a gap; before the first reading there is none."""
    told = console.ask("replay", fleet="tanks", stream="t2", at_s=T0 + 35)
    assert told["rows"][0]["at_s"] == T0 + 29
    assert console.ask("replay", **NAMES, at_s=T0 - 5)["rows"] == []
    assert console.get(f"/api/v1/replay?fleet=none&stream=t1&at_s={T0}").status == 404


def test_what_is_too_far_from_a_checkpoint_is_not_computed(
    console: Served, monkeypatch: pytest.MonkeyPatch, daemon: DaemonProcess
) -> None:
    """With the command that does it all the same; where nobody can look back, that is said."""
    for bound, what in (("MOST_OWN", "steps away"), ("MOST_INPUTS", "inputs away")):
        monkeypatch.setattr(one_stream, bound, 10)
        answer = console.get(f"/api/v1/replay?fleet=tanks&stream=t1&at_s={T0 + 50}")
        assert answer.status == 404
        assert what in answer.json["error"]
        assert "gaugecast replay --at" in answer.json["error"]
    with pytest.raises(WrongUse, match="cannot look back"):
        Looking(None).at(ReplayParams(fleet="tanks", stream="t1", at_s=T0))
    assert LookingBack(daemon.state, Loop())("tanks", "none", T0 * 10**9, T0 * 10**9).steps == []


# -- why


def test_why_is_told_as_it_was_known_then(console: Served) -> None:
    """Readings, what had been expected of them with its interval, and how it goes with what was published."""
    told = console.ask("explain", **NAMES, at_s=T0 + 50, steps=10)
    assert [one["at_s"] for one in told["moments"]] == [T0 + step for step in range(41, 51)]
    assert (told["compared"] >= 10, told["differing"], told["units"]) == (True, 0, {"level": "m", "flow": ""})
    level = told["moments"][-1]["features"]["level"]
    series = console.ask("series", **NAMES, feature="level", points=100)
    place = series["at_s"].index(T0 + 50)
    assert (level["observed"], level["expected"]) == (series["observed"][place], series["expected"][place])
    assert level["lower"] <= level["expected"] <= level["upper"]
    newest = console.ask("explain", **NAMES)["moments"]
    assert (len(newest), newest[-1]["at_s"]) == (20, console.ask("stream", **NAMES)["rows"][0]["at_s"])
    before = console.get(f"/api/v1/explain?fleet=tanks&stream=t1&at_s={T0 - 5}")
    assert (before.status, "no readings" in before.json["error"]) == (404, True)


def test_the_instant_that_the_api_tells_is_the_one_that_is_meant() -> None:
    """Seconds as a float have lost the last digits of nanoseconds."""
    asked = list[int]()

    def look(_fleet: str, _stream: str, *numbers: int) -> Any:
        asked.append(numbers[0])
        return Again([])

    at_ns = T0 * 10**9 + 123_456_789
    looking = Looking(look, look)
    looking.at(ReplayParams(fleet="f", stream="a", at_s=at_ns / 1e9))
    looking.why(ExplainParams(fleet="f", stream="a", at_s=at_ns / 1e9))
    assert all(at_ns <= one < at_ns + 10_000 for one in asked)
    with pytest.raises(WrongUse, match="cannot look back"):
        Looking(None).why(ExplainParams(fleet="f", stream="a"))


def test_whoever_looks_back_keeps_nobody_waiting_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each who waits holds a thread that others need."""
    monkeypatch.setattr("gaugecast.console.looking_back._PATIENCE_S", 0.01)

    def look(*_asked: Any) -> Any:
        return looking.why(ExplainParams(fleet="f", stream="a"))

    looking = Looking(look, look)
    with pytest.raises(Unreachable, match="for somebody else"):
        looking.at(ReplayParams(fleet="f", stream="a", at_s=T0))


# -- a history that is sent along


def test_the_same_history_is_forecast_as_the_daemon_forecasts_it(console: Served) -> None:
    """Values, path and intervals are those of the stream that the daemon has; nobody else hears of it."""
    told = console.post("forecast", history(1)).json
    assert (told["verdicts"], told["model"]) == ({"stepped": STEPS}, None)
    level, flow = told["rows"]
    theirs = console.ask("replay", **NAMES, at_s=T0 + STEPS - 1)["rows"]
    assert (level["ahead"], flow["ahead"]) == (theirs[0]["ahead"], theirs[1]["ahead"])
    assert level["forecast"] == theirs[0]["forecast"]
    assert "asked" not in {row["stream"] for row in console.ask("streams")["rows"]}


def test_absent_values_late_ones_and_copies_are_taken_as_they_are(console: Served) -> None:
    """A feature that is left out, nulls, an instant that comes twice, one of long ago."""
    asked = history(1, 20)
    del asked["values"]["flow"]
    asked["values"]["level"][3] = None
    asked["at_s"][10] = asked["at_s"][9]
    told = console.post("forecast", asked).json
    assert told["verdicts"]["duplicate"] == 1
    assert sum(told["verdicts"].values()) == 19
    assert console.post("forecast", {"fleet": "tanks", "at_s": [T0], "values": {}}).json["rows"] == []


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({"fleet": "none"}, 404, "no fleet"), ({"values": {"other": [1.0]}}, 404, "expected features of"),
        ({"values": {"level": [1.0]}}, 404, "expected 60 values"), ({"at_s": []}, 400, "length"),
        ({"at_s": [T0] * 2001}, 400, "length"), ({"at_s": ["x"]}, 400, "float"),
    ],
)  # fmt: skip
def test_what_is_no_history_is_refused(change: dict[str, Any], status: int, why: str, console: Served) -> None:
    """With what was expected; never as a defect."""
    answer = console.post("forecast", {**history(1), **change})
    assert (answer.status, why in answer.json["error"]) == (status, True), answer.body


def test_too_many_at_once_are_sent_away() -> None:
    """Each waits for its turn, and a crowd would take all threads of the console."""
    fleet, body = fleet_of("p"), ForecastBody(fleet="tanks", at_s=[1.0], values={"p": [1.0]})
    busy = Forecasting(lambda *_: Made([], None, []))
    assert busy.of(fleet, body).rows == []
    for _ in range(4):
        assert busy._room.acquire(blocking=False)
    with pytest.raises(CommandRefused, match="ask again"):
        busy.of(fleet, body)
    with pytest.raises(WrongUse, match="cannot forecast"):
        Forecasting(None).of(fleet, body)

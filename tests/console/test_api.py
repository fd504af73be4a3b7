"""The API: what it tells is what the daemon said and the ledger has; whatever is asked, it is no defect."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.conftest import STEPS, payload
from console.serving import T0, Served, served
from gaugecast.console.endpoints import ENDPOINTS, PREFIX
from support.daemon import DaemonProcess
from support.mosquitto import wait_until

NAMES = {"fleet": "tanks", "stream": "t1"}
ASKED: dict[str, dict[str, Any]] = {
    "/stream": NAMES, "/series": {**NAMES, "feature": "level"}, "/sparks": {"fleet": "tanks", "stream": ["t0", "t1"]},
    "/replay": {**NAMES, "at_s": T0 + 50}, "/explain": {**NAMES, "at_s": T0 + 50}, "/skill": {"fleet": "tanks"},
}  # fmt: skip


@pytest.fixture(scope="module")
def document(console: Served) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = console.ask("openapi.json")
    return found


@pytest.mark.parametrize("one", [each for each in ENDPOINTS if each.method == "GET"], ids=lambda each: each.path)
def test_each_answer_is_what_the_document_says(one: Any, console: Served, document: dict[str, Any]) -> None:
    """Every GET, with what it needs, against the schema of its answer."""
    answer = console.ask(one.path.strip("/"), **ASKED.get(one.path, {}))
    operation = document["paths"][PREFIX + one.path]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer)


def test_the_status_is_the_daemons(console: Served, daemon: DaemonProcess) -> None:
    """One sentence, and the tree that /readyz tells, too."""
    told = console.ask("status")
    assert told["sentence"].startswith("forecasting: 3 streams")
    assert (told["away"], told["ledger"]) == (None, None)
    assert told["status"]["pid"] == daemon.pid


def test_streams_are_searched_sorted_and_paged(console: Served) -> None:
    """A row a feature; words in any order; the greatest first; what lies beyond the page is counted."""
    everything = console.ask("streams")
    assert (everything["total"], everything["streams"], everything["fleets"]) == (6, 3, ["tanks"])
    assert [row["stream"] for row in console.ask("streams", search="LEVEL t2")["rows"]] == ["t2"]
    values = [row["observed"] for row in console.ask("streams", sort="observed", descending="true")["rows"]]
    assert values == sorted(values, reverse=True)
    page = console.ask("streams", offset=4, limit=3)
    assert (len(page["rows"]), page["total"]) == (2, 6)
    assert sum(everything["quality"].values()) >= 6
    assert console.ask("streams", fleet="none")["rows"] == []


def test_a_stream_has_its_path_ahead_and_its_thresholds(console: Served) -> None:
    """Both horizons of each feature, intervals that hold the forecast, and the threshold of the one."""
    told = console.ask("stream", **NAMES)
    level, flow = told["rows"]
    assert [one["in_s"] for one in level["ahead"]] == [1.0, 3.0]
    assert level["ahead"][0]["forecast"] == level["forecast"]
    for one in level["ahead"]:
        assert all(band["lower"] <= one["forecast"] <= band["upper"] for band in one["intervals"])
    assert [(mark["side"], mark["value"]) for mark in level["crossings"]] == [("above", 9.0)]
    assert flow["crossings"] == []


def test_a_series_is_what_was_observed_and_what_had_been_expected_of_it(console: Served) -> None:
    """All values as sent; the newest expected value is what the daemon says that it had expected."""
    told = console.ask("series", **NAMES, feature="level", points=100)
    sent = [json.loads(payload(step, 1))["level"] for step in range(STEPS)]
    assert told["observed"] == sent
    assert told["at_s"] == [T0 + step for step in range(STEPS)]
    assert told["expected"][0] is None
    row = console.ask("stream", **NAMES)["rows"][0]
    assert told["expected"][-1] == pytest.approx(row["predicted"])
    assert told["residual"][-1] == pytest.approx(row["observed"] - row["predicted"])
    assert (told["unit"], told["period_s"], told["horizons_s"]) == ("m", 1.0, [1.0, 3.0])


def test_another_horizon_is_laid_over_at_the_instants_that_it_was_of(console: Served) -> None:
    """What was said three steps before: of the first three nothing."""
    told = console.ask("series", **NAMES, feature="level", horizon=1, points=100)
    assert told["horizon_s"] == 3.0
    assert told["expected"][:3] == [None] * 3
    assert None not in told["expected"][3:]


def test_a_gap_breaks_the_line_and_few_points_keep_the_extremes(console: Served) -> None:
    """An instant of nothing lies within the gap; the greatest and the least value are among the ten."""
    told = console.ask("series", fleet="tanks", stream="t2", feature="level", points=100)
    (at,) = [i for i, value in enumerate(told["observed"]) if value is None]
    assert told["at_s"][at - 1] < told["at_s"][at] < told["at_s"][at + 1]
    full = console.ask("series", **NAMES, feature="level", points=100)["observed"]
    few = console.ask("series", **NAMES, feature="level", from_s=T0, points=20)
    assert len(few["observed"]) <= 20
    assert few["readings"] == STEPS
    assert {max(full), min(full)} <= set(few["observed"])


def test_sparks_are_the_last_values(console: Served) -> None:
    """Of each feature of each stream that is named."""
    told = console.ask("sparks", fleet="tanks", stream=["t0", "t1"])["sparks"]
    assert told["t1"]["level"][-1] == json.loads(payload(STEPS - 1, 1))["level"]
    assert set(told) == {"t0", "t1"}


def test_what_was_refused_is_shown_with_its_bytes(console: Served) -> None:
    """Newest first, counted by reason, one reason alone where it is asked for."""
    told = console.ask("refused")
    assert set(told["by_reason"]) == {"not_json", "out_of_range"}
    (row,) = console.ask("refused", reason="not_json")["rows"]
    assert (row["topic"], base64.b64decode(row["payload_base64"])) == ("plant/t0", b"{")


def test_the_configuration_says_what_is_set_what_it_means_and_what_is_in_force(console: Served) -> None:
    """A key with its meaning and default; the fleet works as the file has it."""
    tables = {one["place"]: one for one in console.ask("config")["tables"]}
    port = next(key for key in tables["mqtt"]["keys"] if key["key"] == "port")
    assert (port["set"], port["default"]) == (True, "1883")
    assert port["meaning"]
    assert tables["fleet.tanks"]["in_force"] is True
    assert "fleet.tanks.features.level" in tables


@pytest.mark.parametrize(
    ("topic", "sent", "verdict"),
    [
        ("plant/t9", '{"t": 1700000000, "level": 2.5}', "A reading."),
        ("plant/t9", "{", "Refused, not_json"),
        ("other", "1", "Refused, unknown_topic"),
        ("plant/t9", '{"t": 1700000000, "level": 1000000}', "Refused, out_of_range"),
    ],
)
def test_a_message_is_tried_without_the_daemon(topic: str, sent: str, verdict: str, console: Served) -> None:
    """As the configuration reads it: stream, time and values, or the reason."""
    before = console.ask("streams")["streams"]
    told = console.post("try", {"topic": topic, "payload": sent}).json
    assert told["verdict"].startswith(verdict)
    if verdict == "A reading.":
        (one,) = told["readings"]
        assert (one["stream"], one["at_s"], one["values"]) == ("t9", 1_700_000_000, {"level": 2.5, "flow": None})
    assert console.ask("streams")["streams"] == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("streams?limit=0", 400), ("streams?sort=nonsense", 400), ("series?fleet=tanks", 400), ("nothing", 404),
        ("stream?fleet=tanks&stream=none", 404), ("series?fleet=none&stream=a&feature=b", 404),
        ("series?fleet=tanks&stream=t1&feature=none", 404),
        ("series?fleet=tanks&stream=t1&feature=level&horizon=9", 404),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_so(path: str, status: int, console: Served) -> None:
    """With a sentence, never as a defect."""
    answer = console.get(f"/api/v1/{path}")
    assert answer.status == status
    assert answer.json["error"]


def test_a_body_that_is_none_is_refused(console: Served) -> None:
    """Of another type, no JSON, too deep, of another shape."""
    head = {"Content-Type": "application/json"}
    assert console.get("/api/v1/try", method="POST", body=b"{}").status == 400
    for body in (b"{", b"[" * 100_000, b"{}", b'{"topic": 1}', b'{"topic": "a", "payload_base64": "*"}'):
        answer = console.get("/api/v1/try", method="POST", body=body, headers=head)
        assert answer.status in (400, 404), body[:20]
    assert console.get("/api/v1/status", method="DELETE").status == 405


_TEXTS = st.text(max_size=30) | st.sampled_from(["tanks", "t1", "level", "true", "nan", "1e400", "-1", "0", "99999999"])
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(T0 - 5, T0 + 5)
#: By path, what fits a body or nearly so; of those that write, which nobody may here, anything.
BODIES: dict[str, Any] = {
    "/try": st.fixed_dictionaries({"topic": _TEXTS | st.just("plant/t1")}, optional={
        "payload": _TEXTS, "payload_base64": _TEXTS, "retain": st.booleans() | st.none(), "more": st.integers(),
    }),
    "/forecast": st.fixed_dictionaries({"fleet": st.just("tanks") | _TEXTS, "at_s": st.lists(_NUMBERS, max_size=4)},
        optional={"values": st.dictionaries(st.sampled_from(["level", "flow", "x"]), st.lists(_NUMBERS | st.none()))},
    ),
}  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_asked_is_no_defect(data: st.DataObject, console: Served, document: dict[str, Any]) -> None:
    """Every question of the document, with parameters that fit and that do not: never 500, and JSON at all times."""
    one = data.draw(st.sampled_from(ENDPOINTS))
    if one.method == "POST":
        content = data.draw(BODIES.get(one.path, st.dictionaries(_TEXTS, _TEXTS, max_size=3)))
        answer = console.post(one.path.strip("/"), content)
    else:
        known = document["paths"][PREFIX + one.path]["get"]["parameters"]
        chosen = {each["name"]: data.draw(_TEXTS) for each in known if data.draw(st.booleans())}
        chosen = {**ASKED.get(one.path, {}), **chosen} if data.draw(st.booleans()) else chosen
        query = urlencode(chosen, doseq=True, quote_via=quote, errors="replace")
        answer = console.get(f"{PREFIX}{one.path}?{query}")
    assert answer.status < 500, answer.body
    json.loads(answer.body)


def test_events_tell_the_status_and_each_step(console: Served) -> None:
    """As server-sent events: first how the daemon is, and the stream's newest step."""
    import urllib.request

    with urllib.request.urlopen(f"{console.url}/api/v1/live?fleet=tanks&stream=t1", timeout=20) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        told: dict[str, Any] = {}
        while {"status", "stream"} - set(told):
            line = events.readline().decode()
            if line.startswith("event: "):
                told[line.split()[1]] = json.loads(events.readline().decode().removeprefix("data: "))
    assert told["status"]["status"]["doing"]["verb"] == "forecasting"
    assert told["stream"]["rows"][0]["stream"] == "t1"


def test_a_daemon_that_is_away_leaves_the_past(daemon: DaemonProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a socket the status says so and is an answer, streams are not known, the ledger is read all the same."""
    from gaugecast.console.views import World

    nowhere = tmp_path_factory.mktemp("nowhere") / "control.sock"
    console = Served(World(daemon.config_path, daemon.state, nowhere))
    try:
        told = console.ask("status")
        assert told["away"]
        assert told["status"] is None
        assert console.get("/api/v1/streams").status == 503
        assert len(console.ask("series", **NAMES, feature="level", points=100)["at_s"]) == STEPS
        assert console.ask("models")["away"]
        assert console.ask("refused")["rows"]
    finally:
        console.close()


def test_without_a_ledger_it_says_so(daemon: DaemonProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A state directory that no daemon has begun: every question has a sentence for an answer."""
    with served(daemon.config_path, tmp_path_factory.mktemp("empty")) as console:
        assert "expected a ledger" in console.ask("status")["ledger"]
        answer = console.get("/api/v1/series?fleet=tanks&stream=t1&feature=level")
        assert answer.status == 503
        assert "expected a ledger" in answer.json["error"]


def test_a_defect_is_said_and_written_down(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """500, with no trace of our insides, and JSON like every other answer."""
    monkeypatch.setattr("gaugecast.console.views.World.cells", lambda _: 1 / 0)
    with served(daemon.config_path, daemon.state) as console:
        answer = console.get("/api/v1/streams")
        assert answer.status == 500
        assert "ZeroDivisionError" in answer.json["error"]


def test_a_stream_that_is_watched_keeps_its_intervals(console: Served, daemon: DaemonProcess) -> None:
    """What was told while somebody looked is in the series: here nothing yet, for only the last step was told of."""
    console.ask("stream", **NAMES)
    told = console.ask("series", **NAMES, feature="level", points=100)
    assert len(told["lower"]) == len(told["quality"]) == STEPS
    wait_until(lambda: daemon.running, what="a daemon that runs")

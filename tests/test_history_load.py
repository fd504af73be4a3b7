"""History that is loaded: read from what people have, stepped as readings are, unpublished, and replayed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gaugecast import events
from gaugecast.batch import Inputs
from gaugecast.config.schema import Loop
from gaugecast.control import LoadHistory
from gaugecast.errors import ConfigError, ModelError, WrongUse
from gaugecast.fleet import Feature, Fleet
from gaugecast.history import FileColumns, StreamRows
from gaugecast.learn.history.ledger_rows import ledger_slices
from gaugecast.pipeline import Pipeline, past
from gaugecast.records import Input, Order
from gaugecast.service.loading import MOST_ROWS, Chunk, chunks_of, order_of, order_of_request, request_of
from gaugecast.service.past_sources import Wanted, read_past
from simulation.fleets import SECOND, T0
from simulation.place import empty_place
from test_loop_core import LEVELS, Plant

TANKS = Fleet(
    "tanks", ("plant/{site}/{tank}",), "{site}/{tank}", (Feature("p", path=("p",)), Feature("q", path=("q",))), SECOND,
    time_path=("t",), bridge=5, grace_ns=SECOND // 2,
)  # fmt: skip
START_S = 1_767_225_600


def rows_of(slices: Iterator[StreamRows]) -> dict[str, list[tuple[float, list[float]]]]:
    """By stream: seconds, and values with -1 for those that are absent."""
    return {
        rows.stream: [
            (at / 1e9 - START_S, np.nan_to_num(row, nan=-1).tolist())
            for at, row in zip(rows.at.tolist(), rows.values, strict=True)
        ]
        for rows in slices
    }


def loading(fleet: Fleet, stream: str, at_ns: list[int], values: list[list[float]]) -> Input:
    """The event that loads these rows."""
    event = events.HistoryLoaded(past.names_of(fleet), "a file")
    rows = past.pack(np.array(at_ns, np.int64), np.array(values, np.float64))
    return Order(event, fleet.name, stream, rows).stamped(T0 + 60 * SECOND)


def pipeline_of(fleet: Fleet) -> Pipeline:
    """Without models."""
    pipeline = Pipeline(Loop(), lambda _fleet, _version: None)
    pipeline.advance([Order.configuring(fleet).stamped(T0)])
    return pipeline


def test_loaded_rows_leave_a_stream_as_readings_would_but_nothing_is_said_or_counted() -> None:
    """Statistics, last values, step numbers; a gap is bridged, a partial row is stepped as one."""
    at = [T0 + i * SECOND for i in (0, 1, 2, 5, 6, 7)]
    values = [[i * 1.5, float("nan") if i == 6 else i * 0.5] for i in range(6)]
    loaded, live = pipeline_of(TANKS), pipeline_of(TANKS)
    outcome = loaded.advance([loading(TANKS, "n/a", at, values)])
    assert (len(outcome.outputs), outcome.verdicts) == (0, [5])
    spoken = live.advance(
        [Input.reading("tanks", "n/a", t, t, np.array(row).tobytes()) for t, row in zip(at, values, strict=True)]
    )
    assert len(spoken.outputs) == 6
    assert loaded.totals()["tanks"].stepped == loaded.totals()["tanks"].forecasts == 0
    first = [Input.reading("tanks", "n/a", T0 + 8 * SECOND, T0 + 61 * SECOND, np.array([9.0, 4.0]).tobytes())]
    (said,), (as_if,) = loaded.advance(first).outputs, live.advance(first).outputs
    assert (said.step, as_if.step) == (1, 7)
    assert {**msgspec.json.decode(said.body), "step": 7} == msgspec.json.decode(as_if.body)
    assert loaded.totals()["tanks"].stepped == 1


def test_a_stream_that_has_spoken_takes_no_history() -> None:
    """Nor a fleet whose features are others by then; nothing raises, nothing changes."""
    pipeline = pipeline_of(TANKS)
    reading = Input.reading("tanks", "n/a", T0, T0, np.array([1.0, 2.0]).tobytes())
    pipeline.advance([reading])
    before = pipeline.parts["tanks"].table["x"].copy()
    others = loading(LEVELS, "n/b", [T0], [[1.0]])._replace(fleet="tanks")
    pipeline.advance([loading(TANKS, "n/a", [T0 + SECOND], [[5.0, 5.0]]), others])
    assert np.array_equal(pipeline.parts["tanks"].table["x"], before, equal_nan=True)
    assert not pipeline.knows("tanks", "n/b")


def test_a_loaded_stream_is_neither_stale_nor_parked_before_it_speaks() -> None:
    """Its silence does not count yet."""
    pipeline = pipeline_of(TANKS)
    pipeline.advance([loading(TANKS, "n/a", [T0, T0 + SECOND], [[1.0, 2.0], [2.0, 3.0]])])
    assert not pipeline.due(T0 + 10**18)


@pytest.mark.parametrize("keys", [{"hold_ns": 3600 * SECOND}, {"lateness_ns": 60 * SECOND}])
def test_what_waits_for_time_to_pass_does_not_wait_in_history(keys: dict[str, Any]) -> None:
    """Neither is a value held before the stream speaks, nor a straggler waited for: no timer has anything to say."""
    fleet = dataclasses.replace(TANKS, **keys)
    pipeline = pipeline_of(fleet)
    rows = [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]
    outcome = pipeline.advance([loading(fleet, "n/a", [T0, T0 + SECOND, T0 + 4 * SECOND], rows)])
    assert len(outcome.outputs) == 0
    assert not pipeline.due(T0 + 10**18)
    assert len(pipeline.advance([Input.timer(T0 + 10**18)]).outputs) == 0
    assert pipeline.parts["tanks"].table["started"][0]


def test_how_history_is_cut_does_not_matter() -> None:
    """Chunks, and what lies between them."""
    at = [T0 + i * SECOND for i in range(40)]
    values = [[float(np.sin(i)), float(i)] for i in range(40)]
    whole, cut = pipeline_of(TANKS), pipeline_of(TANKS)
    whole.advance([loading(TANKS, "n/a", at, values)])
    cut.advance([loading(TANKS, "n/a", at[:13], values[:13])])
    cut.advance(Inputs.of([Input.timer(T0 + 70 * SECOND), loading(TANKS, "n/a", at[13:], values[13:])]))
    reading = [Input.reading("tanks", "n/a", T0 + 40 * SECOND, T0 + 80 * SECOND, np.array([1.0, 2.0]).tobytes())]
    assert whole.advance(reading).outputs[0].body == cut.advance(reading).outputs[0].body


def test_chunks_hold_a_stream_in_order_each_instant_once_and_end_at_gaps() -> None:
    """From several slices of several streams."""
    at = np.arange(1200, dtype=np.int64) * SECOND
    at[450:] += 50 * SECOND
    values = np.arange(1200.0)[:, None]
    slices = [
        StreamRows("a", at[600:], values[600:]),
        StreamRows("b", at[:2], values[:2]),
        StreamRows("a", at[:700], values[:700]),
    ]
    chunks = list(chunks_of(slices))
    assert [(chunk.stream, chunk.begins) for chunk in chunks] == [("a", True), ("a", False), ("a", False), ("b", True)]
    assert len(chunks[0].at_ns) == 450
    assert max(len(chunk.at_ns) for chunk in chunks) <= MOST_ROWS
    assert np.array_equal(np.concatenate([chunk.at_ns for chunk in chunks[:3]]), at)


# -- where it comes from


def test_a_table_is_read_by_its_own_time_format_and_zone(tmp_path: Path) -> None:
    """Several streams by a column; the id may have text around it."""
    path = tmp_path / "all.csv"
    path.write_text("wann;tank;p;q\n01.01.2026 01:00;a;1,5;2\n01.01.2026 01:01;b;;3\n01.01.2026 01:02;a;2;4\n")
    columns = FileColumns("wann", time_format="%d.%m.%Y %H:%M", timezone="Europe/Berlin")
    found = rows_of(read_past(str(path), TANKS, Wanted("north/{tank}", columns=columns)))
    assert found == {"north/a": [(0, [1.5, 2]), (120, [2, 4])], "north/b": [(60, [-1, 3])]}
    one = tmp_path / "t7.csv"
    one.write_text("t,p,q\n2026-01-01T00:00:00Z,1,2\n")
    assert list(rows_of(read_past(str(one), TANKS, Wanted("north/t7")))) == ["north/t7"]
    assert list(rows_of(read_past(str(one), TANKS, Wanted()))) == ["t7"]


def test_a_line_that_is_cut_off_is_named_with_what_was_expected_and_found(tmp_path: Path) -> None:
    """In a table, and in line protocol."""
    path = tmp_path / "x.csv"
    path.write_text("t,p,q\n2026-01-01,1,2\n2026-01-02,1")
    with pytest.raises(
        ConfigError, match=r"x.csv, line 3: expected 3 cells, one for 'q' among them, found 2: '2026-01-02 1'"
    ):
        list(read_past(str(path), TANKS, Wanted()))
    lines = tmp_path / "x.lp"
    lines.write_text("tank,site=n p=1,q=2 1767225600000000000\ntank,site=n p=1,q")
    with pytest.raises(ConfigError, match=r"x.lp, line 2: expected `=` behind 'q', got ''"):
        list(read_past(str(lines), TANKS, Wanted("{site}")))
    lines.write_text("tank,site=n p=1")
    with pytest.raises(ConfigError, match="line 1: expected a time stamp at the line's end"):
        list(read_past(str(lines), TANKS, Wanted("{site}")))


def test_line_protocol_gives_the_fleets_own_features(tmp_path: Path) -> None:
    """Streams by tags; what is no feature is passed over."""
    path = tmp_path / "x.lp"
    path.write_text(
        "tank,site=n,tank=a p=1,other=5 1767225600000\ntank,site=n,tank=a q=2i 1767225600000\n"
        "mem,site=n free=1 1767225600000\n"
    )
    assert rows_of(read_past(str(path), TANKS, Wanted(unit="ms"))) == {"n/a": [(0, [1, 2])]}
    with pytest.raises(WrongUse, match=r"asks for hall; say --stream with what is there: \{measurement\}, \{site\}"):
        list(read_past(str(path), TANKS, Wanted("{hall}", unit="ms")))


def test_an_answer_of_prometheus_is_read(tmp_path: Path) -> None:
    """Series by their name or by what is said; NaN is absent."""
    path = tmp_path / "x.json"
    series = [
        {"metric": {"__name__": "p", "site": "n", "tank": "a"}, "values": [[START_S, "1.5"], [START_S + 60, "NaN"]]},
        {"metric": {"__name__": "q", "site": "n", "tank": "a"}, "values": [[START_S, "2"], [START_S + 60.5, "3"]]},
    ]
    path.write_text(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}))
    assert rows_of(read_past(str(path), TANKS, Wanted())) == {"n/a": [(0, [1.5, 2]), (60.5, [-1, 3])]}
    with pytest.raises(WrongUse, match=r"expected one of \[fleet.tanks\]'s features, p, q; say --feature"):
        list(read_past(str(path), TANKS, Wanted(feature="x")))
    path.write_text('{"status": "success", "data": {"resultType": "vector", "result": []}}')
    with pytest.raises(ConfigError, match="expected a matrix, got a vector"):
        list(read_past(str(path), TANKS, Wanted()))
    path.write_text("<html>")
    with pytest.raises(ConfigError, match="expected the answer to a range query"):
        list(read_past(str(path), TANKS, Wanted()))


# -- through the core


def test_a_core_loads_history_in_line_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    """By the request that the command sends; a stream with steps of its own is refused in words."""
    with empty_place() as place:
        plant = Plant(place, (LEVELS,))
        at, values = T0 + np.arange(30) * SECOND, np.sin(np.arange(30.0))[:, None]
        chunk = Chunk("a", at.astype(np.int64), values, True)
        core = plant.life.core
        core.order(order_of_request(core, request_of(LEVELS, chunk, "a.csv")))
        plant.turn(2)
        assert plant.bodies == []
        with pytest.raises(ModelError, match="has history that was loaded before"):
            order_of(core, "levels", chunk, "")
        plant.life.kill()
        plant.begin((LEVELS,))
        plant.say("level/a", t=T0 / 1e9 + 30, v=0.5)
        plant.turn(3)
        (body,) = plant.bodies
        assert body["step"] == 1, "of messages, it is the first"
        assert body["observed"] == {"level": 0.5}
        assert body["residual"] != {"level": None}, "it was forecast before it spoke"
        learned = [(rows.stream, len(rows.at)) for rows in ledger_slices(place, LEVELS)]
        assert learned == [("a", 30), ("a", 1)]
        with pytest.raises(ModelError, match="has steps of its own"):
            order_of(plant.life.core, "levels", chunk._replace(begins=False), "")
        plant.life.kill()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fleet": "none"}, "none"),
        ({"features": ["other"]}, "has the features level"),
        ({"rows": "*"}, "expected rows"),
        ({"rows": "AAAA"}, "expected rows"),
        ({"stream": "a#"}, "cannot be published"),
        ({"stream": ""}, "expected a stream id"),
    ],
)
def test_a_request_that_is_none_is_refused(changes: dict[str, object], said: str) -> None:
    """Whoever sent it, the daemon goes on."""
    with empty_place() as place:
        plant = Plant(place, (LEVELS,))
        chunk = Chunk("a", np.array([T0], np.int64), np.array([[1.0]]), True)
        request = msgspec.structs.replace(request_of(LEVELS, chunk, "x"), **changes)
        assert isinstance(request, LoadHistory)
        with pytest.raises(ModelError, match=said):
            order_of_request(plant.life.core, request)
        plant.life.kill()

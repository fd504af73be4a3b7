"""Training on what the daemon has recorded: a ledger's rows are its steps, and as good as the same rows in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gaugecast import events
from gaugecast.cli.main import app
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Loop, Storage
from gaugecast.fleet import Feature, Fleet
from gaugecast.history import FileColumns
from gaugecast.learn.backtest.run import courses_of
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.history.sources import record
from gaugecast.ledger import Ledger
from gaugecast.pipeline import Pipeline
from gaugecast.records import Commit, Input, Kind, Order, Verdict
from gaugecast.testing import SECOND, T0, fleet_of, reading, timer

TICKS = 300
GAP = range(120, 170)  # of the second stream: long enough to be parked
CONFIG = """
[storage]
directory = "{directory}"
[train]
units = [4]
epochs = 1
segment = 16
batch_size = 2
[fleet.tanks]
subscribe = ["plant/{{tank}}/telemetry"]
time = "$.t"
period = "1s"
stale_after = "10s"
park_after = "20s"
[fleet.tanks.features.pressure]
[fleet.tanks.features.temperature]
valid = [-50, 50]
[fleet.boilers]
subscribe = ["boilers/{{boiler}}"]
time = "$.t"
period = "1s"
[fleet.boilers.features.heat]
"""


def value_of(stream: str, tick: int) -> tuple[float, float]:
    """What a tank measures."""
    shift = float(ord(stream))
    return round(shift + np.sin(tick / 4), 3), round(np.cos(tick / 7 + shift), 3)


def drive(pipeline: Pipeline, ledger: Ledger, inputs: Sequence[Input]) -> list[int]:
    """As the loop does: step, then commit inputs, verdicts, and what was parked; the verdicts."""
    outcome = pipeline.advance(inputs)
    unparked = [(one.fleet, one.stream) for one in inputs if isinstance(one.event, events.StreamUnparked)]
    ledger.commit(
        Commit(
            inputs, outcome.verdicts, outcome.outputs, refused=outcome.refused, parked=outcome.parked, unparked=unparked
        )
    )
    return list(outcome.verdicts)


def fill(directory: Path, fleets: tuple[Fleet, ...]) -> set[int]:
    """A ledger with two tanks and a boiler; what comes late, twice, or beyond what is valid is there too. Verdicts."""
    directory.mkdir()
    ledger = Ledger.open(directory, Storage(directory=directory))
    pipeline = Pipeline(Loop(), lambda fleet, version: pytest.fail(f"{fleet} {version} asked for"))
    found: set[int] = set()
    drive(pipeline, ledger, [Order.configuring(fleet).stamped(T0) for fleet in fleets])
    for tick in range(TICKS):
        batch = [reading(tick, *value_of("a", tick), stream="a"), reading(tick, 7.0 + tick % 3, fleet="boilers")]
        if tick not in GAP:
            state = ledger.parked_state("tanks", "b")
            if state is not None:
                back = events.StreamUnparked()
                batch.append(Order(back, "tanks", "b", state=state).stamped(T0))
            batch.append(reading(tick, *value_of("b", tick), stream="b"))
        if tick % 10 == 5:
            batch += [reading(tick, 1e3, 1e3, stream="a"), reading(tick - 3, -1e3, 1e3, stream="a")]
        found.update(drive(pipeline, ledger, batch))
        drive(pipeline, ledger, [timer(tick + 0.5)])
    parked = {one.stream for one in _events(ledger) if isinstance(one.event, events.StreamUnparked)}
    ledger.close()
    assert parked == {"b"}
    return found


def _events(ledger: Ledger) -> list[Input]:
    return [one for batch in ledger.replay(0) for one in batch.inputs if one.kind == Kind.EVENT]


def write_rows(path: Path) -> None:
    """The same rows of the tanks as a file, in another order of streams."""
    lines = ["t,tank,pressure,temperature"]
    for tick in range(TICKS):
        for stream in "ba":
            if stream == "a" or tick not in GAP:
                lines.append(",".join(map(str, (T0 // SECOND + tick, stream, *value_of(stream, tick)))))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.long
@pytest.mark.keras
def test_a_ledger_gives_the_model_that_its_rows_in_a_file_give(tmp_path: Path) -> None:
    """From the command line: late, repeated and parked streams, a gap, and another fleet in the same ledger."""
    config = tmp_path / "gaugecast.toml"
    config.write_text(CONFIG.format(directory=tmp_path / "state"))
    verdicts = fill(tmp_path / "state", resolve_fleets(load_settings(config, {})))
    assert verdicts >= {Verdict.STEPPED, Verdict.LATE, Verdict.DUPLICATE}
    write_rows(tmp_path / "rows.csv")
    common = ["-c", str(config), "--fleet", "tanks"]
    sources = {"ledger": [str(tmp_path / "state")], "file": [str(tmp_path / "rows.csv"), "--stream-column", "tank"]}
    manifests = {}
    for name, words in sources.items():
        ended = CliRunner().invoke(app, ["train", *words, *common, "-o", str(tmp_path / name)])
        assert ended.exit_code == 0, ended.output
        manifests[name] = json.loads((tmp_path / name / "model.json").read_text())
    one, other = manifests["ledger"], manifests["file"]
    assert one["provenance"]["data_rows"] == 2 * TICKS - len(GAP)
    assert one["provenance"]["data_sha256"] == other["provenance"]["data_sha256"]
    assert one["version"] == other["version"]


def commit(directory: Path, fleet: Fleet, inputs: list[Input], *, batch: int = 7) -> None:
    """Step the inputs, a few at a time, and keep them in a new ledger."""
    directory.mkdir()
    ledger = Ledger.open(directory, Storage(directory=directory))
    pipeline = Pipeline(Loop(), lambda name, version: pytest.fail(f"{name} {version} asked for"))
    drive(pipeline, ledger, [Order.configuring(fleet).stamped(T0)])
    for start in range(0, len(inputs), batch):
        drive(pipeline, ledger, inputs[start : start + batch])
    ledger.close()


def messages(kind: str) -> list[Input]:
    """Readings of two features that come apart, at times that are not quite the ticks."""
    rng = np.random.default_rng(4)
    made, nan = [], float("nan")
    for tick in range(120):
        if tick % 40 == 20:
            continue  # a gap
        at = {"jitter": 0.5 + tick + rng.uniform(-0.2, 0.2), "drift": 1.02 * tick, "mean": tick + 0.1}[kind]
        made += [reading(at, float(tick), nan), reading(at + 0.05, nan, float(-tick))]
        if kind == "mean":
            made.append(reading(at + 0.2, float(tick + 1), nan))
        if tick % 15 == 7:
            made.pop()  # a feature that stays away
    return made


@pytest.mark.parametrize("kind", ["jitter", "drift", "mean"])
def test_rows_of_a_ledger_are_the_steps_of_the_daemon(tmp_path: Path, kind: str) -> None:
    """Values joined by tick and aggregate, ticks as the daemon counted them: the pipeline itself is the oracle."""
    fleet = fleet_of("pq", aggregates=("mean", "max") if kind == "mean" else (), grace_ns=10 * SECOND)
    inputs = messages(kind)
    commit(tmp_path / "state", fleet, inputs)
    (course,) = courses_of(fleet, [[Order.configuring(fleet).stamped(T0)], inputs])
    at, values = record([tmp_path / "state"], fleet, FileColumns(), tmp_path / "scratch").read("a", 0, len(course.at))
    np.testing.assert_array_equal(values, course.observed)
    np.testing.assert_array_equal(np.diff(at) // SECOND, np.diff(course.tick))


def test_features_are_found_by_name_in_rows_of_an_older_configuration(tmp_path: Path) -> None:
    """A fleet that has got a feature, and lists them in another order."""
    old, new = fleet_of("pq"), fleet_of("pq", bridge=3)
    new = Fleet(**{**{n: getattr(new, n) for n in new.__slots__}, "features": tuple(map(Feature, "qrp"))})
    ledger_at = tmp_path / "state"
    commit(ledger_at, old, [reading(t, 1.0 + t, -1.0 - t) for t in range(3)])
    recording = record([ledger_at], new, FileColumns(), tmp_path / "scratch")
    np.testing.assert_array_equal(recording.read("a", 0, 9)[1], [[-1 - t, np.nan, 1 + t] for t in range(3)])


def test_a_sensor_that_runs_slow_loses_no_rows(tmp_path: Path) -> None:
    """A period two per cent too long: ticks follow it, as the daemon's do; nothing is dropped, no gap appears."""
    recording = Recording(tmp_path, fleet_of("p"))
    at = (np.arange(500) * 1.02 * SECOND).astype(np.int64)
    for cut in np.array_split(np.arange(500), 3):
        recording.add("a", at[cut], np.zeros((len(cut), 1)))
    assert (recording.rows("a"), recording.dropped, len(recording.stretches("a"))) == (500, 0, 1)

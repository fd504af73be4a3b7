"""Where training gets its rows from: the ledger as the daemon left it, files of any length in little memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import ConfigError
from gaugecast.forecast.running import observe_rows
from gaugecast.forecast.scaling import initial_stats, observe
from gaugecast.history import FileColumns
from gaugecast.learn.fit.initial import manifest_for
from gaugecast.learn.fit.prepared import Prepared
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.history.sources import record
from gaugecast.ledger import Ledger
from gaugecast.model import Recipe
from gaugecast.records import Commit, Input, Verdict
from train.series import fleet_of, waves, write_csv

FLEET = fleet_of("level", "heat")
PEAK = """
import sys
from pathlib import Path
from gaugecast.config.training import Train
from gaugecast.learn.score import judging
from gaugecast.learn.train.job import run_training
from gaugecast.learn.train.task import Task
judging.MOST_ROWS = 200  # what is judged is bounded; it is the rows read, prepared and trained on that are many
run_training(Task((Path(sys.argv[1]),), Train(units=[2], epochs=1, segment=100, batch_size=64)))
status = Path("/proc/self/status").read_text()  # getrusage would tell of the process that started this one, too
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def reading(stream: str, tick: int, values: tuple[float, float]) -> Input:
    """One reading of the fleet, minutes apart."""
    at = tick * FLEET.period_ns
    return Input.reading(FLEET.name, stream, at, at, np.array(values, "<f8").tobytes())


def test_a_ledger_gives_what_was_stepped(tmp_path: Path) -> None:
    """Each stream's rows, features that came apart put together; what was refused stays out."""
    nan = float("nan")
    inputs = [
        reading("a", 1, (1.0, 2.0)), reading("b", 1, (7.0, nan)), reading("b", 1, (nan, 8.0)),
        reading("a", 2, (3.0, 4.0)), reading("a", 2, (9.0, 9.0)), reading("a", 4, (5.0, 6.0)),
    ]  # fmt: skip
    verdicts = [Verdict.STEPPED, Verdict.HELD, Verdict.STEPPED, Verdict.STEPPED, Verdict.LATE, Verdict.STEPPED]
    ledger = Ledger.open(tmp_path, Storage(directory=tmp_path))
    ledger.commit(Commit(inputs, verdicts, []))
    ledger.close()
    recording = record([tmp_path], FLEET, FileColumns(), tmp_path / "scratch")
    assert recording.read("a", 0, 9)[1].tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert recording.read("b", 0, 9)[1].tolist() == [[7.0, 8.0]]
    assert [(s.start, s.stop) for s in recording.stretches("a")] == [(0, 2), (2, 3)]


def test_statistics_along_a_stream_are_those_of_the_daemon() -> None:
    """Row after row on plain floats: the bits of `observe`, gaps, absent and absurd values included."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(400, 3)) * (1.0, 1e3, 1e-6)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[50] = (1e300, -1e200, 0.0)
    consecutive = rng.random(400) > 0.05
    recipe = Recipe(half_life_steps=40.0)
    stats, expected = initial_stats(1, 3), []
    before = np.concatenate([np.full((1, 3), np.nan), values[:-1]])
    for row, previous, follows in zip(values, before, consecutive, strict=True):
        stats = observe(stats, previous[None], row[None], np.array([follows]), recipe)
        expected.append(stats[0])
    got = observe_rows(initial_stats(1, 3)[0], np.full(3, np.nan), values, consecutive, recipe)
    assert got.tobytes() == np.stack(expected).tobytes()


def test_late_and_repeated_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    """However the rows are cut into slices."""
    at = np.array([0, 1, 1, 3, 2, 4]) * FLEET.period_ns
    values = np.arange(12.0).reshape(6, 2)
    for cuts in ([6], [1, 2, 3], [3, 3]):
        recording, start = Recording(tmp_path / str(cuts), FLEET), 0
        for size in cuts:
            recording.add("a", at[start : start + size], values[start : start + size])
            start += size
        assert recording.dropped == 2
        assert recording.read("a", 0, 9)[1][:, 0].tolist() == [0.0, 2.0, 6.0, 10.0]


def test_short_gaps_are_bridged_by_rows_that_teach_nothing(tmp_path: Path) -> None:
    """Up to `bridge` ticks, also between two slices; the state goes on over them, the last value is fed, no target."""
    ticks = np.array([0, 1, 3, 6, 7, 11, 12])
    for cuts in ([7], [2, 1, 4], [3, 2, 2]):
        recording = Recording(tmp_path / str(cuts), FLEET, bridge=2)
        for cut in np.split(np.arange(7), np.cumsum(cuts)[:-1]):
            recording.add("a", ticks[cut] * FLEET.period_ns, np.tile(ticks[cut, None] * 1.0, 2))
        at, values = recording.read("a", 0, 99)
        assert (at // FLEET.period_ns).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 11, 12]
        nan = np.nan
        np.testing.assert_array_equal(values[:, 0], [0, 1, nan, 3, nan, nan, 6, 7, 11, 12])
        assert [(s.start, s.stop) for s in recording.stretches("a")] == [(0, 8), (8, 10)]
        assert recording.bridged == 3
        prepared = Prepared(recording, FLEET, manifest_for(FLEET))
        prepared.build()
        taught = np.isfinite(prepared.targets("a", 0, 10)).any(axis=(1, 2))
        assert np.isfinite(prepared.inputs("a", 0, 10)).all()
        assert taught.tolist() == [False, False, False, False, False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,x\n1,abc\n", r"line 2: could not convert"),
        ("x\n1\n", r"expected a time column .*--time-column none"),
        ("time,y\n1,2\n", r"expected columns 'level', 'heat', found time, y"),
    ],
)
def test_files_that_cannot_be_read_say_where(tmp_path: Path, text: str, words: str) -> None:
    """File, line, and what was expected."""
    path = tmp_path / "bad.csv"
    path.write_text(text)
    fleet = FLEET if "y" in text else fleet_of("x")
    with pytest.raises(ConfigError, match=words):
        record([path], fleet, FileColumns(), tmp_path / "scratch")


@pytest.mark.long
@pytest.mark.keras
def test_memory_does_not_grow_with_the_history(tmp_path: Path) -> None:
    """Twelve times the rows, the same peak to within 60 MB; and far below 1.5 GB."""
    peaks = []
    for rows in (20_000, 240_000):
        path = write_csv(tmp_path / f"{rows}.csv", {"x": waves(rows)["level"]})
        ended = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
        peaks.append(float(ended.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 60
    assert max(peaks) < 1500


def test_of_a_sensor_that_reports_on_change_the_rows_between_are_what_held(tmp_path: Path) -> None:
    """As long as `hold` goes, each feature by itself, also between two slices; behind it there is a gap."""
    fleet, nan = replace(FLEET, hold_ns=3 * FLEET.period_ns), np.nan
    ticks = np.array([10, 12, 13, 18])
    values = np.array([[1.0, 5.0], [2.0, nan], [3.0, nan], [4.0, 6.0]])
    for cuts in ([4], [1, 3], [2, 2]):
        recording = Recording(tmp_path / str(cuts), fleet)
        for cut in np.split(np.arange(4), np.cumsum(cuts)[:-1]):
            recording.add("a", ticks[cut] * fleet.period_ns, values[cut])
        recording.finish()
        at, found = recording.read("a", 0, 99)
        assert (at // fleet.period_ns).tolist() == [10, 11, 12, 13, 14, 15, 16, 18]
        np.testing.assert_array_equal(found[:, 0], [1, 1, 2, 3, 3, 3, 3, 4])
        np.testing.assert_array_equal(found[:, 1], [5, 5, 5, 5, nan, nan, nan, 6])


def test_of_a_counter_the_rows_are_rates(tmp_path: Path) -> None:
    """As the pipeline has them, also between two slices."""
    counter = replace(FLEET.features[0], counter=True, per_ns=FLEET.period_ns)
    fleet = replace(FLEET, features=(counter, *FLEET.features[1:]))
    totals = np.array([100.0, 101, 103, 0, 104, 2])
    for cuts in ([6], [3, 3]):
        recording = Recording(tmp_path / str(cuts), fleet)
        for cut in np.split(np.arange(6), np.cumsum(cuts)[:-1]):
            recording.add("a", cut * fleet.period_ns, np.stack([totals[cut], totals[cut]], axis=1))
        np.testing.assert_allclose(recording.read("a", 0, 9)[1][:, 0], [np.nan, 1, 2, np.nan, 0.5, np.nan])

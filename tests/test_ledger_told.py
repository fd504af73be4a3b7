"""What was told of crossings and anomalies stays in the ledger as it was said, within bounds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger, LedgerReader, told
from gaugecast.ledger.damage import Damages
from gaugecast.ledger.patrol import Patrol
from gaugecast.records import Commit, Output
from ledger_rows import forecast, micro_batch
from test_pipeline_crossings import TOPIC, keys, new_pipeline, saw


def opened(directory: Path) -> closing[Ledger]:
    """A new ledger."""
    return closing(Ledger.open(directory, Storage(directory=directory)))


def notice(number: int) -> Output:
    """Of some threshold."""
    return Output(0, "tanks", "a", number, b"", "told/a", f'{{"n":{number}}}'.encode(), True, 1)


def committed(ledger: Ledger, *numbers: int) -> None:
    """A batch with a forecast, and some notices."""
    inputs, verdicts, _ = micro_batch(numbers[0], 1)
    notices = [notice(number) for number in numbers]
    ledger.commit(Commit(inputs, verdicts, [forecast(0, numbers[0]), *notices], told=notices))


def test_what_was_told_outlives_its_confirmation(tmp_path: Path) -> None:
    """In order, with the bytes, for a reader beside the writer; the forecasts around it are not kept."""
    with opened(tmp_path) as ledger, LedgerReader(tmp_path) as reader:
        assert reader.told() == []  # no table yet, as in files of earlier versions
        committed(ledger, 1, 2)
        committed(ledger, 3)
        ledger.commit(Commit(confirmed=ledger.last_position))
        found = reader.told()
        assert [(one.number, one.fleet, one.stream, one.topic) for one in found] == [
            (n, "tanks", "a", "told/a") for n in (1, 2, 3)
        ]
        assert [one.body for one in found] == [notice(n).body for n in (1, 2, 3)]
        assert [one.number for one in reader.told(after=2)] == [3]
        assert [one.number for one in reader.told(after=0, most=1)] == [1]


def test_only_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers go on, whatever went."""
    monkeypatch.setattr(told, "KEPT", 3)
    with opened(tmp_path) as ledger:
        committed(ledger, *range(1, 6))
        committed(ledger, 6)
        assert [one.body for one in ledger.told()] == [notice(n).body for n in (4, 5, 6)]
        assert [one.number for one in ledger.told()] == [2, 3, 4]


def test_the_patrol_looks_at_it_too(tmp_path: Path) -> None:
    """With and without the table."""
    with opened(tmp_path) as ledger:
        for _ in range(2):
            damages = Damages()
            patrol = Patrol(tmp_path, damages)
            while patrol.step():
                pass
            patrol.close()
            assert damages.newest is None
            committed(ledger, ledger.last_seq + 1)


def test_the_pipeline_says_which_of_its_outputs_tell_of_events() -> None:
    """All notices of thresholds, and no forecast; an outcome made of two has those of both."""
    pipeline = new_pipeline(model=False)
    first, second = pipeline.advance(saw(300)), pipeline.advance(saw(300, begin=300))
    first.extend(second)
    assert any(one.topic == TOPIC for one in first.told)
    assert sorted(keys(first.told)) == sorted(keys([one for one in first.outputs if "/crossing/" in one.topic]))

"""What `gaugecast.testing` gives to the tests of others: it is the daemon, and its page shows it as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from gaugecast.errors import AlreadyRunning
from gaugecast.forecast import body
from gaugecast.ledger.reader import LedgerReader
from gaugecast.testing import (
    T0,
    LocalDaemon,
    feed,
    fleet_of,
    messages_of,
    model_for,
    pipeline_of,
    random_model,
    reading,
)

ROOT = Path(__file__).resolve().parent.parent
NOW_S = T0 // 10**9
SCHEMA = json.loads(Path(body.__file__).with_name("forecast.schema.json").read_text())


def test_a_reading_becomes_the_message_that_the_daemon_publishes() -> None:
    """By the schema, to the topic of the stream; it is what the pipeline says of the same reading."""
    fleet = fleet_of("pq")
    model = model_for(fleet)
    with LocalDaemon(fleet, models=[model]) as daemon:
        said = [one for s in range(5) for one in daemon.say("tank/a", {"t": NOW_S + s, "p": 1.0 + s, "q": 2.0})]
    assert [one.topic for one in said] == ["gaugecast/tanks/a"] * 5
    outcomes = feed(pipeline_of(fleet, models=[model]), [reading(s, 1.0 + s, 2.0) for s in range(5)])
    for one, expected in zip(said, messages_of(outcomes), strict=True):
        told = one.json()
        jsonschema.validate(told, SCHEMA)
        assert len(told.pop("lineage")) == 8
        expected.pop("lineage", None)
        assert told == expected


def test_connections_that_are_cut_bring_copies_that_are_the_same_to_the_byte() -> None:
    """So that whoever consumes can show that it drops them."""
    with LocalDaemon(fleet_of("p")) as daemon:
        first = daemon.say("tank/a", {"t": NOW_S, "p": 1.0})
        daemon.broker.cut()
        again = daemon.pass_time(1.0)
        assert daemon.core.link.sender.counters.reconnects_total == 1
        assert (first, again) == (first, first)
        assert [one.json()["step"] for one in daemon.say("tank/a", {"t": NOW_S + 1, "p": 1.0})] == [2]


def test_while_the_broker_is_away_nothing_is_said_and_what_was_taken_is_not_lost() -> None:
    """As with a real one: sensors that publish meanwhile are not heard."""
    with LocalDaemon(fleet_of("p")) as daemon:
        daemon.say("tank/a", {"t": NOW_S, "p": 1.0})
        daemon.broker.up = False
        assert daemon.say("tank/a", {"t": NOW_S + 1, "p": 1.0}) == []
        assert not daemon.core.link.sender.connected
        daemon.broker.up = True
        assert [one.json()["step"] for one in daemon.say("tank/a", {"t": NOW_S + 2, "p": 1.0})][-1] == 2


def test_a_restart_goes_on_counting_and_another_daemon_is_refused(tmp_path: Path) -> None:
    """In a directory that stays; all is in its ledger."""
    with LocalDaemon(fleet_of("p"), directory=tmp_path / "state") as daemon:
        daemon.say("tank/a", {"t": NOW_S, "p": 1.0})
        daemon.restart()
        (said,) = daemon.say("tank/a", {"t": NOW_S + 1, "p": 2.0})
        assert said.json()["step"] == 2
        with pytest.raises(AlreadyRunning):
            LocalDaemon(fleet_of("p"), directory=tmp_path / "state")
    with LedgerReader(tmp_path / "state") as ledger:
        assert ledger.last_position == 2


def test_a_directory_of_its_own_goes_with_the_daemon() -> None:
    """Nothing is left of a test."""
    with LocalDaemon(fleet_of("p")) as daemon:
        place = daemon.core.directory
        assert place.exists()
    assert not place.exists()


def test_silence_is_what_the_clock_says() -> None:
    """A step that waits for a feature is closed by time that passes."""
    fleet = fleet_of("pq", feature_capture="", grace_ns=2 * 10**9, stale_after_ns=10 * 10**9)
    with LocalDaemon(fleet, now_s=NOW_S) as daemon:
        daemon.say("tank/a", {"t": NOW_S, "p": 1.0, "q": 1.0})
        (stale,) = daemon.pass_time(60.0)
        assert "stale" in stale.json()["quality"]


def test_a_configuration_file_is_what_is_tested(tmp_path: Path) -> None:
    """Its fleets and limits, without its broker and its directory."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(
        '[mqtt]\nhost = "nowhere.invalid"\n[storage]\ndirectory = "/nowhere"\n[loop]\nmax_streams = 1\n'
        '[fleet.boilers]\nsubscribe = ["b/{boiler}"]\nperiod = "1s"\ntime = "$.t"\n[fleet.boilers.features.heat]\n'
    )
    with LocalDaemon.from_config(path) as daemon:
        (said,) = daemon.say("b/7", {"t": NOW_S, "heat": 60.0})
        assert said.json()["observed"] == {"heat": 60.0}
        assert daemon.say("b/8", {"t": NOW_S, "heat": 60.0}) == []


def test_payloads_that_are_no_readings_are_refused_as_ever() -> None:
    """Bytes come as they are."""
    with LocalDaemon(fleet_of("p")) as daemon:
        assert daemon.say("tank/a", b"{") == []
        assert daemon.core.pipeline.rejects == {("tanks", "not_json"): 1}


def test_one_seed_is_one_model() -> None:
    """And it fits the fleet for which it is made."""
    assert random_model(seed=3).manifest.version == random_model(seed=3).manifest.version
    fleet = fleet_of("abc", inputs="c", rows="joint")
    assert model_for(fleet).manifest.features == (("a", "forecast"), ("b", "forecast"), ("c", "input"))


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of Python, the tests in it called as pytest would."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, "docs/testing.md", "exec"), names)
        tests = [one for name, one in names.items() if name.startswith("test_") and callable(one)]
        assert tests, block
        for test in tests:
            test()


def test_the_page_tells_all_that_there_is() -> None:
    """Each public name is on it."""
    import gaugecast.testing

    page = (ROOT / "docs" / "testing.md").read_text()
    assert [name for name in gaugecast.testing.__all__ if f"`{name}" not in page] == []

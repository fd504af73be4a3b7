"""`gaugecast split`: one configuration as several whose topics are disjoint, and `status` over the daemons of all."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.cli.status_all import One, all_to_json, files_meant, render_all
from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.config.split import captured_in, deal, filters_of
from gaugecast.config.toml_text import render_toml
from gaugecast.errors import ConfigError, WrongUse
from gaugecast.fleet import Fleet
from gaugecast.ledger import Ledger
from gaugecast.records import Commit, Input, Verdict
from gaugecast.status import FleetStatus, Rates, Status, StreamCounts
from gaugecast.topics import Pattern, filter_matches, filters_overlap
from support.mosquitto import free_port
from test_status import daemon as answering
from test_status import screen

CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {port}
client_id = "plant"
password_file = "secret"
username = "u"
[storage]
directory = "state"
[http]
port = 9464
[console]
enabled = true
[fleet.tanks]
subscribe = ["plant/{{site}}/tank_{{tank}}/telemetry"]
period = "1s"
time = "$.t"
where = {{"$.model" = ["TH-*", "!TH-9"]}}
horizons = ["1m"]
[fleet.tanks.features.pressure]
unit = "bar"
valid = [-inf, 10.0]
[[fleet.tanks.threshold]]
feature = "pressure"
above = 8.2
within = "1m"
[fleet.pumps]
subscribe = ["pumps/{{pump}}"]
period = "1m"
[fleet.pumps.features.flow]
"""


def written(directory: Path, text: str = CONFIG) -> Path:
    """The configuration as a file."""
    file = directory / "gaugecast.toml"
    file.write_text(text.format(port=free_port()))
    (directory / "secret").write_text("x")
    return file


def with_streams(directory: Path, streams: dict[str, list[str]]) -> None:
    """A ledger that knows these streams."""
    place = load_settings(directory / "gaugecast.toml", {}).storage
    place.directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(place.directory, place)
    rows = [Input.reading(f, s, 1, 1, b"\0" * 8) for f, names in streams.items() for s in names]
    ledger.commit(Commit(rows, [Verdict.LATE] * len(rows)))
    ledger.close()


def split(directory: Path, *words: str) -> str:
    """What the command says."""
    said = CliRunner().invoke(app, ["split", "-c", str(directory / "gaugecast.toml"), *words])
    if said.exception is not None and not isinstance(said.exception, SystemExit):
        raise said.exception
    return said.output


def fleets_of(file: Path) -> tuple[Fleet, ...]:
    """The fleets of a part."""
    return resolve_fleets(load_settings(file, {}))


SITES = {"tanks": [f"{site}/{tank}" for site, many in (("n", 5), ("s", 3), ("w", 1)) for tank in range(many)]}


def test_fleets_are_dealt_out_whole_and_nothing_is_shared(tmp_path: Path) -> None:
    """Client ids, directories, ports are each part's own; paths mean the same in another folder; all else stays."""
    whole = load_settings(written(tmp_path), {})
    split(tmp_path, "--parts", "2", "--out", str(tmp_path / "parts"))
    parts = [load_settings(tmp_path / "parts" / f"part-{n}.toml", {}) for n in (1, 2)]

    assert [list(part.fleet) for part in parts] == [["pumps"], ["tanks"]]
    assert [part.mqtt.client_id for part in parts] == ["plant-part-1", "plant-part-2"]
    assert [part.storage.directory for part in parts] == [tmp_path / "state" / f"part-{n}" for n in (1, 2)]
    assert len({port for part in parts for port in (part.http.port, part.console.port)}) == 4
    assert {part.mqtt.password_file for part in parts} == {tmp_path / "secret"}
    assert parts[1].fleet["tanks"] == whole.fleet["tanks"]


def test_a_fleet_is_cut_by_the_coarsest_name_that_gives_every_part_something(tmp_path: Path) -> None:
    """Three sites for two parts: the heavy one alone; ids and captures stay, filters say the names."""
    written(tmp_path)
    with_streams(tmp_path, SITES | {"pumps": ["p1", "p2"]})
    said = split(tmp_path, "--parts", "2", "--by", "names")
    first, second = (fleets_of(tmp_path / f"part-{n}.toml") for n in (1, 2))

    assert filters_of(first) == ["plant/n/+/telemetry", "plant/w/+/telemetry"]
    assert filters_of(second) == ["plant/s/+/telemetry", "pumps/p1", "pumps/p2"]
    assert {fleet.stream for part in (first, second) for fleet in part if fleet.name == "tanks"} == {"{site}/{tank}"}
    assert "6 known streams" in said
    assert "5 known streams" in said
    assert "A {pump}, {site} that no part names is heard by none" in (tmp_path / "part-2.toml").read_text()


def test_every_known_topic_belongs_to_exactly_one_part(tmp_path: Path) -> None:
    """For whatever number of parts; finer names are taken where there are too few coarse ones."""
    written(tmp_path, CONFIG.partition("[fleet.pumps]")[0])
    with_streams(tmp_path, SITES)
    topics = [f"plant/{stream.replace('/', '/tank_')}/telemetry" for stream in SITES["tanks"]]
    for parts in (2, 3, 5):
        split(tmp_path, "--parts", str(parts), "--force")
        filters = [filters_of(fleets_of(tmp_path / f"part-{n + 1}.toml")) for n in range(parts)]
        for topic in topics:
            assert sum(any(filter_matches(one, topic) for one in part) for part in filters) == 1
        assert not any(filters_overlap(a, b) for a in filters[0] for b in filters[1])


@pytest.mark.parametrize(
    ("by", "old", "new", "words"),
    [
        ("names", '["pumps/{{pump}}"]', '["pumps/#"]\nstream = "{{$.id}}"', "'pumps/#' cannot be cut"),
        ("names", '["pumps/{{pump}}"]', '["pumps/{{gate}}/x"]\nstream = "{{$.id}}"', "may be one stream; name a level"),
        (
            "fleet",
            'client_id = "plant"',
            'client_id = "plant"\nstatus_topic = "up"',
            "status_topic: 'up' would be that of every",
        ),
        (
            "fleet",
            'client_id = "plant"',
            'client_id = "plant"\npublish = {{client_id = "o"}}',
            "client_id: 'o' would be that",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused_with_what_to_do(tmp_path: Path, by: str, old: str, new: str, words: str) -> None:
    """A wildcard that no captured part of the id stands for, and names that all parts would share."""
    written(tmp_path, CONFIG.replace(old, new))
    with_streams(tmp_path, SITES)
    with pytest.raises(ConfigError, match=re.escape(words)):
        split(tmp_path, "--parts", "2", "--by", by)
    assert not (tmp_path / "part-1.toml").exists()


def test_too_few_fleets_or_names_are_said_with_a_way_out(tmp_path: Path) -> None:
    """And files that are there are not written over, nor is the environment let in by the back door."""
    written(tmp_path)
    with pytest.raises(ConfigError, match="no stream of it is known"):
        split(tmp_path, "--parts", "3")
    with pytest.raises(ConfigError, match=r"at least 3 fleets that share no topics.* --by names"):
        split(tmp_path, "--parts", "3", "--by", "fleet")
    (tmp_path / "part-2.toml").touch()
    with pytest.raises(ConfigError, match=r"part-2.toml: exists already; --force"):
        split(tmp_path, "--parts", "2")
    with pytest.raises(WrongUse, match="--by"):
        split(tmp_path, "--parts", "2", "--by", "luck")


def test_what_the_environment_says_of_all_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client id for all would have them throw each other out for ever."""
    written(tmp_path)
    monkeypatch.setenv("GAUGECAST_MQTT__CLIENT_ID", "one")
    with pytest.raises(ConfigError, match="GAUGECAST_MQTT__CLIENT_ID: it would hold for every part"):
        split(tmp_path, "--parts", "2")


def test_fleets_that_read_the_same_topics_stay_together() -> None:
    """They are told apart by `where`, which no broker knows."""
    tables = tomllib.loads(
        "".join(
            f'[fleet.{name}]\nsubscribe = ["{topic}/{{x}}"]\nperiod = "1s"\n'
            f'where = {{"$.m" = "{name}"}}\n[fleet.{name}.features.v]\n'
            for name, topic in (("a", "one"), ("b", "one"), ("c", "two"))
        )
    )
    fleets = resolve_fleets(Settings(**tables))
    assert [share.lots[0].fleets for share in deal(fleets, 2, "fleet", {})] == [("a", "b"), ("c",)]
    with pytest.raises(ConfigError, match="read the same topics"):
        deal(fleets, 2, "names", {"c": [{"x": "1"}, {"x": "2"}]})


def test_names_are_read_back_from_ids_only_where_there_is_one_way() -> None:
    """`a-b-c` of `{x}-{y}` could be two things, and is passed over."""
    tables = tomllib.loads(
        '[fleet.f]\nsubscribe = ["p/{x}/{y}"]\nstream = "{x}-{y}"\nperiod = "1s"\n[fleet.f.features.v]\n'
    )
    (fleet,) = resolve_fleets(Settings(**tables))
    assert captured_in(fleet, "a-b") == {"x": "a", "y": "b"}
    assert captured_in(fleet, "a-b-c") is None
    assert captured_in(fleet, "a") is None


def test_a_written_file_says_what_the_read_one_said(tmp_path: Path) -> None:
    """Lists of tables, tables in braces, names with dots and blanks, infinities and whatever a text may hold."""
    tables = {
        "top": True,
        "a b": {"x.y": [1, 2.5, "\x7f\"'\n"], "empty": {}, "where": {"{site}": ["*", 1]}},
        "l": {"t": [{"a": 1, "b": {"c": [float("inf"), float("-inf")]}}, {"a": 2}], "e": []},
    }
    assert tomllib.loads(render_toml(tables)) == tables


def test_a_capture_may_say_the_one_text_that_it_captures() -> None:
    """`{site=n}` is `n` for the broker, and still the stream's site; a part of a level, too."""
    pattern = Pattern.parse("plant/{site=n}/tank_{tank=7}/{x}")
    assert (pattern.filter, pattern.shape) == ("plant/n/tank_7/+", "plant/n/tank_7/+")
    assert pattern.match("plant/n/tank_7/y") == {"site": "n", "tank": "7", "x": "y"}
    assert pattern.match("plant/m/tank_7/y") is None
    assert Pattern.parse("a_{x=1}-{y}").filter == "+"
    assert Pattern.parse("p/{x}").fixed("x", "1") == "p/{x=1}"
    with pytest.raises(ConfigError, match="cannot be written"):
        Pattern.parse("p/{x}").fixed("x", "}")


# -- status over all


def test_status_of_several_daemons_is_a_line_each_and_their_sum(tmp_path: Path) -> None:
    """Those that answer, and that one does not; 1 where not all forecast."""
    fleet = FleetStatus(streams=StreamCounts(active=1200))
    well = Status(recovered=1.0, rates=Rates(readings_per_s=240.0, forecasts_per_s=240.0), fleets={"tanks": fleet})
    told = [One("part-1", well, None), One("part-2", well, "bad"), One("part-3", None, "nobody answers")]
    text = screen(render_all(told), width=120)

    assert "together" in text
    assert "2,400" in text
    assert "480" in text
    assert "nobody answers" in text
    assert "0 of 2 forecast" in screen(render_all([told[0], told[0]]), width=80)  # in one line
    assert all_to_json(told)["part-3"] == {"unreachable": "nobody answers"}
    assert all_to_json(told)["part-2"]["config_fault"] == "bad"


def test_the_command_asks_every_daemon_that_a_pattern_or_folder_names(tmp_path: Path) -> None:
    """Real sockets: two answer and the third does not; the exit code says so."""
    written(tmp_path)
    split(tmp_path, "--parts", "2")
    pattern = str(tmp_path / "part-*.toml")
    assert files_meant([Path(pattern)]) == [tmp_path / "part-1.toml", tmp_path / "part-2.toml"]
    assert files_meant([tmp_path, tmp_path / "part-1.toml"])[0] == tmp_path / "gaugecast.toml"
    with pytest.raises(WrongUse, match="has none"):
        files_meant([tmp_path / "nothing-*.toml"])
    (tmp_path / "state" / "part-1").mkdir(parents=True)
    with answering(tmp_path / "state" / "part-1", Status(recovered=1.0)):
        said = CliRunner().invoke(app, ["status", "-c", pattern, "--timeout", "1"], env={"COLUMNS": "120"})
    assert said.exit_code == 1
    assert "part-1" in said.output
    assert "0 of 2 forecast" in said.output

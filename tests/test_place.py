"""Which file a command means, and how a daemon is found whose file has been broken since."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.cli.place import fleet_called
from gaugecast.config.find import find_config, salvage
from gaugecast.errors import ConfigError, ExitCode, WrongUse
from gaugecast.testing import fleet_of
from test_status import STATUS, daemon

FLEET = '[fleet.a]\nsubscribe = ["a/{b}"]\nperiod = 1\n[fleet.a.features.c]\n'


def test_the_first_place_that_names_a_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, the variable, the directory, the system: taken away one by one."""
    monkeypatch.chdir(tmp_path)
    system = tmp_path / "etc.toml"
    system.touch()
    Path("gaugecast.toml").touch()
    environ = {"GAUGECAST_CONFIG": "named.toml"}

    assert find_config(Path("given.toml"), environ, system_path=system) == Path("given.toml")
    assert find_config(None, environ, system_path=system) == Path("named.toml")
    assert find_config(None, {}, system_path=system) == Path("gaugecast.toml")
    Path("gaugecast.toml").unlink()
    assert find_config(None, {}, system_path=system) == system
    system.unlink()
    with pytest.raises(ConfigError, match=r"-c FILE or GAUGECAST_CONFIG.*gaugecast init"):
        find_config(None, {}, system_path=system)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('[storage]\ndirectory = "here"\n[mqtt\n', id="no TOML"),
        pytest.param('[storage]\ndirectory = "here"\nkeep_dayz = 3\n', id="an unknown key"),
        pytest.param('[mqtt]\nport = "x"\n[storage] # state\n  directory = "here" # ours\n', id="a wrong type"),
        pytest.param('a = """\n[storage]\ndirectory = "here"\n', id="a text that never ends"),
    ],
)
def test_the_state_directory_is_found_in_a_file_that_is_wrong_elsewhere(tmp_path: Path, text: str) -> None:
    """Line by line; relative to the file, as ever."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(text)

    assert salvage(path, {}).directory == tmp_path / "here"
    assert salvage(path, {"GAUGECAST_STORAGE__DIRECTORY": "/there"}).directory == Path("/there")


def test_what_cannot_be_salvaged_is_as_by_default(tmp_path: Path) -> None:
    """A port that is none is not asked."""
    path = tmp_path / "gaugecast.toml"
    path.write_text('[http]\nport = "many"\nhost = "::1"\n[storage]\ndirectory = 7\n')
    found = salvage(path, {})

    assert found.directory == Path("/var/lib/gaugecast")
    assert (found.http.host, found.http.port) == ("::1", 9464)


def test_status_tells_of_a_daemon_whose_file_is_broken_by_now(tmp_path: Path) -> None:
    """The daemon answers, the file's fault stands beside it; the exit code is the daemon's."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(f'[storage]\ndirectory = "."\n[mqtt]\nprot = 1\n{FLEET}')
    with daemon(tmp_path, STATUS):
        told = CliRunner().invoke(app, ["status", "-c", str(path)])
        as_json = CliRunner().invoke(app, ["status", "--json"], env={"GAUGECAST_CONFIG": str(path)})

    assert told.exit_code == 0
    assert "● forecasting" in told.stdout
    assert "did you mean 'port'?" in told.stderr
    assert "did you mean 'port'?" in json.loads(as_json.stdout)["config_fault"]


def test_status_names_the_fault_of_the_file_where_no_daemon_runs(tmp_path: Path) -> None:
    """That is then why: the exit code is that of a bad configuration."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(f'[storage]\ndirectory = "."\n[http]\nport = 0\nprot = 1\n{FLEET}')
    told = CliRunner().invoke(app, ["status", "-c", str(path)])

    assert isinstance(told.exception, ConfigError)
    assert told.exception.exit_code is ExitCode.CONFIG
    assert "did you mean 'port'?" in str(told.exception)


def test_the_version_is_asked_as_everywhere() -> None:
    """`--version` beside the command of old."""
    told = CliRunner().invoke(app, ["--version"])

    assert told.stdout == f"gaugecast {CliRunner().invoke(app, ['version']).stdout}"


@pytest.mark.parametrize("words", [["-h"], ["status", "-h"], ["models", "-h"], ["models", "list", "-h"]])
def test_help_has_its_short_name_everywhere(words: list[str]) -> None:
    """On the program, commands, groups and their commands."""
    assert CliRunner().invoke(app, words).output.startswith("Usage: ")


def test_the_only_fleet_need_not_be_named() -> None:
    """One that is not there is a word on the command line that is wrong, and the others are told."""
    tanks = fleet_of("p")
    pumps = replace(tanks, name="pumps")
    assert fleet_called([tanks], None) is fleet_called([tanks, pumps], "tanks") is tanks
    for known, name in (([tanks], "ships"), ([tanks, pumps], None)):
        with pytest.raises(WrongUse, match=f"--to: expected one of tanks.*, got {name or 'none'}"):
            fleet_called(known, name, option="--to")

"""`gaugecast quarantine`: what was refused, for people and for scripts."""

from __future__ import annotations

import base64
import json
from datetime import timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gaugecast.cli.main import app
from gaugecast.cli.quarantine import render_quarantine
from gaugecast.config.schema import Storage
from gaugecast.errors import ConfigError, StorageError
from gaugecast.ledger import Ledger
from gaugecast.ledger.rows import Quarantined
from gaugecast.records import Commit, Refused
from ledger_rows import SECOND, T0
from test_status import screen

REFUSED = [
    Refused(T0, "tanks", "hall/7", "plant/hall/7", "out_of_range", "pressure: expected 0 to 6, got 9", b'{"p": 9}'),
    Refused(T0 + SECOND, "", "", "plant/x", "not_utf8", "expected UTF-8, got the byte 0xff", b"\xff\x1b[2J\n"),
    Refused(T0 + 2 * SECOND, "tanks", "hall/8", "", "stream_rate", "", b""),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a daemon that has refused three readings and does not run."""
    ledger = Ledger.open(tmp_path, Storage(directory=tmp_path))
    ledger.commit(Commit([], [], [], refused=REFUSED))
    ledger.close()
    file = tmp_path / "gaugecast.toml"
    fleet = "[fleet.tanks]\nsubscribe = ['t/{tank}']\nstream = '{tank}'\nperiod = '1s'\n[fleet.tanks.features.p]\n"
    file.write_text(f"[storage]\ndirectory = '{tmp_path}'\n{fleet}")
    return file


def test_the_newest_stand_first_with_why_and_what_came(config: Path) -> None:
    """Reason, topic, fleet and stream, detail and payload; a refusal without payload takes its line alone."""
    text = CliRunner().invoke(app, ["quarantine", "-c", str(config)], catch_exceptions=False, env={"TZ": "UTC"}).output
    assert [text.index(r.reason) for r in REFUSED] == sorted((text.index(r.reason) for r in REFUSED), reverse=True)
    for words in ("plant/hall/7", "tanks hall/7", "pressure: expected 0 to 6, got 9", '{"p": 9}', "tanks hall/8"):
        assert words in text


def test_the_list_can_be_cut_by_number_and_reason(config: Path) -> None:
    """`-n` counts what is listed, after the reason has chosen."""
    newest = CliRunner().invoke(app, ["quarantine", "-c", str(config), "-n", "1"], catch_exceptions=False).output
    assert "stream_rate" in newest
    assert "not_utf8" not in newest
    command = ["quarantine", "-c", str(config), "-n", "1", "--reason", "out_of_range"]
    assert "plant/hall/7" in CliRunner().invoke(app, command, catch_exceptions=False).output


def test_scripts_get_the_exact_bytes(config: Path) -> None:
    """One object a line, newest first; what is not known is null."""
    output = CliRunner().invoke(app, ["quarantine", "-c", str(config), "--json"], catch_exceptions=False).output
    rows = [json.loads(line) for line in output.splitlines()]
    assert [base64.b64decode(row["payload_base64"]) for row in rows] == [r.head for r in reversed(REFUSED)]
    assert rows[1]["payload"] == r"\xff\x1b[2J\n"
    assert rows[2]["received_at"] == "2023-11-14T22:13:20.000Z"
    assert (rows[0]["topic"], rows[1]["fleet"], rows[1]["stream"]) == (None, None, None)


def test_hostile_bytes_neither_move_the_cursor_nor_break_the_table() -> None:
    """Control characters and markup in topic, detail and payload are shown, not obeyed; 80 columns hold."""
    hostile = Refused(T0, "tanks", "a\nb", "t\x1b[2J", "not_json", "[bold]\r", b"[red]\x07" * 30)
    text = screen(render_quarantine([Quarantined(1, *hostile)], timezone.utc))  # noqa: UP017
    assert not {"\x1b", "\r", "\x07"} & set(text)
    assert r"[red]\x07" in text
    assert "[bold]" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_nothing_refused_is_said() -> None:
    """An empty table would look like a failure."""
    assert screen(render_quarantine([], None)).strip() == "nothing in quarantine"


def test_a_reason_that_does_not_exist_is_not_an_empty_list(config: Path) -> None:
    """The message names those that do."""
    with pytest.raises(ConfigError, match=r"--reason: one of too_large, .* expected, got 'out_of_rage'"):
        CliRunner().invoke(app, ["quarantine", "-c", str(config), "--reason", "out_of_rage"], catch_exceptions=False)


def test_without_a_ledger_the_place_is_named(config: Path) -> None:
    """A daemon that never ran has refused nothing, and the user may have meant another file."""
    for file in config.parent.glob("ledger.sqlite*"):
        file.unlink()
    with pytest.raises(StorageError, match="expected a ledger at"):
        CliRunner().invoke(app, ["quarantine", "-c", str(config)], catch_exceptions=False)

"""`gaugecast check` by a user who may not see the secrets: an operator, or systemd's ExecReload."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gaugecast.cli.check import check_offline

CONFIG = """
[mqtt]
username = "u"
password_file = "secret/password"
[fleet.tanks]
subscribe = ["tanks/{tank}"]
period = "1s"
[fleet.tanks.features.pressure]
"""


def test_a_secret_in_a_closed_directory_is_a_note_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be right: that it cannot be seen is said, and nothing else is wrong. (Root sees all, so `stat` is
    made to refuse as it does for others.)"""
    (tmp_path / "gaugecast.toml").write_text(CONFIG)
    real = os.stat

    def refuse(path: Any, *words: Any, **named: Any) -> os.stat_result:
        if str(path).endswith("secret/password"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *words, **named)

    monkeypatch.setattr(os, "stat", refuse)
    plan = check_offline(tmp_path / "gaugecast.toml", {})
    assert any("cannot be read by this user" in note for note in plan.notes)

"""What is said of mistakes in a configuration: place, expectation and mend, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config_mistakes import BEGIN, FILE, GOOD, MISTAKES, Mistake, complaint, render_mistakes
from gaugecast.cli.check import check_offline

PAGE = Path(__file__).resolve().parent.parent / "docs" / "mistakes.md"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: f"{one.table} {one.line}")
def test_each_mistake_is_told_with_its_place_and_its_mend(mistake: Mistake, tmp_path: Path) -> None:
    """File, or that it is a warning; table and key; what to write instead; no secret, no word of Python's."""
    said = complaint(mistake, tmp_path)

    assert said.startswith((FILE, "warning: "))
    assert any(mistake.key in line and mistake.mend in line for line in said.splitlines()), said
    for never in ("hunter2", "True", "False", "<class", "Errno", "Traceback", "Input should"):
        assert never not in said


def test_the_file_that_they_are_put_into_is_right(tmp_path: Path) -> None:
    """So it is the mistake alone that is told of."""
    path = tmp_path / FILE
    path.write_text("\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in GOOD.items()))

    assert check_offline(path, {}).warnings == ()


def test_there_are_fifty_of_all_kinds() -> None:
    """As many as people make in a life."""
    assert len(MISTAKES) >= 50
    assert len({one.kind for one in MISTAKES}) >= 12


def test_the_page_shows_what_is_said() -> None:
    """After a change: python tests/config_mistakes.py docs/mistakes.md."""
    assert PAGE.read_text().partition(BEGIN)[2] == render_mistakes()

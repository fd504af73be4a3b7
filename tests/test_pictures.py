"""The pictures of docs/concepts can be drawn again, and show what the shipped code does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from documented import ROOT
from pictures import cell, cost
from pictures.__main__ import main
from pictures.run import run_tanks, shipped_model

FOLDER = ROOT / "docs" / "images" / "concepts"


def test_the_equations_of_the_page_are_the_engine_s() -> None:
    """Written out in NumPy beside what the pipeline carried on, to five digits."""
    x, state, _ = cell.traced(40)
    inner = cell.look_into(shipped_model(), x, state)
    units = inner.memory.shape[1]

    np.testing.assert_allclose(inner.memory[:-1], state[1:, units:], atol=1e-5)
    np.testing.assert_allclose(inner.output[:-1], state[1:, :units], atol=1e-5)


def test_every_picture_of_a_run_is_on_a_page_and_small() -> None:
    """And the other way round; what a page shows is described."""
    shown = {
        name
        for page in (ROOT / "docs" / "concepts").glob("*.md")
        for words, name in re.findall(r"!\[([^\]]*)\]\(\.\./images/concepts/([\w-]+\.svg)\)", page.read_text())
        if len(words) > 40
    }
    assert shown == {place.name for place in FOLDER.glob("*.svg")}
    assert max(place.stat().st_size for place in FOLDER.glob("*.svg")) < 150_000


def test_the_table_of_costs_has_a_row_for_each_form_and_a_column_for_each_size() -> None:
    """The figures are a machine's; that they are there is not."""
    table = (ROOT / "docs" / "concepts" / "words.md").read_text().partition(cost.BEGIN)[2].partition(cost.END)[0]
    rows = table.strip().splitlines()

    assert len(rows) == 2 + 2 * len(cost.LOOK_BACKS) + 1
    assert all(row.count("|") == len(cost.UNITS) + 2 for row in rows)


def test_a_run_publishes_what_the_daemon_would() -> None:
    """A forecast a step and tank, with intervals once enough is known."""
    run = run_tanks(tanks=2, steps=80)

    assert {stream: len(told) for stream, told in run.forecasts.items()} == {"tank-01": 80, "tank-02": 80}
    assert run.forecasts["tank-01"][-1]["horizons"][0]["intervals"]["pressure"]["0.8"]


@pytest.mark.long
def test_all_pictures_and_the_table_are_made_again(tmp_path: Path) -> None:
    """Into another folder: the same pictures by name."""
    main(tmp_path)
    page = tmp_path / "words.md"
    page.write_text(f"before\n{cost.BEGIN}{cost.END}after\n")
    cost.write(page)

    assert {place.name for place in tmp_path.glob("*.svg")} == {place.name for place in FOLDER.glob("*.svg")}
    assert "look-back 24" in page.read_text()

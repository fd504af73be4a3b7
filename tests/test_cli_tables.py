"""Tables of commands on terminals of 60, 80 and 120 columns: names and figures are whole, nothing is too wide."""

from __future__ import annotations

import pytest
from rich.console import RenderableType

from gaugecast.cli.check_screen import render_survey
from gaugecast.cli.models_list import render_models
from gaugecast.cli.status import render_status
from gaugecast.cli.streams import render_list
from gaugecast.cli.survey import Survey
from gaugecast.config.schema import Loop
from gaugecast.control import StreamRow
from gaugecast.testing import fleet_of
from test_status import STATUS, screen

NOW_S = 1_700_000_000.0
widths = pytest.mark.parametrize("width", [60, 80, 120])


def shown(picture: RenderableType, width: int) -> str:
    """What is seen; it fits, and nothing of it is cut."""
    text = screen(picture, width)
    assert max(map(len, text.splitlines())) <= width, text
    assert "…" not in text, text
    return text


def rows(fleet: str, *streams: str) -> list[StreamRow]:
    """Streams that spoke three minutes ago."""
    return [
        StreamRow(
            fleet=fleet, stream=stream, feature="temperature", step=123_456, at_s=NOW_S - 185, skill=0.62,
            quality=["bridged", "partial", "fallback"],
        )
        for stream in streams
    ]  # fmt: skip


@widths
def test_streams_are_listed_with_their_names_whole(width: int) -> None:
    """A long quality is what is broken into lines."""
    text = shown(render_list(rows("tanks", "north/tank-1", "north/tank-2"), NOW_S, width=width), width)
    for word in ("north/tank-1", "123,456", "3 min 5 s ago", "62 %", "fallback", "skill", "quality"):
        assert word in text
    assert "tanks" not in text, "expected no heading where there is one fleet"


@widths
def test_a_very_long_name_is_folded_and_leaves_the_figures_whole(width: int) -> None:
    """Every letter of it is there."""
    name = "a-hall-with-a-long-name/" * 3
    text = shown(render_list(rows("tanks", name), NOW_S, width=width), width)
    assert "62 %" in text
    assert "3 min 5 s ago" in text
    folded = "".join(line[: max(14, width - 46)].strip() for line in text.splitlines()[1:])
    assert folded == name


@widths
def test_streams_of_several_fleets_stand_under_their_fleet(width: int) -> None:
    """Five called `boiler1` are told apart."""
    listed = [*rows("hall", "boiler1"), *rows("attic", "boiler1")]
    lines = shown(render_list(listed, NOW_S, width=width), width).splitlines()
    first = [line[:9].rstrip() for line in lines if line[:9].strip()]
    assert first == ["stream", "hall", "  boiler1", "attic", "  boiler1"]


@widths
def test_weights_are_listed_with_versions_whole(width: int) -> None:
    """The origin is what is broken into lines."""
    row = {
        "fleet": "tanks", "version": "a4c8b1d2e3f4", "role": "in_force", "skill": 0.5,
        "made_by": "copied from tanks: gaugecast.learner", "units": "32 + 16 gru",
    }  # fmt: skip
    text = shown(render_models([row, {**row, "role": None, "skill": None}]), width)
    for word in ("tanks", "a4c8b1d2e3f4", "in_force", "50 %", "copied"):
        assert word in text
    assert "no weights are stored" in shown(render_models([]), width)


@widths
def test_the_status_has_its_fleets_whole(width: int) -> None:
    """Fleet, feature and residual are read across."""
    text = shown(render_status(STATUS), width)
    for word in ("tanks", "pumps", "pressure", "temperature", "|residual|", "0.0081 bar", "62 %"):
        assert word in text


@widths
def test_what_check_heard_is_a_table_of_figures_with_examples_below(width: int) -> None:
    """However long the streams' ids are."""
    survey = Survey([fleet_of("pq")], Loop())
    seen = survey.fleets["tanks"]
    seen.streams.update({"a-hall-with-a-long-name/" * 3 + f"tank-{number}": 3 for number in range(9)})
    seen.readings.update({"p": 1234})
    text = screen(render_survey(survey, 10.0), width)
    table = [line for line in text.splitlines() if "configured" in line or "1234" in line]
    assert len(table) == 2
    assert max(map(len, table)) <= width
    assert "tank-4" in "".join(text.split())

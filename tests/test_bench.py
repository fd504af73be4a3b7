"""The bench's own arithmetic, and its page. What it measures, `make bench` shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.groups import GROUPS
from bench.meter import cpu_s_of
from bench.overload import least_rate
from bench.page import PAGE, TEMPLATE, render
from bench.results import Bound, Result, keep, median_ratio, number
from bench.traffic import LEAST, LOOP_S, Allowance

ROOT = Path(__file__).resolve().parent.parent
#: What others look for in `build/bench.json` and on the page.
NAMES = (
    "throughput_qos0_vs_paho", "throughput_qos1_vs_paho", "throughput_qos1_vs_gmqtt", "throughput_vs_predict",
    "cpu_us_per_forecast", "overload_recovery_s", "catchup_ratio", "arrays_readings_per_s", "disk_kept_b",
    "disk_written_b_1000", "disk_written_b_20", "keep_gb_overshoot", "one_stream_us", "history_100k_ms", "rss_1k_mb",
    "rss_100k_mb", "restart_10k_s",
)  # fmt: skip


def row_of(**keys: object) -> dict[str, object]:
    """A row with a peer and a bound on the ratio."""
    found = Result("speed", "msg/s", [10.0, 30.0, 20.0], [5.0, 10.0, 20.0], Bound("≥", 2.0, "ratio"), "a note")
    return {**found.row("throughput", "idle"), **keys}


def test_a_row_has_medians_and_the_median_of_the_rounds_ratios() -> None:
    """30 : 10 is the best round, 20 : 20 the worst; what counts is 10 : 5."""
    row = row_of()

    assert (row["ours"], row["peer"], row["ratio"], row["spread"]) == (20.0, 10.0, 2.0, [10.0, 30.0])
    assert (row["met"], row["bound"]) == (True, "≥ 2×")


def test_rounds_that_only_one_took_part_in_do_not_count() -> None:
    """The shorter list ends it."""
    assert median_ratio([4.0, 8.0, 100.0], [2.0, 2.0]) == 3.0


@pytest.mark.parametrize(
    ("sign", "figure", "met"), [("≤", 2.0, True), ("≤", 2.1, False), ("≥", 2.0, True), ("≥", 1.9, False)]
)
def test_a_bound_is_met_at_the_limit_and_on_its_side(sign: str, figure: float, met: bool) -> None:
    """Both signs."""
    assert Bound(sign, 2.0).met(figure) is met  # type: ignore[arg-type]


def test_what_is_no_number_meets_no_bound() -> None:
    """A share of nothing must not look like success."""
    assert not Bound("≤", 1.0).met(float("nan"))
    assert not Bound("≥", 1.0).met(float("nan"))


def test_a_row_that_is_measured_once_has_no_spread() -> None:
    """One value is no range; and no bound is neither met nor not."""
    row = Result("size", "MB", [82.0]).row("rss", "idle")

    assert (row["ours"], row["spread"], row["peer"], row["ratio"], row["met"]) == (82.0, None, None, None, None)


def test_a_group_measured_again_replaces_its_rows_and_leaves_the_others(tmp_path: Path) -> None:
    """By name, in their places."""
    place = tmp_path / "bench.json"
    keep([row_of(), row_of(name="size")], place)
    keep([row_of(ours=7.0)], place)

    assert [(row["name"], row["ours"]) for row in json.loads(place.read_text())] == [("speed", 7.0), ("size", 20.0)]


@pytest.mark.parametrize(
    ("figure", "text"),
    [(None, ""), (12345.6, "12,346"), (99.96, "100"), (3.14159, "3.14"), (0.01234, "0.0123"), (0.0, "0")],
)
def test_numbers_have_three_digits_that_count(figure: float | None, text: str) -> None:
    """More would pretend."""
    assert number(figure) == text


def test_the_least_rate_is_that_of_the_slowest_second() -> None:
    """Ten a second, then two seconds of nothing, then ten again."""
    seen = [(at / 2, count) for at, count in enumerate([0, 5, 10, 10, 10, 10, 10, 15, 20])]

    assert least_rate(seen, 1.0) == 0.0
    assert least_rate(seen, 4.0) == 5.0
    assert least_rate(seen[:2], 1.0) == 10.0


def test_processor_time_is_read_past_a_name_with_brackets() -> None:
    """The command's name is what people like; user and system time are the 14th and 15th fields."""
    line = "7 (a (b) c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 9 9 20 0 1 0 5 6 7"

    assert cpu_s_of(line) == pytest.approx(2.0)


def test_a_closed_loop_allows_what_comes_back_in_a_second() -> None:
    """Few messages while nothing comes back; then in proportion to the rate."""
    now, heard = [0.0], [0]
    allowed = Allowance(lambda: heard[0], clock=lambda: now[0])
    assert allowed() == LEAST

    for _ in range(100):
        now[0] += 0.1
        heard[0] += 100
        allowed()

    assert allowed() == pytest.approx(heard[0] + LOOP_S * 1000, rel=0.01)


def test_the_page_has_the_machine_and_a_table_for_each_group() -> None:
    """A row stands in its own group; a group without rows says so."""
    template = "| a | b |\n|---|---|\n<!-- machine -->\n\n<!-- table throughput -->\n\n<!-- table rss -->\n"
    page = render(template, [row_of()], {"processor": "2 × any"})

    assert "| processor | 2 × any |" in page
    assert "| `speed` | 20 | 10–30 | 10 | 2× | msg/s | ≥ 2× | met |" in page
    assert page.endswith("Not measured.\n")


def test_the_page_in_the_docs_says_what_the_template_says() -> None:
    """What stands between the tables; after a change to it: python -m bench.page."""
    page, marks = (ROOT / PAGE).read_text(), ("<!-- ", "| ")
    prose = [part.strip() for part in TEMPLATE.read_text().split("\n\n") if not part.startswith(marks)]

    assert [part for part in prose if part not in page] == []
    assert "<!--" not in page


def test_every_group_has_its_table_on_the_page() -> None:
    """Groups that are measured, and marks of the template."""
    assert re.findall(r"<!-- table (\w+) -->", TEMPLATE.read_text()) == list(GROUPS)


def test_figures_that_others_look_for_are_measured() -> None:
    """By their names in the bench's sources."""
    sources = "".join(place.read_text() for place in TEMPLATE.parent.glob("*.py"))

    assert [name for name in NAMES if f'"{name}"' not in sources] == []

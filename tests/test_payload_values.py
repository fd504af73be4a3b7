"""Values as devices write them: text, decimal comma, units, words, sentinels, scales and qualities."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gaugecast.errors import DecodeError
from gaugecast.fleet import Feature
from gaugecast.payloads.values import number_of, value_reader
from support.payloads import decode, make_fleet, only, values_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20.9", 20.9),
        ("20,9", 20.9),
        ("20.9 °C", 20.9),
        ("20,9°C", 20.9),
        ("-5V", -5),
        ("63%", 63),
        ("1.5 kWh", 1.5),
        ("12 m3/h", 12),
        ("1e3", 1000),
        (".5", 0.5),
        ("5.", 5),
        ("+7", 7),
        ("1,234", 1.234),
    ],
)
def test_a_number_may_have_a_decimal_comma_and_a_unit(text: str, number: float) -> None:
    """As displays and gateways print it."""
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x10",
        "1_000",
        "1.234,5",
        "1,234.5",
        "0201061BFF",
        "21BFF",
        "2026-01-01",
        "12:30",
        "1.2.3",
        "٣",
        "5 6",
        "V5",
    ],
)
def test_what_is_no_number_is_not_made_one(text: str) -> None:
    """Dates, hexadecimal text, thousands."""
    assert number_of(text) is None


@pytest.mark.parametrize("text", ['"20.9"', "20.9\x00", "\ufeff20.9", " 20.9\r\n", "'20.9'"])
def test_what_stands_around_a_number_does_not_matter(text: str) -> None:
    """Quotes, NUL, a byte order mark, line ends."""
    assert value_reader(Feature("t"))(text) == 20.9


@pytest.mark.parametrize("text", ["", "unavailable", "Unknown", "null", "n/a", "--"])
def test_words_for_no_value_are_none(text: str) -> None:
    """What stands in for a sensor that is away."""
    assert value_reader(Feature("t"))(text) is None


@pytest.mark.parametrize(
    ("feature", "raw", "value"),
    [
        (Feature("s", role="input"), True, 1),
        (Feature("s", role="input"), "OFF", 0),
        (Feature("s", boolean=True), "Open", 1),
        (Feature("s", boolean=True), False, 0),
        (Feature("s", true_values=("heat",), false_values=("idle", "cool")), "HEAT", 1),
        (Feature("s", true_values=("heat",), false_values=("idle", "cool")), "cool", 0),
        (Feature("s", role="input"), 21.5, 21.5),
    ],
)
def test_words_are_numbers_where_a_key_or_the_role_says_so(feature: Feature, raw: Any, value: float) -> None:
    """True and false, the usual words, or those that are given."""
    assert value_reader(feature)(raw) == value


@pytest.mark.parametrize("raw", [True, "ON"])
def test_without_a_key_the_complaint_names_it(raw: Any) -> None:
    """Of a feature that is forecast."""
    with pytest.raises(DecodeError, match='kind = "boolean"'):
        value_reader(Feature("s"))(raw)


def test_given_words_take_the_place_of_the_usual_ones() -> None:
    """`on` is then no word."""
    with pytest.raises(DecodeError, match="wrong_type"):
        value_reader(Feature("s", true_values=("heat",), false_values=("idle",)))("on")


@pytest.mark.parametrize("raw", [-127, -127.0, "-127", "-127,0", 85, "Err"])
def test_sentinels_are_no_values_however_they_are_written(raw: Any) -> None:
    """By number, and by word in any case."""
    assert value_reader(Feature("t", missing=(-127.0, 85.0, "err")))(raw) is None


def test_scale_and_offset_come_before_the_bounds_and_behind_the_sentinels() -> None:
    """Sentinels are as they come, bounds are of what is forecast."""
    read = value_reader(Feature("t", scale=0.1, offset=-40, missing=(0.0,), valid_min=-40, valid_max=60))
    assert read(650) == pytest.approx(25)
    assert read(0) is None
    with pytest.raises(DecodeError, match="out_of_range"):
        read(1001)


def test_only_good_qualities_count() -> None:
    """A value of another is as absent, and a reading of nothing else is none."""
    features = (
        Feature("pressure", path=("p", "v"), quality_path=("p", "q"), good=("3", "good")),
        Feature("t", path=("t2",)),
    )
    fleet = make_fleet(features=features)
    good, word, bad = ({"t": 1, "p": {"v": 2, "q": q}, "t2": 5} for q in (3, "Good", 0))
    assert values_of(only(decode(good, fleet))) == values_of(only(decode(word, fleet))) == [2, 5]
    assert math.isnan(values_of(only(decode(bad, fleet)))[0])
    assert decode({"t": 1, "p": {"v": 2, "q": 0}}, fleet).not_ours == {"tanks": 1}


def test_a_sentinel_alone_is_no_reading_and_no_reject() -> None:
    """The device says that it has nothing to say."""
    fleet = make_fleet(features=(Feature("pressure", path=("pressure",), missing=(-127.0,)),))
    decoded = decode({"t": 1, "pressure": -127}, fleet)
    assert (list(decoded.inputs), decoded.refused, dict(decoded.not_ours)) == ([], [], {"tanks": 1})

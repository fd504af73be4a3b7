"""Layouts and habits of devices in the field, as users configured them, and as the complaints say to mend it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from field.cases import CASES, Case, check_times
from field.page import BEGIN, render_table
from field.stage import FIELD, need

FOLDERS = sorted({case.folder for case in CASES} | {"51-time-formats"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.folder}{'-mended' if case.changes else ''}")
def test_what_a_device_sends_is_read_or_named(case: Case) -> None:
    """Steps, rejects, and what is not ours, as they should be; a complaint names the key that mends it."""
    case.run()


def test_times_are_read_right_or_the_key_is_named_that_mends_it() -> None:
    """Twenty-two ways to write a time."""
    need("51-time-formats")
    check_times()


def test_every_folder_is_held_against_what_is_right() -> None:
    """None is left out in silence."""
    need(FOLDERS[0])
    assert sorted(place.name for place in FIELD.iterdir() if place.is_dir()) == FOLDERS


def test_the_page_of_devices_has_what_is_played() -> None:
    """Written by `python -m field.page docs/devices.md`."""
    page = Path(__file__).resolve().parents[2] / "docs" / "devices.md"
    assert page.read_text().partition(BEGIN)[2] == render_table()


def tally() -> tuple[int, int]:
    """How many folders are read as they should be, of how many."""
    passed: dict[str, bool] = defaultdict(lambda: True)
    for name, run in [(case.folder, case.run) for case in CASES] + [("51-time-formats", check_times)]:
        try:
            run()
        except AssertionError:
            passed[name] = False
        passed[name] &= True
    return sum(passed.values()), len(passed)


if __name__ == "__main__":
    print("{} of {} layouts are read as they should be".format(*tally()))

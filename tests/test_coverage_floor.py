"""The floors under what the tests run: their arithmetic."""

from __future__ import annotations

import pytest

from coverage_floor import EVERY_FILE, MIDDLE, Lines, below_the_floors, by_folder, table
from test_architecture import MIDDLE as MIDDLE_OF_THE_HOUSE


def package(**changed: tuple[int, int]) -> dict[str, Lines]:
    """A thousand lines a folder, all of them run, but for the files that are named (`pipeline__state`)."""
    files = {f"{folder}/all.py": Lines(1000, 1000) for folder in (*MIDDLE, *EVERY_FILE, "cli")}
    files["records.py"] = Lines(100, 100)
    return files | {f"{name.replace('__', '/')}.py": Lines(*lines) for name, lines in changed.items()}


def test_the_middle_is_that_of_the_house() -> None:
    """One list of folders, said twice since the floors must be there without the tests' imports."""
    assert sorted(MIDDLE) == sorted(MIDDLE_OF_THE_HOUSE)


def test_a_package_that_is_run_wholly_reaches_all_floors() -> None:
    """Empty files count for nothing."""
    assert below_the_floors(package(pipeline____init__=(0, 0), loop____init__=(0, 0))) == []


@pytest.mark.parametrize(("run", "reached"), [(860, True), (859, False)])
def test_the_middle_is_judged_as_one(run: int, reached: bool) -> None:
    """140 of 7,000 lines may be open, wherever they are; one more is too many."""
    found = below_the_floors(package(engine__all=(1000, run)))
    assert (found == []) is reached
    assert all("pure middle" in line and "98%" in line for line in found)


@pytest.mark.parametrize(("run", "reached"), [(8, True), (7, False)])
def test_every_file_of_loop_and_service_is_judged_alone(run: int, reached: bool) -> None:
    """A small file cannot hide behind large ones."""
    found = below_the_floors(package(service__small=(10, run), cli__small=(10, 0)))
    assert (found == []) is reached
    assert all(line.startswith("service/small.py") for line in found)


def test_the_whole_has_a_floor_of_its_own() -> None:
    """A large edge that nobody runs is seen."""
    (line,) = below_the_floors(package(cli__all=(2000, 800)))
    assert line.startswith("the whole: at least 90%")


def test_a_folder_that_was_not_measured_is_a_failure() -> None:
    """Else the floors would hold when nothing was measured at all."""
    files = {name: lines for name, lines in package().items() if not name.startswith("loop/")}
    assert below_the_floors(files) == ["no lines of loop/ were measured"]
    assert len(below_the_floors({})) == len(MIDDLE) + len(EVERY_FILE)


def test_lines_are_added_up_by_folder_and_the_lowest_file_is_named() -> None:
    """Files of folders inside belong to the folder below the package."""
    files = {"learn/a.py": Lines(10, 10), "learn/train/b.py": Lines(30, 15), "web.py": Lines(5, 5)}
    assert by_folder(files) == {"(top)": Lines(5, 5), "learn": Lines(40, 25)}
    assert [line.split() for line in table(files).splitlines()] == [
        ["folder", "lines", "covered", "lowest", "file"],
        ["(top)", "5", "100.0%"],
        ["learn", "40", "62.5%", "50.0%", "learn/train/b.py"],
        ["all", "45", "66.7%"],
    ]

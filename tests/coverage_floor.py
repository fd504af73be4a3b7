"""What of the package the tests have run, by folder; fails where that is less than a floor.

    python tests/coverage_floor.py [--no-floors]

Reads what `pytest --cov` has measured in its own processes: daemons, learners and commands that tests start as
processes of their own are not in it, which is why the edges' floors are lower. `make test` asks for the floors when
the whole suite has run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: No I/O, no clock, no threads (docs/architecture.md): nothing there is hard to reach from a test.
MIDDLE = ("align", "engine", "forecast", "outputs", "payloads", "pipeline", "streams")
MIDDLE_FLOOR = 0.98
#: Here no file may be low: they hold the promises, and a daemon in another process is no excuse.
EVERY_FILE = ("loop", "service")
FILE_FLOOR = 0.80
WHOLE_FLOOR = 0.90
_GROUND = "(top)"


@dataclass(frozen=True, slots=True)
class Lines:
    """Statements of a file or a folder, and how many of them the tests have run."""

    statements: int = 0
    run: int = 0

    def __add__(self, other: Lines) -> Lines:
        return Lines(self.statements + other.statements, self.run + other.run)

    @property
    def share(self) -> float:
        """From 0 to 1; where there is nothing to run, all of it has been."""
        return self.run / self.statements if self.statements else 1.0


#: By path inside of the package: `pipeline/state.py`.
Files = Mapping[str, Lines]


def folder_of(file: str) -> str:
    """The folder directly below the package in which a file lies."""
    return file.split("/")[0] if "/" in file else _GROUND


def by_folder(files: Files) -> dict[str, Lines]:
    """The folders in the order of their names."""
    folders: dict[str, Lines] = {}
    for file, lines in sorted(files.items()):
        folders[folder_of(file)] = folders.get(folder_of(file), Lines()) + lines
    return dict(sorted(folders.items()))


def below_the_floors(files: Files) -> list[str]:
    """A line for each floor that is not reached, or that has nothing above it."""
    folders = by_folder(files)
    found = [f"no lines of {name}/ were measured" for name in (*MIDDLE, *EVERY_FILE) if name not in folders]
    middle = _sum(lines for name, lines in folders.items() if name in MIDDLE)
    if middle.share < MIDDLE_FLOOR:
        found.append(f"the pure middle ({', '.join(MIDDLE)}): {_expected(MIDDLE_FLOOR, middle)}")
    whole = _sum(files.values())
    if whole.share < WHOLE_FLOOR:
        found.append(f"the whole: {_expected(WHOLE_FLOOR, whole)}")
    for file, lines in sorted(files.items()):
        if folder_of(file) in EVERY_FILE and lines.share < FILE_FLOOR:
            found.append(f"{file}: {_expected(FILE_FLOOR, lines)}")
    return found


def table(files: Files) -> str:
    """Lines and share of each folder, with its lowest file; then the whole."""
    rows = []
    for folder, lines in by_folder(files).items():
        lowest = min((f for f in files if folder_of(f) == folder), key=lambda f: (files[f].share, f))
        rest = f"  {files[lowest].share:7.1%} {lowest}" if files[lowest].share < 1 else ""
        rows.append(f"{folder:<10} {lines.statements:>6} {lines.share:>8.1%}{rest}")
    whole = _sum(files.values())
    head = f"{'folder':<10} {'lines':>6} {'covered':>8}   lowest file"
    return "\n".join([head, *rows, f"{'all':<10} {whole.statements:>6} {whole.share:>8.1%}"])


def measured() -> dict[str, Lines]:
    """What the last run has left, for every file of the package."""
    from coverage import Coverage

    import gaugecast

    assert gaugecast.__file__ is not None
    package = Path(gaugecast.__file__).parent
    coverage = Coverage()
    coverage.load()
    files = {}
    for path in sorted(package.rglob("*.py")):
        _, statements, _, missing, _ = coverage.analysis2(str(path))
        files[path.relative_to(package).as_posix()] = Lines(len(statements), len(statements) - len(missing))
    return files


def main(words: list[str]) -> int:
    """Print the table; 1 where a floor is not reached."""
    files = measured()
    print(table(files))
    found = [] if "--no-floors" in words else below_the_floors(files)
    for line in found:
        print(f"too little is tested: {line}", file=sys.stderr)
    return 1 if found else 0


def _sum(many: Iterable[Lines]) -> Lines:
    return sum(many, Lines())


def _expected(floor: float, lines: Lines) -> str:
    return f"at least {floor:.0%} of its lines expected, got {lines.share:.1%} of {lines.statements}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

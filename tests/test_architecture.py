"""The house stands as it was drawn: a pure middle, thin edges, imports that go downwards, small files."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "daemon" / "gaugecast"
SIMULATORS = ROOT / "simulators" / "gaugecast_sim"

#: From the ground up. A part may import what stands below it, in its own group only where named here.
GROUND = (
    "errors",
    "counts",
    "lessons",
    "watching",
    "known",
    "scores",
    "status",
    "faults",
    "files",
    "fleet",
    "shapes",
    "threshold",
    "topics",
    "config",
    "events",
    "records",
    "batch",
    "history",
    "model",
)
MIDDLE = ("streams", "engine", "align", "forecast", "outputs", "payloads", "pipeline")
EDGES = ("logs", "notify", "web", "mqtt", "ledger", "storage", "control", "metrics", "learn", "console")
WIRING = ("loop", "cluster", "service", "demo", "testing", "cli", "__main__")

#: Within a group: who may import whom, and does. Everything else stands apart: an edge imports no other edge, but for
#: `learn` and `console`, which run in processes of their own.
BESIDE = {
    "status": {"counts", "lessons", "scores"},
    "topics": {"errors"},
    "fleet": {"shapes", "threshold", "watching"},
    "shapes": {"topics"},
    "config": {"errors", "files", "fleet", "shapes", "topics", "watching"},
    "events": {"errors", "config"},
    "records": {"fleet", "events"},
    "batch": {"events", "records"},
    "history": {"errors", "files", "records", "fleet"},
    "model": {"errors", "files", "records", "fleet"},
    "align": {"streams"},
    "forecast": {"engine", "streams"},
    "outputs": {"forecast"},
    "pipeline": {"align", "forecast", "outputs", "streams", "engine"},
    "learn": {"ledger", "logs"},
    "console": {"control", "ledger", "logs", "storage"},
    "cluster": {"loop", "service"},
    "service": {"cluster", "loop"},
    "demo": {"service"},
    "testing": {"loop", "service"},
    "cli": {"cluster", "service", "demo"},
    "__main__": {"cli"},
}

#: The rooms of the learner, from the ground up; above the first four each stands apart but where named here.
LEARN_ROOMS = (
    "history", "fit", "score", "pages",
    "keras_models", "online", "backtest", "train", "tune", "autoencoder", "evaluate",
)  # fmt: skip
LEARN_BESIDE = {"backtest": {"online"}, "train": {"keras_models"}, "tune": {"train"}, "evaluate": {"autoencoder"}}

#: All that a process beside the daemon may know of the edges: what only reads, writes lines, or asks.
BESIDE_THE_DAEMON = (
    "ledger.reader", "ledger.reads", "ledger.rows", "storage.checkpoints", "storage.models", "logs", "control.client",
    "control.requests", "control.answers",
)  # fmt: skip

#: The only parts that may import each of these, and do.
OWNERS = {
    "paho": {"mqtt"},
    "sqlite3": {"ledger"},
    "psycopg": {"cluster"},
    "ray": {"cluster"},
    "prometheus_client": {"metrics"},
    "tensorflow": {"engine"},
    "keras": {"learn"},
    "matplotlib": {"learn"},
    "structlog": {"logs"},
    "starlette": {"console"},
    "uvicorn": {"console"},
    "mcp": {"console"},
    "pydantic": {"config", "cli", "learn", "console"},
    "pydantic_settings": {"config"},
    "typer": {"cli"},
    "gaugecast_sim": {"demo", "cli"},
}

#: No I/O, no clock, no threads, no randomness: time comes in as values, facts go out as values.
NOT_IN_THE_MIDDLE = {
    "asyncio", "concurrent", "http", "logging", "multiprocessing", "os", "pathlib", "queue", "random", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading",
    "time", "urllib", "uuid", *OWNERS,
}  # fmt: skip

#: Exempt: what asks at start which bits this machine gives, and what imports TensorFlow where a model needs it.
AT_THE_MACHINE = {"engine/selftest.py", "engine/runtime.py"}

MOST_LINES = 300
#: Longer on purpose, with what they may grow to.
LONGER = {
    "loop/protocol.py": 330,  # the commit protocol stays in one module that can be read from top to bottom
}


class Imported(NamedTuple):
    """One import statement's target.

    Attributes:
        target: Dotted name.
        early: When the module itself is imported, not only when a function runs or a type is checked.
    """

    target: str
    early: bool


def modules(root: Path = PACKAGE) -> list[Path]:
    """All source files."""
    return sorted(root.rglob("*.py"))


def part_of(path: Path) -> str:
    """The part of the house that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    """The module's dotted name."""
    parts = ("gaugecast", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parts_imported_by(part: str) -> dict[str, set[str]]:
    """Parts of the house that a part imports, each with the names by which it does."""
    found: dict[str, set[str]] = {}
    for path in modules():
        if part_of(path) == part:
            for imported in imports_of(path):
                top, _, rest = imported.target.partition(".")
                if top == "gaugecast" and rest and rest != "__version__":
                    found.setdefault(rest.split(".")[0], set()).add(rest)
    return found


@cache
def imports_of(path: Path) -> list[Imported]:
    """What a file imports, wherever the statement stands."""
    return list(_walk(ast.parse(path.read_text(encoding="utf-8")).body, early=True))


def _walk(statements: list[ast.stmt], *, early: bool) -> Iterator[Imported]:
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (Imported(alias.name, early) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from (Imported(f"{statement.module}.{alias.name}", early) for alias in statement.names)
        else:
            checking = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)
            inside = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) or checking
            for field in ("body", "orelse", "handlers", "finalbody", "cases"):
                nested = getattr(statement, field, [])
                bodies = [part if isinstance(part, ast.stmt) else None for part in nested]
                yield from _walk([part for part in bodies if part is not None], early=early and not inside)
                for part in nested:
                    if not isinstance(part, ast.stmt):
                        yield from _walk(getattr(part, "body", []), early=early and not inside)


def below(part: str) -> set[str]:
    """The parts that `part` may import."""
    groups = (GROUND, MIDDLE, EDGES, WIRING)
    rank = next(i for i, group in enumerate(groups) if part in group)
    return {name for group in groups[:rank] for name in group} | BESIDE.get(part, set()) | {part}


def test_every_part_of_the_house_is_known() -> None:
    """A new folder has to say where it stands."""
    parts = {part_of(path) for path in modules()} - {"__init__"}
    assert parts - {"shipped"} == {*GROUND, *MIDDLE, *EDGES, *WIRING}


@pytest.mark.parametrize("part", [*GROUND, *MIDDLE, *EDGES, *WIRING])
def test_imports_go_downwards(part: str) -> None:
    """Edges know the middle, the middle knows the ground, and nothing knows what stands above it or beside it."""
    found = parts_imported_by(part)
    wrong = {name for other in found.keys() - below(part) for name in found[other]}
    assert wrong == set()


@pytest.mark.parametrize("room", LEARN_ROOMS)
def test_the_rooms_of_the_learner_know_what_lies_below_them(room: str) -> None:
    """Nobody below knows who fits, scores or draws for whom; and no door stands open that nobody uses."""
    rank, base = LEARN_ROOMS.index(room), LEARN_ROOMS[:4]
    found: set[str] = set()
    for path in modules(PACKAGE / "learn" / room):
        targets = [i.target.split(".") for i in imports_of(path)]
        found |= {names[2] for names in targets if names[:2] == ["gaugecast", "learn"]} - {room}
    beside = LEARN_BESIDE.get(room, set())
    assert found - {*base[:rank], *beside} == set()
    assert beside - found == set()


def test_the_learner_has_no_other_rooms() -> None:
    """A new one has to say where it stands; a file stands in one of them."""
    assert {path.name for path in (PACKAGE / "learn").iterdir() if path.name != "__pycache__"} == {
        *LEARN_ROOMS,
        "__init__.py",
    }


@pytest.mark.parametrize("part", sorted(BESIDE))
def test_no_part_may_import_what_it_does_not(part: str) -> None:
    """A grant that nobody uses would let the next one in unseen."""
    assert BESIDE[part] - parts_imported_by(part).keys() == set()


@pytest.mark.parametrize("part", ["learn", "console"])
def test_beside_the_daemon_other_edges_are_read_from_or_asked(part: str) -> None:
    """Neither learner nor console writes the ledger or a checkpoint."""
    found = parts_imported_by(part)
    names = {name for other in set(EDGES) & found.keys() - {part} for name in found[other]}
    assert [name for name in sorted(names) if not name.startswith(BESIDE_THE_DAEMON)] == []


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_each_library_has_one_owner(library: str) -> None:
    """To replace a library is to rewrite one part."""
    importers = {
        part_of(path) for path in modules() for i in imports_of(path) if i.target.split(".")[0] == library
    }  # fmt: skip
    assert importers == OWNERS[library]


@pytest.mark.parametrize("part", MIDDLE)
def test_the_middle_has_no_io_no_clock_no_threads_and_no_randomness(part: str) -> None:
    """It runs in a REPL without broker, disk or clock, and the same inputs give the same outputs for ever."""
    wrong = []
    for path in modules():
        text = path.read_text(encoding="utf-8")
        if part_of(path) != part or path.relative_to(PACKAGE).as_posix() in AT_THE_MACHINE:
            continue
        wrong += [f"{path.name}: {i.target}" for i in imports_of(path) if i.target.split(".")[0] in NOT_IN_THE_MIDDLE]
        wrong += [f"{path.name}: np.random"] if "np.random" in text else []
        wrong += [f"{path.name}: open()"] if " open(" in text else []
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """At import time; what a function imports when it runs does not count."""
    known = {name_of(path) for path in modules()}
    graph: dict[str, set[str]] = {}
    for path in modules():
        targets = {i.target for i in imports_of(path) if i.early}
        found = {t if t in known else t.rpartition(".")[0] for t in targets}
        graph[name_of(path)] = (found & known) - {name_of(path), "gaugecast"}
    done: set[str] = set()
    while True:
        leaves = {name for name, targets in graph.items() if name not in done and targets <= done}
        if not leaves:
            break
        done |= leaves
    assert sorted(set(graph) - done) == []


def test_files_are_small_enough_to_hold_in_mind() -> None:
    """300 lines; those that may be longer are named, with the reason and the end of it."""
    too_long = []
    for path in modules() + modules(SIMULATORS):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        name = str(path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else SIMULATORS))
        if lines > LONGER.get(name, MOST_LINES):
            too_long.append(f"{name}: {lines}")
    assert too_long == []


def test_no_file_may_be_long_that_is_not() -> None:
    """Nor one that is gone."""
    lines = {name: len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in LONGER}
    assert [name for name, count in lines.items() if count <= MOST_LINES] == []


def test_every_folder_says_what_it_is_for() -> None:
    """In the first docstring of its `__init__`."""
    for folder in {path.parent for path in modules() + modules(SIMULATORS)}:
        if folder.name != "shipped":
            text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
            assert text, folder
            assert len(text) > 20, folder


def test_every_module_has_a_docstring() -> None:
    """A reader learns from the first line whether this is the file."""
    silent = [p for p in modules() + modules(SIMULATORS) if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert silent == []


def test_the_simulators_know_nothing_of_the_daemon() -> None:
    """They are the world outside: a judge that shares code with the judged shares its faults."""
    wrong = [p.name for p in modules(SIMULATORS) for i in imports_of(p) if i.target.split(".")[0] == "gaugecast"]
    assert wrong == []


def test_the_daemon_never_imports_tensorflow() -> None:
    """Half a gigabyte and four seconds that `gaugecast run` does not have; nor what else only learning needs."""
    program = (
        "import sys; import gaugecast.service.daemon; "
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'pandas', 'pyarrow', 'scipy', 'gaugecast_sim'}"
        " | {'starlette', 'uvicorn', 'psycopg', 'ray'}; "
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    roots = os.pathsep.join(path for path in sys.path if path.endswith(("daemon", "simulators")))
    env = os.environ | {"PYTHONPATH": roots}
    result = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_statements_have_plain_parameters() -> None:
    """`?1` with a sequence is deprecated from Python 3.12 on, and an error in 3.14."""
    for path in [*(PACKAGE / "ledger").glob("*.py"), *(PACKAGE / "cluster").rglob("*.py")]:
        assert not re.search(r"\?\d", path.read_text()), path

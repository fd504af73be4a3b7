"""The pages say what there is, and there is what the pages say."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from bench import sizing
from gaugecast.cli.main import app
from gaugecast.cli.reference import BEGIN as COMMANDS_MARK
from gaugecast.cli.reference import render_commands
from gaugecast.config import resolve_fleets
from gaugecast.config.reference import BEGIN as SETTINGS_MARK
from gaugecast.config.reference import render_reference
from gaugecast.config.schema import FeatureTable, FleetTable, Mqtt, Settings
from gaugecast.config.walk import table_of
from gaugecast.console.reference import BEGIN as API_MARK
from gaugecast.console.reference import render_api
from gaugecast.errors import ExitCode
from gaugecast.forecast import message
from gaugecast.metrics.catalogue import CATALOGUE
from gaugecast.records import REJECT_REASONS
from support import alerts_page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SCHEMA = json.loads(Path(message.__file__).with_name("forecast.schema.json").read_text())


def page(name: str) -> str:
    """Text of one page."""
    return (DOCS / name).read_text()


def first_cells(text: str) -> list[str]:
    """What the tables of a text are about: the code in each row's first cell."""
    return re.findall(r"^\| `([^`]+)`(?:, `[^`]+`)* \|", text, re.MULTILINE)


def section(text: str, title: str) -> str:
    """A section of a page, without what follows it."""
    return text.split(f"# {title}\n", 1)[1].split("\n#", 1)[0]


# -- settings


def keys_of(table: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    """(table, key) of everything that the file may say."""
    for key, field in table.model_fields.items():
        below = table_of(field)
        if key == "fleet":
            yield from keys_of(FleetTable, "fleet.NAME")
        elif key == "features":
            yield from keys_of(FeatureTable, f"{place}.features.FEATURE")
        elif below is not None:
            yield from keys_of(below, f"{place}.{key}".removeprefix("."))
        else:
            yield place, key


def documented_keys() -> Iterator[tuple[str, str]]:
    """(table, key) of everything that the page lists."""
    for part in page("configuration.md").split("\n### `[")[1:]:
        place, text = part.split("]`", 1)
        for key in first_cells(text):
            yield place, key


def test_every_setting_is_documented_and_nothing_else() -> None:
    """Keys by table, as the schema and as the page have them, are the same."""
    assert sorted(documented_keys()) == sorted(keys_of(Settings, ""))


def test_the_tables_of_settings_are_those_that_the_schema_gives() -> None:
    """Defaults and bounds, too; after a change: python -m gaugecast.config.reference docs/configuration.md."""
    assert page("configuration.md").partition(SETTINGS_MARK)[2] == render_reference()


def test_the_example_configuration_is_one() -> None:
    """The page's TOML resolves, and means what the text under it says."""
    text = re.search(r"```toml\n(.*?)```", page("configuration.md"), re.DOTALL)
    assert text is not None
    (fleet,) = resolve_fleets(Settings(**tomllib.loads(text[1])))

    assert fleet.stream == "{site}/{tank}"
    assert fleet.output.format(fleet=fleet.name, stream="north/tank-7") == "gaugecast/tanks/north/tank-7"
    assert fleet.output in page("configuration.md") or "gaugecast/tanks/north/tank-7" in page("configuration.md")


# -- commands


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    """Every command and option, and no other; after a change: python -m gaugecast.cli.reference docs/commands.md."""
    assert page("commands.md").partition(COMMANDS_MARK)[2] == render_commands()


def test_the_page_of_the_api_is_what_the_types_say() -> None:
    """Every question and field; after a change: python -m gaugecast.console.reference docs/api.md."""
    assert page("api.md").partition(API_MARK)[2] == render_api()


def test_the_terminal_shows_the_brackets_that_the_page_shows() -> None:
    """In rich's markup, which help is not, `[train]` would be a style, and vanish."""
    shown = " ".join(CliRunner().invoke(app, ["tune", "--help"]).output.split())
    for words in ("the seed in `[train]`", "as in [train]", "[default: 20]"):
        assert words in shown
        assert words in commands_section("tune")


def test_commands_that_pages_tell_people_to_type_exist() -> None:
    """Each `gaugecast WORD` and each option after it, in code anywhere in the pages, is a command's."""
    known = {words.split()[1] for words in re.findall(r"^### `(gaugecast [^`]+)`", rendered(), re.MULTILINE)}
    wrong = []
    for place in PAGES:
        for line in code_lines(place.read_text()):
            for word, options in re.findall(r"(?<![\w./-])gaugecast ([a-z]+)((?: +--?[\w-]+(?: [^-\s`]+)?)*)", line):
                names = re.findall(r"--[\w-]+", options)
                if word not in known or any(f"`{name}`" not in commands_section(word) for name in names):
                    wrong.append(f"{place.name}: gaugecast {word}{options}")
    assert wrong == []


@functools.cache
def rendered() -> str:
    """The page of commands, made once."""
    return render_commands()


@functools.cache
def commands_section(word: str) -> str:
    """What the page has under `gaugecast WORD` and its subcommands."""
    parts = rendered().split("\n### `gaugecast ")
    return "".join(part for part in parts if part.startswith((word + " ", word + "`"))) + "`--help`"


def code_lines(text: str) -> Iterator[str]:
    """Lines of code blocks, and code within sentences."""
    for line in re.sub(r"<!--.*?-->", "", text).split("\n"):
        if line.startswith("    "):
            yield line.split("#")[0]
        else:
            yield from re.findall(r"`([^`]+)`", line)


def test_targets_of_make_that_pages_name_exist_and_help_explains_each() -> None:
    """`make WORD` in the pages is a target; every target that people call has its line in `make help`."""
    makefile = (ROOT / "Makefile").read_text()
    explained = set(re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE))
    named = {
        word
        for place in PAGES
        for line in code_lines(place.read_text())
        for word in re.findall(r"\bmake ([a-z]+)", line)
    }

    assert named <= explained
    assert explained == {
        "help",
        "demo",
        "docs",
        "test",
        "quick",
        "matrix",
        "check",
        "fmt",
        "bench",
        "chaos",
        "cluster",
        "accuracy",
        "release",
    }


# -- what goes out


def test_the_example_message_is_valid_and_its_keys_are_all_explained() -> None:
    """In the order of the bytes; the table explains each key of the schema and no other."""
    text = re.search(r"```json\n(.*?)```", page("messages.md"), re.DOTALL)
    assert text is not None
    example: dict[str, Any] = json.loads(text[1])
    jsonschema.validate(example, SCHEMA)
    table = section(page("messages.md"), "What goes out: forecasts")
    explained = [
        key for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    ]

    assert list(example) == [key for key in SCHEMA["properties"] if key not in ("experts", "totals", "score")]
    assert explained == list(SCHEMA["properties"])
    for name, value in example["residual"].items():
        assert value == pytest.approx(example["observed"][name] - example["predicted"][name])


def test_quality_flags_and_reject_reasons_are_all_explained() -> None:
    """Closed sets, the same on the page as in the code."""
    assert first_cells(section(page("messages.md"), "Quality")) == list(message.QUALITY)
    assert first_cells(section(page("messages.md"), "What comes in")) == list(REJECT_REASONS)


def test_topics_that_are_published_are_named() -> None:
    """The default output and the status topic, as the schema has them."""
    topics = {FleetTable.model_fields["output"].default, Mqtt.model_fields["status_topic"].default}
    told = set(re.findall(r"`(gaugecast(?:-notices)?/[^`]*)`", page("messages.md")))
    told -= {"gaugecast/forecast/forecast.schema.json", "gaugecast-notices/daemon/+"}
    told -= {f"gaugecast-notices/tanks/plant/a/{what}" for what in ("crossing/pressure/above/8.2", "anomaly")}
    topics.add(Mqtt().old_status_topic)

    assert told == topics


# -- operations


def test_every_exit_code_is_explained_and_no_other() -> None:
    """`errors.ExitCode` and the table, both ways."""
    told = re.findall(r"^\| (\d+) \| (.*?) \|", section(page("operations.md"), "Exit codes"), re.MULTILINE)

    assert told == [(str(int(code)), code.meaning) for code in ExitCode]


def test_metrics_that_pages_name_exist() -> None:
    """Outside of metrics.md, which has a test of its own."""
    known = {metric.name for metric in CATALOGUE}
    named = {name for place in PAGES for name in re.findall(r"`(gaugecast_[a-z_]+)", place.read_text())} - {
        "gaugecast_sim"
    }

    assert {name for name in named if not any(name.startswith(metric) for metric in known)} == set()


def test_links_lead_somewhere() -> None:
    """Relative links and pictures of all pages, anchors of headings included."""
    broken = []
    for place in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", place.read_text()):
            if target.startswith(("http:", "https:")):
                continue
            file, _, anchor = target.partition("#")
            found = (place.parent / file).resolve() if file else place
            headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE) if anchor and found.exists() else []
            slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            if not found.exists() or (anchor and anchor not in slugs):
                broken.append(f"{place.name}: {target}")
    assert broken == []


def test_every_folder_of_the_package_has_its_place_on_the_page_of_the_house() -> None:
    """The table of docs/architecture.md and the folders below daemon/gaugecast, both ways."""
    package = ROOT / "daemon" / "gaugecast"
    folders = {place.parent.name for place in package.glob("*/__init__.py")}
    told = {name.rstrip("/") for name in re.findall(r"^\| `([a-z]+/)`", page("architecture.md"), re.MULTILINE)}

    assert told == folders


def test_every_dependency_says_why_it_is_here() -> None:
    """Those of pyproject.toml and of CONTRIBUTING.md, both ways."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *(one for group in project["dependency-groups"].values() for one in group),
    ]
    names = sorted({re.split(r"[<>=!\[;]", one)[0].strip() for one in declared})  # the demo's are others', too
    table = section((ROOT / "CONTRIBUTING.md").read_text(), "Dependencies")
    rows = re.findall(r"^\| ([^|]+) \| ", table, re.MULTILINE)[1:]
    told = sorted(re.sub(r" \(.*\)", "", name) for row in rows for name in row.split(", "))

    assert told == names


def test_the_promise_stands_in_the_readme_with_its_limits() -> None:
    """Loss, doubling and bits for kill -9; broker, queue and QoS 0 outside of it."""
    text = " ".join((ROOT / "README.md").read_text().split())

    assert "`kill -9` of *our* process loses no reading, applies none twice" in text
    for limit in ("crash of the broker", "`max_queued_messages`", "QoS 0"):
        assert limit in text.partition("What lies outside")[2]


def test_pages_name_modules_of_ours_that_exist() -> None:
    """`python -m …` of ours can be called."""
    named = {word for place in PAGES for word in re.findall(r"python -m (gaugecast[\w.]*)", place.read_text())}
    sources = [ROOT / "daemon", ROOT / "simulators"]

    assert named
    for name in named:
        path = Path(*name.split("."))
        assert any((s / path).with_suffix(".py").exists() or (s / path / "__main__.py").exists() for s in sources), name


def test_the_page_of_alerts_is_what_prometheus_is_given() -> None:
    """After a change: PYTHONPATH=tests python -m support.alerts_page docs/alerts.md."""
    assert page("alerts.md").partition(alerts_page.BEGIN)[2] == alerts_page.render()


def test_the_tables_of_sizing_are_of_the_figures_that_were_measured() -> None:
    """After a change of docs/performance.md: PYTHONPATH=tests python -m bench.sizing docs/sizing.md."""
    assert sizing.filled(page("sizing.md"), page("performance.md")) == page("sizing.md")
    assert page("sizing.md").count("| 1,000 |") == 2

"""The commands that the pages tell people to type, and what becomes of each in the tests.

`FATE` is read from the top; the first pattern that a command begins with counts. A command is run by
`test_documented_commands`, or by another test, which is named, or by none, and then the reason stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
#: First words of what is a command; other lines of code are files, messages, tables.
PROGRAMS = (
    "gaugecast", "make", "python", "python3", "pip", "pipx", "sh", "cp", "mkdir", "install", "curl", "openssl", "chmod",
    "sudo", "sudoedit", "systemctl", "journalctl", "docker", "cd", "sqlite3", "mosquitto_sub", "for", "PYTHONPATH",
    "mosquitto_passwd", "btrfs", "kill", "/opt/gaugecast/current/bin/pip",
)  # fmt: skip


class Command(NamedTuple):
    """A line to type, without the comment behind it; `page` from the root of the checkout."""

    page: str
    text: str


class Fate(NamedTuple):
    """What becomes of commands that begin with `pattern`.

    Attributes:
        kind: `run` here, `long` the same in `make test-long`, `test`: another one runs it, `not`: nobody can.
        why: The file of that test, or the reason.
    """

    pattern: str
    kind: Literal["run", "long", "test", "not"]
    why: str = ""


FATE = (
    # -- of an operator, against a daemon that runs
    Fate(r"gaugecast status -c", "test", "tests/test_split.py"),
    Fate(r"gaugecast events acknowledge", "test", "tests/test_service_anomalies.py"),
    Fate(r"gaugecast (status|streams|silence|events|quarantine|export|replay|backup|test$|models list)", "run"),
    Fate(r"gaugecast history load (tank-?7|hall)\.csv", "run"),
    Fate(r"gaugecast history load", "test", "tests/e2e/test_history_load.py"),
    Fate(r"gaugecast fleet forget", "test", "tests/e2e/test_reloads.py"),
    Fate(r"gaugecast restore", "test", "tests/test_storage_backup.py"),
    Fate(r"gaugecast (discover)", "test", "tests/e2e/test_discover.py"),
    Fate(r"gaugecast check --online|sudoedit", "test", "tests/e2e/test_check_command.py"),
    Fate(r"gaugecast run", "test", "tests/e2e/test_restarts.py"),
    Fate(r"gaugecast explain", "test", "tests/test_explain.py"),
    Fate(r"sudo -u postgres", "test", "tests/support/postgres.py"),
    Fate(r"gaugecast split", "test", "tests/test_split.py"),
    Fate(r"gaugecast cluster", "test", "tests/cluster/test_commands.py"),
    Fate(r"gaugecast watch", "test", "tests/test_watch.py"),
    Fate(r"gaugecast console", "test", "tests/console/test_process.py"),
    Fate(r"gaugecast mcp", "test", "tests/console/test_assistants.py"),
    Fate(r"curl '?http://localhost:9465", "test", "tests/console/test_manual.py"),
    Fate(r"curl .*streams/reset", "test", "tests/console/test_acting.py"),
    Fate(r"curl .*api/v1/forecast", "test", "tests/console/test_again.py"),
    # -- of whoever trains
    Fate(r"(python -c .* > tank\.csv|gaugecast train tank\.csv)", "long"),
    Fate(r"gaugecast train sine\.csv", "test", "tests/train/test_training.py"),
    Fate(r"gaugecast train", "test", "tests/train/test_from_a_ledger.py"),
    Fate(r"gaugecast tune", "test", "tests/train/test_tuning.py"),
    Fate(r"gaugecast predict", "test", "tests/test_files.py"),
    Fate(r"gaugecast models (import|shadow)", "test", "tests/train/test_importing.py"),
    Fate(r"gaugecast models (promote VERSION|rollback --detector)", "test", "tests/train/test_autoencoder_served.py"),
    Fate(r"gaugecast autoencoder", "test", "tests/train/test_autoencoder.py"),
    Fate(r"gaugecast backtest SKAB", "test", "tests/train/test_autoencoder.py"),
    Fate(r"gaugecast backtest", "test", "tests/backtest/test_command.py"),
    Fate(r"gaugecast evaluate", "test", "tests/test_evaluate.py"),
    # -- of whoever installs
    Fate(r"(pipx install \.|python3 -m venv)", "test", "tests/deploy/test_first_minutes.py"),
    Fate(r"(sudo )?sh deploy/install\.sh", "test", "tests/deploy/test_install.py"),
    Fate(r"sudo apt install", "test", "tests/deploy/test_deb.py"),
    Fate(r"cd deploy/compose|docker compose", "test", "tests/deploy/test_containers.py"),
    Fate(
        r"(cp|install -d|systemctl edit) .*grafana",
        "not",
        "not in Debian; its files are held by test_grafana",
    ),
    Fate(r"(sudo )?systemctl|journalctl", "test", "tests/deploy/test_systemd.py"),
    Fate(r"pip install 'gaugecast\[|/opt/gaugecast/current/bin/pip", "not", "a package registry is needed"),
    Fate(r"openssl rand|chmod 640", "not", "programs of the system; the token's file is held by test_guard"),
    Fate(r"sqlite3 .*home-assistant", "not", "Home Assistant's database is needed"),
    Fate(r"mosquitto_sub", "not", "does not end; another program of the broker's"),
    # -- of whoever works on it
    Fate(r"make demo", "test", "tests/test_demo_process.py"),
    Fate(r"make", "not", "what runs these tests, or takes an hour"),
    Fate(r"PYTHONPATH=\S+ python -m pictures", "test", "tests/test_pictures.py"),
    Fate(r"(mkdir|for set in|curl -fo)", "not", "a download of other people's data"),
)


def commands() -> Iterator[Command]:
    """Of all pages, in the order of the pages."""
    for place in PAGES:
        for line in _lines_of_code(place.read_text()):
            text = re.sub(r" {2,}#.*| # .*", "", line).strip()
            if re.split(r"[ =]", text)[0] in PROGRAMS and " " in text and "[--" not in text:
                yield Command(str(place.relative_to(ROOT)), text)


def _lines_of_code(text: str) -> Iterator[str]:
    """Lines of shell blocks and of indented ones; what is continued is one line."""
    fence, whole = None, ""
    for line in text.splitlines():
        mark = re.match(r" *```(\w*)", line)
        if mark:
            fence = mark[1] if fence is None else None
            continue
        is_code = fence in ("", "sh") or (fence is None and line.startswith("    "))
        if is_code:
            whole += line.strip()
            if whole.endswith("\\"):
                whole = whole[:-1].rstrip() + " "
                continue
            yield whole
        whole = ""


def fate_of(command: Command) -> Fate | None:
    """The first that fits."""
    return next((fate for fate in FATE if re.match(fate.pattern, command.text)), None)

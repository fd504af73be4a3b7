"""Manual pages and shell completion, written out from the commands: `python -m gaugecast.cli.manual DIRECTORY`.

The directory is laid out as /usr/share is. The pages say what `--help` and docs/configuration.md say; the scripts are
Typer's own, which ask the command itself for what may come next.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer.main
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from gaugecast import __version__
from gaugecast.cli.help import called, paragraphs
from gaugecast.cli.main import app
from gaugecast.config.find import NAME, PLACES
from gaugecast.config.reference import render_reference
from gaugecast.errors import ExitCode

_COMPLETIONS = {
    "bash": "bash-completion/completions/gaugecast",
    "zsh": "zsh/vendor-completions/_gaugecast",
    "fish": "fish/vendor_completions.d/gaugecast.fish",
}


def write_shared_files(directory: Path) -> list[Path]:
    """Write all of it below `directory`; the files, in order."""
    files = {
        "man/man1/gaugecast.1.gz": _packed(render_commands_page()),
        "man/man5/gaugecast.toml.5.gz": _packed(render_settings_page()),
    }
    for shell, place in _COMPLETIONS.items():
        files[place] = completion_script(shell).encode()
    for place, content in files.items():
        path = directory / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [directory / place for place in files]


def completion_script(shell: str) -> str:
    """What a shell has to be told: for `bash`, `zsh` or `fish`."""
    script = get_completion_script(prog_name="gaugecast", complete_var="_GAUGECAST_COMPLETE", shell=shell)
    return script.strip() + "\n"  # zsh looks for #compdef in the first line


def render_commands_page() -> str:
    """gaugecast(1), in roff."""
    group: Any = typer.main.get_command(app)
    lines = [
        *_head("gaugecast", 1, "forecast MQTT sensor streams with stateful LSTMs"),
        ".SH SYNOPSIS",
        ".B gaugecast",
        "[OPTIONS] COMMAND ...",
        ".SH DESCRIPTION",
        *_text(group.help or ""),
        _plain(group.epilog or ""),
        *_options(group),
        ".SH COMMANDS",
        *_commands(group, ()),
        ".SH EXIT STATUS",
    ]
    for code in ExitCode:
        lines += [".TP", f".B {int(code)}", _plain(code.meaning)]
    lines += [".SH FILES", _plain(f"The configuration file is looked for at: -c FILE, {PLACES}.")]
    lines += [".SH SEE ALSO", f".BR {NAME} (5)"]
    return "\n".join(lines) + "\n"


def render_settings_page() -> str:
    """gaugecast.toml(5), in roff: the tables of docs/configuration.md."""
    lines = [
        *_head(NAME, 5, "configuration of gaugecast"),
        ".SH DESCRIPTION",
        _plain(
            f"A TOML file, looked for at: -c FILE, {PLACES}. `gaugecast init` writes one with every key, "
            "`gaugecast check` says what is wrong with it. GAUGECAST_TABLE__KEY in the environment overrides a key."
        ),
    ]
    for line in render_reference().splitlines():
        row = re.match(r"\| `(.*?)` \| (.*?) \| (.*) \|$", line)
        if line.startswith("### "):
            lines.append(f".SH {_escaped(line.strip('#` '))}")
        elif row is not None:
            lines += [".TP", f'.BR {row[1]} " ({_escaped(_unquoted(row[2]))})"', _plain(row[3].replace("\\|", "|"))]
        elif line and not line.startswith("|"):
            lines.append(_plain(line))
    return "\n".join([*lines, ".SH SEE ALSO", ".BR gaugecast (1)"]) + "\n"


def _head(name: str, number: int, what: str) -> list[str]:
    return [f'.TH {name} {number} "" "gaugecast {__version__}"', ".SH NAME", f"{name} \\- {what}"]


def _commands(group: Any, above: Sequence[str]) -> Iterator[str]:
    for name, command in group.commands.items():
        words = (*above, name)
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield from _command(command, words)
            yield from _commands(command, words)
        else:
            yield from _command(command, words)


def _command(command: Any, words: Sequence[str]) -> Iterator[str]:
    arguments = [called(p, "") for p in command.params if p.param_type_name == "argument"]
    yield f".SS {_escaped(' '.join(('gaugecast', *words, *arguments)))}"
    yield from _text(command.help or "")
    yield from _options(command)


def _options(command: Any) -> Iterator[str]:
    context = typer.Context(command, info_name="gaugecast", help_option_names=["-h", "--help"])
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            yield ".TP"
            yield f".B {_escaped(called(parameter, record[0]))}"
            yield _plain(record[1])


def _text(text: str) -> Iterator[str]:
    for paragraph, example in paragraphs(text):
        yield ".PP"
        yield f".nf\n{_escaped(paragraph)}\n.fi" if example else _plain(paragraph)


def _plain(text: str) -> str:
    """One paragraph on one line."""
    return _escaped(_unquoted(" ".join(text.split())))


def _unquoted(text: str) -> str:
    return text.replace("`", "")


def _escaped(text: str) -> str:
    """Whatever roff would take for a request, an escape or a hyphen."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.split("\n"))


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)  # the same text, the same bytes


if __name__ == "__main__":
    for written in write_shared_files(Path(sys.argv[1])):
        print(written)

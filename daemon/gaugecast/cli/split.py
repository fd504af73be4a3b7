"""`gaugecast split`: one configuration as several, for a daemon each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gaugecast.cli.listening import listen
from gaugecast.cli.place import ConfigFile
from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.config.environment import read_overrides
from gaugecast.config.find import find_config
from gaugecast.config.load import absolute_tables
from gaugecast.config.split import By, Names, Share, captured_in, check_disjoint, deal, part_tables
from gaugecast.config.toml_text import render_toml
from gaugecast.errors import ConfigError, StorageError, WrongUse
from gaugecast.fleet import Fleet
from gaugecast.ledger import LedgerReader
from gaugecast.topics import Pattern

#: What the environment would give to all parts alike, and none may share.
_OF_EACH = {("mqtt", "client_id"), ("storage", "directory"), ("http", "port"), ("console", "port")}


def split_command(
    parts: Annotated[int, typer.Option(min=2, max=64, help="How many daemons.")],
    config: ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Where to write. [default: beside the file]")
    ] = None,
    by: Annotated[
        str, typer.Option(help="`fleet`: fleets whole, `names`: within them; auto: by fleet if there are enough.")
    ] = "auto",
    listen_s: Annotated[
        float | None,
        typer.Option("--listen", metavar="SECONDS", min=0.5, help="Learn the names from the broker, not the ledger."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Cut a configuration into several whose topics are disjoint: part-1.toml, part-2.toml and so on, a daemon each.

    Each part has a client id, a state directory and ports of its own, and hears what the others do not: whole fleets,
    or the names that one captured level is known to have, from the ledger or heard. A name that comes up later belongs
    to no part until it is written into one. What cannot be cut without parting the readings of a stream is refused.
    """
    path = find_config(config, os.environ)
    settings = load_settings(path, os.environ)
    fleets = resolve_fleets(settings)
    _refuse_overrides(path, os.environ)
    chosen: By = _way(by, parts, fleets)
    names = _names_known(settings, fleets, listen_s)
    shares = deal(fleets, parts, chosen, names)
    made = part_tables(absolute_tables(path, os.environ), settings, fleets, shares)
    check_disjoint([(name, resolve_fleets(Settings(**tables).read_from(name))) for name, tables in made])
    directory = path.resolve().parent if out is None else out
    files = [directory / f"{name}.toml" for name, _ in made]
    _refuse_existing(files, force=force)
    directory.mkdir(parents=True, exist_ok=True)
    for number, (file, (_, tables), share) in enumerate(zip(files, made, shares, strict=True)):
        file.write_text(_head(path, number, share, len(shares)) + render_toml(tables), encoding="utf-8")
        typer.echo(f"{file}: {_told(share)}")
    typer.echo(f"Next: gaugecast check -c {files[0]}, …; how to go over: docs/scale.md")


def _way(by: str, parts: int, fleets: Sequence[Fleet]) -> By:
    if by == "auto":
        return "fleet" if len(fleets) >= parts else "names"
    if by == "fleet":
        return "fleet"
    if by == "names":
        return "names"
    raise WrongUse(f"--by: expected fleet, names or auto, got {by!r}")


def _refuse_overrides(path: Path, environ: Mapping[str, str]) -> None:
    for keys, override in read_overrides(environ, Settings, absolute_tables(path, environ)).items():
        if keys in _OF_EACH or keys[0] == "fleet":
            raise ConfigError(
                f"environment variable {override.variable}: it would hold for every part; write it into {path}, and "
                "unset it"
            )


def _names_known(settings: Settings, fleets: Sequence[Fleet], listen_s: float | None) -> Names:
    """Captured levels by fleet: of what is heard, else of the streams that the ledger knows."""
    if listen_s is not None:
        return _names_heard(settings, fleets, listen_s)
    found: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    by_name = {fleet.name: fleet for fleet in fleets}
    try:
        with LedgerReader(settings.storage.directory) as ledger:
            known = ledger.stream_names()
    except StorageError:
        return {}  # there is none yet; where names are needed, that is said
    for name, stream in known:
        captured = captured_in(by_name[name], stream) if name in by_name else None
        if captured is not None:
            found[name].append(captured)
    return found


def _names_heard(settings: Settings, fleets: Sequence[Fleet], seconds: float) -> Names:
    found: dict[str, list[Mapping[str, str]]] = {}
    for fleet in fleets:
        patterns = [Pattern.parse(text) for text in fleet.subscribe]
        heard = {
            topic for one in dict.fromkeys(p.filter for p in patterns) for topic in _topics(settings, one, seconds)
        }
        matches = (pattern.match(topic) for topic in sorted(heard) for pattern in patterns)
        found[fleet.name] = [captured for captured in matches if captured is not None]
    return found


def _topics(settings: Settings, mqtt_filter: str, seconds: float) -> list[str]:
    return list(listen(settings.mqtt, mqtt_filter, seconds, retained=True))


def _refuse_existing(files: Sequence[Path], *, force: bool) -> None:
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        raise ConfigError(f"{', '.join(there)}: exists already; --force replaces it")


def _head(path: Path, number: int, share: Share, parts: int) -> str:
    """What whoever opens the file has to know."""
    lines = [f"# Part {number + 1} of {parts} of {path}, by `gaugecast split`: {_told(share)}."]
    captures = sorted({lot.capture for lot in share.lots if lot.capture})
    if captures:
        told = ", ".join(f"{{{name}}}" for name in captures)
        lines.append(f"# A {told} that no part names is heard by none: add a line to `subscribe` of one of them.")
    return "\n".join(lines) + "\n\n"


def _told(share: Share) -> str:
    """What a part has, in words."""
    whole = [name for lot in share.lots if not lot.capture for name in lot.fleets]
    cut: dict[tuple[str, str], int] = defaultdict(int)
    for lot in share.lots:
        if lot.capture:
            cut[lot.fleets[0], lot.capture] += 1
    told = [f"fleet {name}" for name in whole]
    told += [f"{count} of fleet {fleet}'s {{{capture}}}" for (fleet, capture), count in cut.items()]
    return ", ".join(told) + (f"; {share.streams} known streams" if share.streams else "")

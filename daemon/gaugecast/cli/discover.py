"""`gaugecast discover`: what comes on a broker, and a configuration that reads it."""

from __future__ import annotations

import json
import os
import tomllib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gaugecast.cli.cases import cases_beside, first_cases, write_new
from gaugecast.cli.figures import show_name
from gaugecast.cli.listening import listen
from gaugecast.cli.place import ConfigFile, is_ours
from gaugecast.config import Settings, resolve_fleets
from gaugecast.config.find import find_config
from gaugecast.config.load import load_broker
from gaugecast.config.schema import Mqtt, Storage
from gaugecast.config.toml_text import toml_value
from gaugecast.errors import ConfigError, WrongUse
from gaugecast.payloads import Decoder
from gaugecast.payloads.discovery import Heard, Proposal, Stanza, joined, propose
from gaugecast.records import Kind, Message
from gaugecast.topics import Pattern

_MOST_LEFT_OUT = 20
#: Of so many readings at most one may be refused, but for those that have no number just now.
_REFUSED = 10
_NO_NUMBER_NOW = "not_finite"
#: Beside the file that is written.
_STATE = "gaugecast-state"
_LOCALTIME = Path("/etc/localtime")


def discover_command(
    config: ConfigFile = None,
    broker: Annotated[str, typer.Option(help="HOST or HOST:PORT, in place of a file's [mqtt].")] = "",
    seconds: Annotated[float, typer.Option("--for", min=0.5, max=86_400, help="How long to listen, s.")] = 60.0,
    topics: Annotated[
        str, typer.Option(help="What to listen to, a topic filter; `#` leaves out those with `$`.")
    ] = "#",
    retained: Annotated[bool, typer.Option(help="Whether to take in what the broker keeps.")] = True,
    write: Annotated[
        Path | None, typer.Option(help="Write the configuration here, and the first cases of `gaugecast test` beside.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: what was found, as one JSON object.")] = False,
) -> None:
    """Listen to a broker and propose a configuration that reads what comes.

    Shows what was found, what was left out and why, and then the fleets, as they are to be written into the file; each
    is one that `gaugecast check` accepts and that reads what was heard. Nothing is left on the broker. Look at the
    fleets before you use them: names, units, time zone, and what is worth forecasting are yours to know. Listen for at
    least three times as long as the slowest sensor needs for a reading:

        gaugecast discover --broker my.example --for 300 --write gaugecast.toml
        gaugecast test
        gaugecast check --online
    """
    if write is not None and os.path.lexists(write):
        raise WrongUse(f"--write {write}: expected a file that is not there yet; name another, or remove it")
    mqtt = _broker(config, broker)
    heard = listen(mqtt, topics, seconds, retained=retained)
    stanzas, left_out = accepted(propose(heard, own_zone()), heard)
    if as_json:
        typer.echo(json.dumps(found_to_json(stanzas, left_out, heard)))
    else:
        Console().print(render_found(stanzas, left_out, messages=sum(map(len, heard.values())), topics=len(heard)))
        if write is None:
            typer.echo("\n" + joined(stanzas))
    if write is not None and stanzas:
        write_new(write, "\n".join([_mqtt_table(mqtt), *storage_table(Storage().directory), joined(stanzas)]))
        cases = first_cases(stanzas, heard)
        write_new(cases_beside(write), cases)
        typer.echo(f"\nWrote {write} and {cases_beside(write)}. Next: gaugecast check --online -c {write}", err=as_json)
    if not stanzas:
        raise typer.Exit(1)


def _broker(config: Path | None, broker: str) -> Mqtt:
    """The broker that is meant.

    Raises:
        ConfigError: There is no file, or it is wrong.
        WrongUse: What was given is no address.
    """
    if not broker:
        return load_broker(find_config(config, os.environ), os.environ)
    host, colon, port = broker.rpartition(":")
    if not colon or broker.endswith("]"):
        host, port = broker, "1883"
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise WrongUse(f"--broker: expected HOST or HOST:PORT, got {broker!r}")
    base = load_broker(config, os.environ) if config is not None else Mqtt()
    return base.model_copy(update={"host": host.strip("[]"), "port": int(port)})


def own_zone() -> str:
    """The machine's time zone, if it says one: local times are most likely of it."""
    try:
        _, found, name = str(_LOCALTIME.resolve()).partition("zoneinfo/")
    except OSError:
        return ""
    return name if found and name not in ("UTC", "Etc/UTC") else ""


def _mqtt_table(mqtt: Mqtt) -> str:
    """What it takes to reach the broker, as the file has it."""
    keys = ("host", "port", "protocol", "username", "password_file")
    own = {key: getattr(mqtt, key) for key in keys if key in ("host", "port") or key in mqtt.model_fields_set}
    lines = ["[mqtt]", *_key_lines(own)]
    if mqtt.tls is not None:
        lines += ["[mqtt.tls]", *_key_lines({key: getattr(mqtt.tls, key) for key in mqtt.tls.model_fields_set})]
    return "\n".join(lines) + "\n"


def storage_table(usual: Path) -> list[str]:
    """Where the state goes, if that cannot be where it usually is: only root makes /var/lib/gaugecast."""
    if is_ours(usual):
        return []
    return [f"# {usual} cannot be written by this user.\n[storage]\ndirectory = {toml_value(_STATE)}\n"]


def _key_lines(values: dict[str, Any]) -> list[str]:
    told = {key: str(value) if isinstance(value, Path) else value for key, value in values.items() if value is not None}
    return [f"{key} = {toml_value(value)}" for key, value in told.items()]


def accepted(proposal: Proposal, heard: Heard) -> tuple[list[Stanza], list[tuple[str, str]]]:
    """Those fleets that may stand in one file, in order, and read what was heard; the others with the reason."""
    kept: list[Stanza] = []
    left_out = list(proposal.left_out)
    together = not _clash(proposal.stanzas)
    for stanza in proposal.stanzas:
        fault = (not together and _clash([*kept, stanza])) or _fault_of(stanza, heard)
        if fault:
            left_out += [(topic, fault) for topic in stanza.topics]
        else:
            kept.append(stanza)
    return kept, left_out


def _clash(stanzas: Sequence[Stanza]) -> str:
    """Why these cannot stand in one file; empty where they can."""
    try:
        if stanzas:
            resolve_fleets(Settings.model_validate(tomllib.loads(joined(stanzas))))
    except (ConfigError, ValueError) as exc:
        why = str(exc).split(": ", 1)[-1].splitlines()[0]
        return "its topics are those of another fleet, too; write it by hand" if "overlaps" in why else why
    return ""


def _fault_of(stanza: Stanza, heard: Heard) -> str:
    """Why most of what was heard would not be read by a fleet; empty where it is."""
    settings = Settings.model_validate(tomllib.loads(stanza.text))
    (fleet,) = resolve_fleets(settings)
    decoder, came = Decoder([fleet], settings.loop), Counter[Kind]()
    patterns = [Pattern.parse(text) for text in fleet.subscribe]
    births = [topic for topic in heard if "BIRTH" in topic and any(each.match(topic) is not None for each in patterns)]
    why = ""
    for topic in (*births, *dict.fromkeys(stanza.topics)):
        for one in heard[topic]:
            if one.payload:
                decoded = decoder.decode([Message(topic, one.payload, 0, False, False, 0, 1)], one.at_ns)
                came.update(each.kind for each in decoded.inputs if each.reason != _NO_NUMBER_NOW)
                why = decoded.refused[-1].detail if decoded.refused else why
    if came[Kind.READING] and came[Kind.REJECT] * _REFUSED <= came[Kind.READING]:
        return ""
    return f"would be refused: {why}" if why else "would not be read"


def render_found(stanzas: Sequence[Stanza], left_out: Sequence[tuple[str, str]], *, messages: int, topics: int) -> Any:
    """What was found, and what was left out; pure."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("fleet", overflow="fold", max_width=28)
    table.add_column("topics", justify="right", no_wrap=True)
    for title in ("every", "features"):
        table.add_column(title, overflow="fold")
    for stanza in stanzas:
        row = (stanza.name, str(len(set(stanza.topics))), stanza.every, ", ".join(map(show_name, stanza.features)))
        table.add_row(*map(Text, row))
    parts: list[Any] = [Text(f"{messages} messages on {topics} topics"), Text(), table]
    if not stanzas:
        parts[2] = Text("nothing was heard that could be forecast", "yellow")
    return Group(*parts, *_left_out(left_out))


def found_to_json(stanzas: Sequence[Stanza], left_out: Sequence[tuple[str, str]], heard: Heard) -> dict[str, Any]:
    """The same for scripts; `toml` is the fleet as it is written into a file."""
    return {
        "messages": sum(map(len, heard.values())),
        "topics": len(heard),
        "fleets": [
            {
                "name": one.name,
                "topics": sorted(set(one.topics)),
                "every": one.every,
                "features": list(one.features),
                "toml": one.text,
            }
            for one in stanzas
        ],
        "left_out": [{"topic": topic, "why": why} for topic, why in left_out],
    }


def _left_out(left_out: Sequence[tuple[str, str]]) -> list[Any]:
    """A row for each reason, with the first topics that it holds for."""
    if not left_out:
        return []
    by_reason: dict[str, list[str]] = defaultdict(list)
    for topic, why in left_out:
        by_reason[why].append(topic)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", style="dim")
    table.add_column("left out", justify="right", no_wrap=True)
    for title in ("because", "for example"):
        table.add_column(title, overflow="fold")
    for why, topics in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:_MOST_LEFT_OUT]:
        table.add_row(Text(f"{len(set(topics))}"), Text(show_name(why)), Text(show_name(topics[0])))
    return [Text(), table]

"""`gaugecast discover`: what comes on a broker, and a configuration that reads it."""

from __future__ import annotations

import os
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gaugecast.cli.check import POLL_S, visitor_of
from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.errors import ConfigError, Unreachable
from gaugecast.mqtt import Link
from gaugecast.payloads.discovery import Proposal, Stanza, propose

MOST_TOPICS = 20_000
MOST_OF_A_TOPIC = 32
_Clock = Callable[[], float]


def discover_command(
    config: Annotated[Path, typer.Option("--config", "-c", help="A file whose [mqtt] names the broker.")] = Path(
        "gaugecast.toml"
    ),
    seconds: Annotated[float, typer.Option("--for", min=0.5, max=86_400, help="How long to listen, s.")] = 60.0,
    topics: Annotated[str, typer.Option(help="What to listen to, a topic filter.")] = "#",
    retained: Annotated[bool, typer.Option("--retained", help="Take in what the broker keeps, too.")] = False,
) -> None:
    """Listen to a broker and propose a configuration that reads what comes.

    Prints a table of what was found, what was left out and why, and then the fleets, as they are to be written into the
    file; each is one that `gaugecast check` accepts. Look at them before: names, units, and what is worth forecasting
    are yours to know.
    """
    settings = load_settings(config, os.environ)
    heard = listen(settings, topics, seconds, retained=retained)
    stanzas, left_out = accepted(propose(heard))
    console = Console(soft_wrap=True)
    console.print(_found(stanzas, left_out))
    typer.echo("\n" + "\n".join(stanza.text for stanza in stanzas))


def listen(
    settings: Settings, topics: str, seconds: float, *, retained: bool, monotonic: _Clock = time.monotonic
) -> dict[str, list[tuple[int, bytes]]]:
    """What comes in some seconds, by topic: times of arrival and payloads, the newest of each. Bounded.

    Raises:
        Unreachable: No connection within the time.
    """
    heard: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    link = Link(visitor_of(settings.mqtt), [(topics, 0)], retained=(topics,) if retained else ())
    until, connected = monotonic() + seconds, False
    try:
        while (left := until - monotonic()) > 0:
            messages = link.poll(settings.loop.batch_messages, min(left, POLL_S))
            connected = connected or link.subscriber.connected
            now_ns = time.time_ns()
            for message in messages:
                if _is_foreign(message.topic) and (message.topic in heard or len(heard) < MOST_TOPICS):
                    heard[message.topic] = [*heard[message.topic], (now_ns, message.payload)][-MOST_OF_A_TOPIC:]
    finally:
        link.close(0.2)
    if not connected:
        fault = link.subscriber.last_error or "no answer"
        raise Unreachable(f"no connection with {settings.mqtt.host}:{settings.mqtt.port}: {fault}")
    return heard


def _is_foreign(topic: str) -> bool:
    return not topic.startswith(("$SYS/", "gaugecast/"))


def accepted(proposal: Proposal) -> tuple[list[Stanza], list[tuple[str, str]]]:
    """Those fleets that may stand in one file, in order; the others with the reason."""
    kept: list[Stanza] = []
    left_out = list(proposal.left_out)
    for stanza in proposal.stanzas:
        try:
            resolve_fleets(Settings.model_validate(tomllib.loads("\n".join(each.text for each in [*kept, stanza]))))
        except (ConfigError, ValueError) as exc:
            left_out.append((stanza.topics[0], str(exc).split(": ", 1)[-1][:160]))
            continue
        kept.append(stanza)
    return kept, left_out


def _found(stanzas: list[Stanza], left_out: list[tuple[str, str]]) -> Any:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("fleet", "topics", "for example", "every", "features"):
        table.add_column(title, overflow="fold")
    for stanza in stanzas:
        row = (stanza.name, str(len(stanza.topics)), stanza.topics[0], stanza.period, ", ".join(stanza.features))
        table.add_row(*map(Text, row))
    for topic, why in left_out:
        table.add_row(Text("left out", "dim"), Text(""), Text(topic, "dim"), Text(""), Text(why, "dim"))
    return table

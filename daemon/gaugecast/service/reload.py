"""SIGHUP: the configuration is read and checked whole, then what can change while running is put in force.

All that can fail comes first and changes nothing: so any error leaves the running configuration as it is.
Fleets change as event rows, taken with the next batch like all that bears on results; the decoder changes between
the same two batches, so that no message is read by one configuration and stepped by the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.config.schema import Table
from gaugecast.errors import GaugecastError
from gaugecast.fleet import Fleet
from gaugecast.logs import get
from gaugecast.payloads import Decoder
from gaugecast.records import Input
from gaugecast.service.daemon import Daemon

log = get("gaugecast")


@dataclass(frozen=True, slots=True)
class Change:
    """What a reload puts in force; made and checked before anything is touched.

    Attributes:
        settings: The running tables with the file's fleets.
        orders: Event inputs, in the order in which they are to be taken.
        waiting: Keys that the file changes and that only a restart puts in force, `[mqtt] host`.
    """

    settings: Settings
    fleets: tuple[Fleet, ...]
    decoder: Decoder
    orders: list[Input]
    waiting: tuple[str, ...]


def reload(daemon: Daemon, environ: Mapping[str, str] = os.environ) -> None:
    """Do what SIGHUP asks, and tell log and service manager how it went. Between two rounds of the loop only."""
    daemon.notifier.reloading("reading the configuration again")
    try:
        change = prepare(daemon, environ)
    except (GaugecastError, OSError) as exc:
        daemon.fault = f"reload refused, the running configuration stays: {exc}"
        log.error("reload refused", reason=str(exc), running="unchanged")
        daemon.notifier.ready(daemon.fault)
        return
    apply(daemon, change)
    daemon.fault = ""
    changed = [order.fleet for order in change.orders]
    log.info("reloaded", fleets=len(change.fleets), changed=sorted(set(changed)))
    if change.waiting:
        log.warning("reload waits for a restart", keys=list(change.waiting))
    daemon.notifier.ready("reloaded")


def prepare(daemon: Daemon, environ: Mapping[str, str]) -> Change:
    """Read, check and compile the file; touches nothing of what runs.

    Raises:
        GaugecastError: The file cannot be used; the message names file, table, key and the mend.
    """
    asked = load_settings(Path(daemon.settings.source), environ)
    fleets = resolve_fleets(asked)
    settings = daemon.settings.model_copy(update={"fleet": asked.fleet}).read_from(asked.source)
    return Change(
        settings=settings,
        fleets=fleets,
        decoder=Decoder(fleets, settings.loop),
        orders=daemon.configuration_events(fleets, daemon.clock.latest),
        waiting=tuple(_differing(daemon.settings, asked)),
    )


def apply(daemon: Daemon, change: Change) -> None:
    """Put a change in force: from the next batch on, messages are read and stepped by it."""
    daemon.settings, daemon.fleets = change.settings, change.fleets
    daemon.metrics.declare_fleets(f.name for f in change.fleets)
    daemon.loop.decoder = change.decoder
    for order in change.orders:
        daemon.order(order)
    daemon.link.resubscribe(daemon.filters(), retained=daemon.retained_filters())


def _differing(running: Settings, asked: Settings) -> Iterator[str]:
    """Keys outside of the fleets that the file says otherwise than what runs."""
    for name in Settings.model_fields:
        if name != "fleet":
            yield from _differing_keys(f"[{name}]", getattr(running, name), getattr(asked, name))


def _differing_keys(place: str, running: Table, asked: Table) -> Iterator[str]:
    for key in type(running).model_fields:
        if getattr(running, key) != getattr(asked, key):
            yield f"{place} {key}"

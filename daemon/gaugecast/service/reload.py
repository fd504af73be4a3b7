"""SIGHUP: the configuration is read and checked whole, then what can change while running is put in force.

All that can fail comes first and changes nothing: so any error leaves the running configuration as it is. Fleets
change as events, in line with all other orders; the core puts the decoder in place with the very batch that takes
them, so that no message is read by one configuration and stepped by the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.config.schema import Table
from gaugecast.errors import GaugecastError
from gaugecast.fleet import Fleet
from gaugecast.logs import get
from gaugecast.loop.core import Core
from gaugecast.notify import Notifier
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fits import PutAway, models_put_away
from gaugecast.service.reporter import Reporter

log = get("gaugecast")

WAY_BACK = "configured as before, the fleet has it back by itself"


def reload(
    core: Core, running: Settings, reporter: Reporter, notifier: Notifier, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Do what SIGHUP asks, and tell log, status and service manager how it went. Between two rounds of the loop only.

    Returns:
        What is in force from here on: `running` itself where the file cannot be used.
    """
    notifier.reloading("reading the configuration again")
    try:
        asked = load_settings(Path(running.source), environ)
        fleets = resolve_fleets(asked)
        gone = find_put_away(core.pipeline, fleets)
        core.reconfigure(replace(core.setup, fleets=fleets))
    except (GaugecastError, OSError) as exc:
        reporter.reload_refused = f"reload refused, the running configuration stays: {exc}"
        log.error("reload refused", reason=str(exc), running="unchanged")
        notifier.ready(reporter.reload_refused)
        return running
    settings = running.model_copy(update={"fleet": asked.fleet}).read_from(asked.source)
    reporter.reload_refused, reporter.settings = None, settings
    log.info("reloaded", fleets=len(fleets))
    reporter.put_away = tell_put_away(gone)
    waiting = list(_differing(running, asked))
    if waiting:
        log.warning("reload waits for a restart", keys=waiting)
    notifier.ready("; ".join(["reloaded", *reporter.put_away.values()]))
    return settings


def find_put_away(pipeline: Pipeline, fleets: Sequence[Fleet]) -> list[PutAway]:
    """Models in force that a configuration, if it is taken now, has no place for."""
    in_force = [part.in_force.model.manifest for part in pipeline.parts.values() if part.in_force is not None]
    return models_put_away(in_force, fleets)


def tell_put_away(gone: Iterable[PutAway]) -> dict[str, str]:
    """Write what was put away to the log; the same in words, with the way back, by fleet."""
    told = {}
    for one in gone:
        log.warning("model put away", fleet=one.fleet, version=one.version, why=one.why, back=WAY_BACK)
        told[one.fleet] = f"put away: {one}; {WAY_BACK}"
    return told


def _differing(running: Settings, asked: Settings) -> Iterator[str]:
    """Keys outside of the fleets that the file says otherwise than what runs: only a restart puts them in force."""
    for name in Settings.model_fields:
        if name != "fleet":
            yield from _differing_keys(f"[{name}]", getattr(running, name), getattr(asked, name))


def _differing_keys(place: str, running: Table, asked: Table) -> Iterator[str]:
    for key in type(running).model_fields:
        if getattr(running, key) != getattr(asked, key):
            yield f"{place} {key}"

"""`gaugecast test`: whether messages become what they should, by the configuration alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from gaugecast.cli.cases import Judge, cases_beside, read_cases
from gaugecast.cli.place import ConfigFile
from gaugecast.config import load_settings
from gaugecast.config.find import find_config
from gaugecast.errors import ExitCode, WrongUse


def try_command(
    config: ConfigFile = None,
    cases: Annotated[
        Path | None, typer.Option(help="The cases. [default: gaugecast.tests.toml beside gaugecast.toml]")
    ] = None,
) -> None:
    """Try the configuration on messages: is each read as it should be? Needs neither broker nor daemon.

    A case is a topic, a payload, and what is to become of it: stream, time and values, or the reason of its refusal, or
    that it is not ours. All cases are read in their order. Ends with 1 if one is wrong, and says what came instead:

        [[case]]
        topic = "plant/north/tank-7/telemetry"
        payload = '{"t": 1767225600, "pressure": 2.5, "temperature": 41}'
        stream = "north/tank-7"
        time = 2026-01-01T00:00:00Z
        values = { pressure = 2.5, temperature = 41 }

        [[case]]
        topic = "plant/north/tank-7/telemetry"
        payload = '{"t": 1767225600, "pressure": 99}'
        reject = "out_of_range"

    `gaugecast discover --write` writes the first ones, of what it heard.
    """
    path = find_config(config, os.environ)
    settings = load_settings(path, os.environ)
    place = cases or cases_beside(path)
    if cases is None and not place.exists():
        raise WrongUse(f"expected cases in {place}, which is not there; `gaugecast test --help` shows how to write one")
    judge, wrong = Judge(settings, time.time_ns()), 0
    found = read_cases(place)
    for number, case in enumerate(found, 1):
        faults = judge.faults(case)
        wrong += bool(faults)
        for fault in faults:
            named = f" ({case.name})" if case.name else ""
            typer.echo(f"case {number}, {case.topic}{named}: {fault}")
    typer.echo(f"{len(found) - wrong} of {len(found)} cases are right")
    if wrong:
        raise typer.Exit(int(ExitCode.NO))

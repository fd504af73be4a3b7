"""`gaugecast fleet …`: what an operator does with a whole fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from gaugecast.cli.place import ConfigFile, find_daemon
from gaugecast.control import ForgetFleet, Refit, call

fleet_app = typer.Typer(no_args_is_help=True, help="Forget what is left of a fleet, or find out anew what is usual.")


@fleet_app.command("forget")
def forget_fleet(
    fleet: Annotated[str, typer.Argument(help="Its name; no table [fleet.NAME] has it any more.")],
    config: ConfigFile = None,
) -> None:
    """Let go of what is left of a fleet that was taken out of the configuration for good.

    Its parked streams go, and the weights that would come back with it, as soon as no kept event and no checkpoint
    names them. Its readings and forecasts stay in the ledger as long as all others. Should a fleet of that name ever be
    configured again, it begins anew, but goes on counting its steps.
    """
    call(find_daemon(config).socket, ForgetFleet(fleet=fleet))
    typer.echo(f"{fleet} is forgotten")


@fleet_app.command("refit")
def refit_fleet(
    fleet: Annotated[str, typer.Argument(help="Its name.")],
    config: ConfigFile = None,
    stream: Annotated[str, typer.Option(help="Only of this stream. [default: of all]")] = "",
) -> None:
    """Find out anew what is usual, where anomalies are looked for: the plant was rebuilt, or is run otherwise now.

    Reference and limits are forgotten, open events end, and nothing is judged until enough has been seen again; with
    `healthy` in the fleet's table, so much from now on is taken as healthy. Forecasts go on as they were.
    """
    call(find_daemon(config).socket, Refit(fleet=fleet, stream=stream))
    typer.echo(f"what is usual of {stream or fleet} is found out anew")

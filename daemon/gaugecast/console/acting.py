"""What may be changed from the console, with a token that may write: each is a command of the control socket."""

from __future__ import annotations

from gaugecast.console import asked, shapes
from gaugecast.console.views import World
from gaugecast.control.requests import Acknowledge, Forget, HandOver, Promote, Rename, Reset, RollBack, Silence

#: How long a daemon may take that has to load TensorFlow for the weights first.
_LOADING_S = 300.0
_REASON = "asked in the console"


def promote(world: World, body: asked.FleetBody) -> shapes.Done:
    """The weights on trial forecast from now on.

    Raises:
        Unreachable, CommandRefused: As the daemon answers; so from all commands.
    """
    world.asking.order(Promote(fleet=body.fleet))
    return shapes.Done(done=f"{body.fleet}: the weights on trial forecast from now on")


def roll_back(world: World, body: asked.FleetBody) -> shapes.Done:
    """The last good weights forecast again; the last value is repeated where there are none."""
    world.asking.order(RollBack(fleet=body.fleet), timeout_s=_LOADING_S)
    return shapes.Done(done=f"{body.fleet}: the weights before forecast again")


def shadow(world: World, body: asked.ShadowBody) -> shapes.Done:
    """Stored weights are on trial; they begin without knowing the streams."""
    request = HandOver(fleet=body.fleet, version=body.version, role="shadow", reason=_REASON)
    world.asking.order(request, timeout_s=_LOADING_S)
    return shapes.Done(done=f"{body.fleet}: {body.version} is on trial, and forecasts once it has proven itself")


def reset(world: World, body: asked.StreamBody) -> shapes.Done:
    """A stream's state begins anew; its statistics and step numbers stay."""
    world.asking.order(Reset(fleet=body.fleet, stream=body.stream))
    return shapes.Done(done=f"{body.stream} begins anew")


def rename(world: World, body: asked.RenameBody) -> shapes.Done:
    """A stream goes on under another id."""
    world.asking.order(Rename(fleet=body.fleet, stream=body.stream, to=body.to))
    return shapes.Done(done=f"{body.stream} goes on as {body.to}")


def forget(world: World, body: asked.StreamBody) -> shapes.Done:
    """A stream's sensor is gone; its readings stay in the ledger."""
    world.asking.order(Forget(fleet=body.fleet, stream=body.stream))
    return shapes.Done(done=f"{body.stream} is forgotten")


def acknowledge(world: World, body: asked.StreamBody) -> shapes.Done:
    """Somebody knows of what is wrong with a stream."""
    world.asking.order(Acknowledge(fleet=body.fleet, stream=body.stream))
    return shapes.Done(done=f"{body.stream}: the anomaly is acknowledged")


def silence(world: World, body: asked.SilenceBody) -> shapes.Done:
    """Anomalies of a stream are told as silenced for some time, or no longer."""
    world.asking.order(Silence(fleet=body.fleet, stream=body.stream, for_s=body.for_s))
    return shapes.Done(done=f"{body.stream} is silenced" if body.for_s else f"{body.stream} is no longer silenced")

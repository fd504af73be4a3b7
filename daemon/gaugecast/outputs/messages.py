"""Messages beside a step's own, as types: they are written from these, and their schemas are made of them."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gaugecast.status import Status

_Part = TypeVar("_Part")


class Batch(msgspec.Struct, Generic[_Part], frozen=True, kw_only=True):
    """All that was forecast with one commit, of a fleet with `batch`; (fleet, lineage, batch) names it for ever."""

    fleet: Annotated[str, Meta(description="Name of the fleet in the configuration.")]
    lineage: Annotated[
        str | UnsetType, Meta(description="The ledger's history that `batch` counts in; absent where no ledger is.")
    ] = UNSET
    batch: Annotated[int, Meta(description="The ledger's number of the batch's first input.", ge=0)]
    forecasts: Annotated[
        list[_Part], Meta(description="What would else be messages, in the order of the readings.", min_length=1)
    ]


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What the status topic says, retained; at connect and at the end `status` alone."""

    status: Annotated[
        Literal["online", "offline"], Meta(description="`offline` by the last will, too; no forecast follows it.")
    ]
    input: Annotated[bool | UnsetType, Meta(description="False: no forecast is of now, nothing is heard.")] = UNSET
    doing: Annotated[str | UnsetType, Meta(description="What the daemon does, a word.")] = UNSET
    why: Annotated[str | UnsetType, Meta(description="Why it does not forecast; empty where it does.")] = UNSET


def announcement(status: Status) -> str:
    """What the status topic says: `status` as at connect, for whoever reads only that; `input`: we still hear."""
    doing = status.doing
    said = Announcement(status="online", input=not status.broker.away, doing=doing.verb, why=doing.why)
    return msgspec.json.encode(said).decode()

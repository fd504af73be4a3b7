"""What a running daemon can be asked: one struct a command, one JSON object a line; unknown keys are ignored."""

from __future__ import annotations

import contextlib
import difflib
import typing
from typing import Annotated

import msgspec

from gaugecast import events
from gaugecast.errors import CommandRefused

#: Nobody silences a stream for longer: it would be forgotten.
MOST_SILENT_S = 366 * 86_400
#: Bounds that Prometheus' doubles hold exactly; beyond them a number is nonsense.
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class StatusQuery(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="status"):
    """`{"command": "status"}`: how the daemon is."""


class StreamsQuery(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="streams"):
    """`{"command": "streams", …}`: which streams to tell of.

    Attributes:
        fleet: Only of this fleet; null = of all.
        match: Shell pattern for the stream's id.
        stream: Only the one of this id, which is found without looking through all.
        limit: At most so many streams, by fleet and then by name.
        offset: So many are left out before.
        ahead: Tell of all horizons, too.
    """

    fleet: str | None = None
    match: Annotated[str, msgspec.Meta(max_length=1024)] = "*"
    stream: str | None = None
    limit: Count = 50
    offset: Count = 0
    ahead: bool = False


class TableQuery(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="table"):
    """`{"command": "table", …}`: many streams by column, which costs the daemon a hundredth of as many rows.

    Attributes:
        limit: At most so many streams, in an order that stays while none comes or goes.
        offset: So many are left out before.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 2000
    offset: Count = 0


class Reset(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="reset"):
    """`{"command": "reset", …}`: one stream begins anew, or all of a fleet where `stream` is empty."""

    fleet: str
    stream: str = ""


class Forget(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="forget"):
    """`{"command": "forget", …}`: a stream's sensor is gone; nothing is kept of it but its step number."""

    fleet: str
    stream: str


class ForgetFleet(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="forget_fleet"):
    """`{"command": "forget_fleet", …}`: what is left of a fleet that is no longer configured is let go of."""

    fleet: str


class Rename(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="rename"):
    """`{"command": "rename", …}`: a stream goes on as `to`, with all that is remembered of it."""

    fleet: str
    stream: str
    to: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="acknowledge"):
    """`{"command": "acknowledge", …}`: somebody knows of the anomaly of a stream that is open."""

    fleet: str
    stream: str


class Refit(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="refit"):
    """`{"command": "refit", …}`: what is usual of a stream is found out anew, or of all of a fleet without one."""

    fleet: str
    stream: str = ""


class Silence(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="silence"):
    """`{"command": "silence", …}`: anomalies of a stream are told as `silenced` for so long from now; 0 = no longer."""

    fleet: str
    stream: str
    for_s: Annotated[float, msgspec.Meta(ge=0, le=MOST_SILENT_S)] = 0.0


class HandOver(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="hand_over"):
    """`{"command": "hand_over", …}`: weights that the store has get a role.

    Attributes:
        reason: Why, as the ledger will say; `learned` weights are judged together with those before.
    """

    fleet: str
    version: str
    role: events.Role = "shadow"
    reason: str = events.LEARNED


class Promote(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="promote"):
    """`{"command": "promote", …}`: the fleet's shadow goes in force."""

    fleet: str


class RollBack(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="rollback"):
    """`{"command": "rollback", …}`: the fleet's weights before come back; of a detector none do.

    Attributes:
        detector: The autoencoder leaves, and forecasts stay as they are.
    """

    fleet: str
    detector: bool = False


class ModelsQuery(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="models"):
    """`{"command": "models"}`: what is in force and in shadow, by fleet."""


class LearnerReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="learner"):
    """`{"command": "learner", …}`: what the learner says of itself and one fleet; facts as `status.Learner`."""

    fleet: str
    doing: str = ""
    updates_total: Count = 0
    updates_wanted: Count | None = None
    steps_left: Count | None = None
    failures_total: Count = 0
    drift_total: Count = 0
    handovers_total: Count = 0
    rate: float | None = None
    lag_s: float | None = None
    spared: str = ""


class LoadHistory(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="load_history"):
    """`{"command": "load_history", …}`: rows of the past of a stream that has no steps of its own.

    Attributes:
        features: Names of the values in a row, as many as the fleet has.
        rows: Base64 of event times (n,), little-endian int64, ns, then values (n, F), little-endian float64.
        begins: They are the stream's first ones; else they follow those of the request before.
        origin: The file or address that they are from.
    """

    fleet: str
    stream: str
    rows: str
    features: list[str] = []
    begins: bool = True
    origin: Annotated[str, msgspec.Meta(max_length=1024)] = ""


Request = (
    Acknowledge
    | Refit
    | Silence
    | StatusQuery
    | StreamsQuery
    | TableQuery
    | Reset
    | Forget
    | ForgetFleet
    | Rename
    | HandOver
    | Promote
    | RollBack
    | ModelsQuery
    | LearnerReport
    | LoadHistory
)

_TYPES: dict[str, type[Request]] = {str(one.__struct_config__.tag): one for one in typing.get_args(Request)}
_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


class _Tag(msgspec.Struct):
    command: str


_tags: msgspec.json.Decoder[_Tag] = msgspec.json.Decoder(_Tag)


def name_of(request: Request) -> str:
    """The command's name: its struct's tag."""
    return str(request.__struct_config__.tag)


def decode_request(line: bytes) -> Request:
    """Read one line of whatever bytes.

    Raises:
        CommandRefused: It is no request; the message says what was expected and what came.
    """
    try:
        return _decoder.decode(line)
    except RecursionError as exc:
        raise CommandRefused("expected a JSON object on one line, got one that is nested too deeply") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise CommandRefused(_explain(line, exc)) from exc


def _explain(line: bytes, fault: Exception) -> str:
    """What is wrong with a request that could not be decoded."""
    if not isinstance(fault, msgspec.ValidationError):
        return f"expected a JSON object on one line: {fault}"
    name = None
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        name = _tags.decode(line).command
    if not name:
        return f'expected a "command" with a name, such as {{"command": "status"}}: {fault}'
    wanted = _TYPES.get(name)
    if wanted is None:
        near = difflib.get_close_matches(name, _TYPES, n=1)
        meant = f'; did you mean "{near[0]}"?' if near else ""
        return f"expected a command, one of {', '.join(sorted(_TYPES))}; got {name[:64]!r}{meant}"
    for field in msgspec.structs.fields(wanted):
        if str(fault) == f"Object missing required field `{field.encode_name}`":
            return f'{name}: expected a key "{field.encode_name}" with a text, got none'  # none but texts are required
    return f"{name}: {str(fault)[:1].lower()}{str(fault)[1:]}"

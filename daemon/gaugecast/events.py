"""Events: what bears on results and does not come from a sensor. In the ledger each is one input row of kind `EVENT`.

The row's `fleet` and `stream` say whom it concerns; `detail` is the JSON of one of the structs below.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gaugecast.config.schema import Loop
from gaugecast.errors import Defect

#: What weights do for a fleet: forecast, be held against those that do, or find what is unusual.
Role = Literal["in_force", "shadow", "detector"]
ROLES: dict[str, Role] = {"in_force": "in_force", "shadow": "shadow", "detector": "detector"}
#: `ModelInstalled.reason` of weights that go on from those before: they are judged together.
LEARNED = "learned"
#: Of weights that come back because later ones failed.
ROLLBACK = "rollback"


class FleetConfigured(msgspec.Struct, tag_field="event", tag="fleet", frozen=True):
    """From here on the fleet is configured like this (`Fleet.to_json`)."""

    spec: str
    digest: str


class FleetRetired(msgspec.Struct, tag_field="event", tag="retired", frozen=True):
    """The fleet is no longer configured; its streams are forgotten.

    `steps_kept`: but for their step numbers, which go on if they ever come back. Events of 0.1.0 did not say so, and
    forgot those, too.
    """

    steps_kept: bool = False


class FleetForgotten(msgspec.Struct, tag_field="event", tag="fleet_forgotten", frozen=True):
    """A fleet that is no longer configured is gone for good: the ledger lets go of its parked streams with the same
    commit, and no model comes back with its name. Step numbers stay.
    """


class ModelInstalled(msgspec.Struct, tag_field="event", tag="model", frozen=True):
    """From here on these weights have this role; an empty version empties the role.

    Weights of the same shape take over the hidden states. `good` is what a rollback would go back to: it has no
    bearing on results, but must outlive the process.
    """

    role: Role
    version: str
    sha256: str = ""
    reason: str = ""
    good: str = ""


class ShadowPromoted(msgspec.Struct, tag_field="event", tag="promoted", frozen=True):
    """The model in shadow, with its states, becomes the model in force."""

    version: str
    reason: str = ""
    good: str = ""


class ShadowWarmed(msgspec.Struct, tag_field="event", tag="warmed", frozen=True):
    """What the model in shadow remembers of some streams (`memories`); the row's `values` hold the chunk."""

    version: str


class HistoryLoaded(msgspec.Struct, tag_field="event", tag="history", frozen=True):
    """Readings of the past of a stream that has none of its own yet; the row's `values` hold them (`pipeline.past`).

    `features`: which the values are of, in this order. `origin`: the file or address that they are from, for people.
    """

    features: tuple[str, ...]
    origin: str = ""


class StreamsReset(msgspec.Struct, tag_field="event", tag="reset", frozen=True):
    """The named stream, or all of the fleet, begins anew: state zero, statistics kept."""


class StreamUnparked(msgspec.Struct, tag_field="event", tag="unparked", frozen=True):
    """A parked stream speaks again; the row's `values` hold its state as `Parked.state` had it."""


class StreamForgotten(msgspec.Struct, tag_field="event", tag="forgotten", frozen=True):
    """The stream's sensor is gone: nothing is remembered of it but its step number, should it ever speak again.

    `parked`: it was parked; the ledger lets go of its state with the same commit.
    """

    parked: bool = False


class Announced(msgspec.Struct, tag_field="event", tag="announced", frozen=True):
    """Home Assistant has come: these streams are announced once more."""

    streams: tuple[str, ...]


class StreamRenamed(msgspec.Struct, tag_field="event", tag="renamed", frozen=True):
    """The stream goes on under the id `to`, with all that is remembered of it; no stream of that id is active."""

    to: str


class AnomalyAcknowledged(msgspec.Struct, tag_field="event", tag="acknowledged", frozen=True):
    """Somebody knows of the anomaly `id` of the stream; nothing happens where that is over by now."""

    id: str


class AnomaliesRefitted(msgspec.Struct, tag_field="event", tag="refitted", frozen=True):
    """What is usual of the named stream, or of all of the fleet, is found out anew from here on."""


class ReferenceFrozen(msgspec.Struct, tag_field="event", tag="reference", frozen=True):
    """The calibration of the stream's anomalies has ended: by these its values are judged from its last step on.

    It changes nothing, since whoever replays the inputs before it finds the same; it says for ever what was found.

    A number that is not finite is `None`.

    Attributes:
        steps: That were looked at.
        mode: Value that says the machine's state that it is of; `None` = states are not told apart.
        origin: What values are taken relative to, by feature.
        weights: By feature, what it is expected to be: a constant, then the factors of all features one step back, then
            two, where so many are looked at.
        precision: Inverse covariance of what that misses.
        mean, spread: Of the levels, by feature; a spread of 0 = too still to be judged.
        limits: By detector, of its statistic for each feature; `None` = it does not judge it.
    """

    steps: int
    mode: float | None
    origin: list[float | None]
    weights: list[list[float | None]]
    precision: list[list[float | None]]
    mean: list[float | None]
    spread: list[float | None]
    limits: dict[str, list[float | None]]


class StreamSilenced(msgspec.Struct, tag_field="event", tag="silenced", frozen=True):
    """Anomalies of the stream are told as `silenced` for so long from this row's arrival on; 0 = no longer."""

    for_ns: int


class LineageBegun(msgspec.Struct, tag_field="event", tag="lineage", frozen=True):
    """From here on (stream, `lineage`, step) names each message for ever; `lineage` is 8 hexadecimal digits.

    Made with a new ledger, and whenever one goes back to what it was, as by a restore: step numbers then come a
    second time. Ledgers of 0.1.0 have none, and messages before the event do without.

    `schema` is the version of the messages' shape from here on, where it is above that of before: a ledger begins with
    the first, and an upgrade says the same lineage once more with a later one.
    """

    lineage: str
    reason: str = ""
    schema: int = 1


class SessionLost(msgspec.Struct, tag_field="event", tag="session", frozen=True):
    """The broker no longer knows our session: packet ids begin anew, so past deliveries are forgotten."""


class ClockStepped(msgspec.Struct, tag_field="event", tag="clock", frozen=True):
    """The machine's clock was set by `step_ns`, mostly forward: remembered arrival times move along.

    Without it every stream would look silent for that long. Negative where a step forward is taken back: from this
    row on `received_at_ns` is less than before. `ticks`: readings that bring no time are then dated by another clock,
    and the ticks of their streams move along, so that it makes no gap. Events of 0.1.0 did not say so.
    """

    step_ns: int
    ticks: bool = False


class LimitsSet(msgspec.Struct, tag_field="event", tag="limits", frozen=True):
    """From here on these settings of `[loop]`, which bear on results, are in force."""

    max_streams: int
    new_streams_per_s: float
    skill_half_life: float


#: Of streams that go, come back, go on under another name, or are told of otherwise.
StreamEvent = (
    StreamUnparked
    | StreamForgotten
    | StreamRenamed
    | Announced
    | AnomalyAcknowledged
    | AnomaliesRefitted
    | ReferenceFrozen
    | StreamSilenced
)
#: Of one fleet that is at work; the others concern all, or bring a fleet about.
FleetEvent = FleetRetired | ModelInstalled | ShadowPromoted | ShadowWarmed | HistoryLoaded | StreamsReset | StreamEvent
Event = FleetConfigured | FleetForgotten | SessionLost | ClockStepped | LimitsSet | LineageBegun | FleetEvent

#: After these the ledger keeps no parked state of their stream.
ENDS_OF_PARKING = (StreamUnparked, StreamForgotten)

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def limits_of(settings: Loop) -> LimitsSet:
    """The event that puts settings in force."""
    return LimitsSet(settings.max_streams, settings.new_streams_per_s, settings.skill_half_life)


def encode_event(event: Event) -> str:
    """The JSON that the ledger keeps."""
    return msgspec.json.encode(event).decode()


def decode_event(detail: str) -> Event:
    """Inverse of `encode_event`.

    Raises:
        Defect: The ledger holds an event that this version does not know.
    """
    try:
        return _decoder.decode(detail)
    except msgspec.MsgspecError as exc:
        raise Defect(f"an event of this version expected in the ledger, got {detail[:200]}: {exc}") from exc

"""The message that a consumer gets, as types: the writers fill them in, and `forecast.schema.json` is made of them.

Its version is `SCHEMA`. What comes later adds keys behind those that there are, and changes none.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gaugecast.records import Int64

#: Version of the shape of a forecast's message. The first had neither `schema` nor what stands behind `quality`.
SCHEMA = 2
FIRST_SCHEMA = 1

Flag = Literal["warming", "bridged", "partial", "fallback", "stale", "unchanged"]
#: Quality flags by bit, in the order in which they are printed.
QUALITY: tuple[str, ...] = get_args(Flag)

#: Experts of the next step.
Speaker = Literal["persistence", "linear", "stacked", "network"]
#: Who may lead: the last two at far horizons only, in the places of those that need a network.
Lead = Literal["persistence", "linear", "stacked", "network", "daily", "half_daily"]
Instant = Annotated[float, Meta(description="Unix seconds UTC.")]
Values = Annotated[dict[str, float | None], Meta(description="By forecast feature, in its unit.", min_length=1)]
Bounds = dict[str, tuple[float, float]]


class Age(NamedTuple):
    """How old the states of N streams are.

    Attributes:
        steps: Since each began anew, this one among them (N,).
        bridged: Ticks since then that were rolled through without a reading (N,).
        began: Event time of the first of those steps, ns (N,).
    """

    steps: Int64
    bridged: Int64
    began: Int64


class Horizon(msgspec.Struct, frozen=True, kw_only=True, rename={"span": "in", "instant": "for"}):
    """What is expected at one distance."""

    span: Annotated[str, Meta(description="How far ahead, a duration as in the configuration.")]
    instant: Instant
    forecast: Values
    intervals: Annotated[
        dict[str, Bounds | None] | UnsetType,
        Meta(
            description="Where the fleet lists `horizons`: by feature and level the bounds between which the value "
            "should lie; null while too little is known."
        ),
    ] = UNSET
    leads: Annotated[
        dict[str, Lead] | UnsetType,
        Meta(description="Where the fleet lists `horizons`: by feature the expert with the largest share."),
    ] = UNSET


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How strange a reading was."""

    value: Annotated[
        float | None, Meta(description="The largest of `features`; 1.0 is the limit. Null with a `reason`.")
    ]
    features: Annotated[dict[str, float], Meta(description="By forecast feature; 1.0 is the limit.")]
    reason: Annotated[
        Literal["MACHINE_OFF"] | UnsetType, Meta(description="Why nothing is judged: the machine is off.")
    ] = UNSET


class Forecast(msgspec.Struct, frozen=True, kw_only=True, rename={"instant": "for"}):
    """One message on a fleet's output topic: what gaugecast expects of a stream, made when one reading came.

    (stream, lineage, step) names it for ever; copies of it are identical to the byte. Keys always come in this order;
    later versions may add some, so ignore those that you do not know.
    """

    schema: Annotated[int, Meta(description="Version of this shape: 2. Messages without it are of the first.", ge=2)]
    fleet: Annotated[str, Meta(description="Name of the fleet in the configuration.", pattern="^[A-Za-z0-9_.-]{1,64}$")]
    stream: Annotated[str, Meta(description="Id of the stream.", min_length=1)]
    lineage: Annotated[
        Annotated[str, Meta(pattern="^[0-9a-f]{8}$")] | UnsetType,
        Meta(
            description="The ledger's history that `step` counts in: another one after a restore, when numbers come a "
            "second time. Absent only where no ledger is kept."
        ),
    ] = UNSET
    step: Annotated[
        int,
        Meta(
            description="Number of this message within its stream and lineage, rising by one; a lineage begun by a "
            "restore goes on from the backup's.",
            ge=1,
        ),
    ]
    at: Annotated[float, Meta(description="Event time of the reading that it was made at, Unix seconds UTC.")]
    instant: Annotated[float, Meta(description="The instant that `forecast` is for: one period after `at`.")]
    forecast: Annotated[
        dict[str, float | None],
        Meta(description="Expected value at `for` of each forecast feature, in its unit.", min_length=1),
    ]
    horizons: Annotated[
        list[Horizon],
        Meta(
            description="What is expected at each distance that the fleet's `horizons`, or `horizon` above 1, asks "
            "for, the next step first. Empty where only the next step is, and with `stale` where they are listed."
        ),
    ]
    observed: Annotated[
        dict[str, float | None],
        Meta(
            description="What was measured at `at`; null where a feature was absent. Of a fleet with `hold` the value "
            "that goes on to hold; of a counter its rate.",
            min_length=1,
        ),
    ]
    predicted: Annotated[
        dict[str, float | None],
        Meta(
            description="What had been forecast for `at` one period before; null after a gap or at the beginning.",
            min_length=1,
        ),
    ]
    residual: Annotated[dict[str, float | None], Meta(description="observed − predicted.", min_length=1)]
    model: Annotated[
        str | None,
        Meta(description="Version of the weights in force where they had a part in it; null where nothing had one."),
    ]
    quality: Annotated[
        list[Flag],
        Meta(
            description="What to know before trusting it. warming: the state began anew a short while ago. bridged: a "
            "gap was rolled through with the model's own forecasts. partial: a feature was absent. fallback: "
            "persistence, not a model. stale: the stream has fallen silent; the last forecast once more. unchanged: a "
            "feature said nothing in this period, and counts as what it was, since the fleet has `hold`."
        ),
    ]
    steps_since_reset: Annotated[
        int,
        Meta(
            description="Steps since the stream's state began anew, this one among them: 1 is the first. Of a stream "
            "that is older than this count it counts from the upgrade.",
            ge=0,
        ),
    ]
    bridged: Annotated[int, Meta(description="Ticks since then that were rolled through without a reading.", ge=0)]
    state_age: Annotated[float, Meta(description="Seconds of event time since the first of those steps.")]
    experts: Annotated[
        dict[Speaker, dict[str, float | None]] | UnsetType | None,
        Meta(
            description="Where the fleet lists `horizons`: what each expert expects of the next step, the network's "
            "own forecast among them; null of a network that is not there. Null with `stale`."
        ),
    ] = UNSET
    totals: Annotated[
        dict[str, float | None] | UnsetType,
        Meta(description="Where the fleet has counters, what each stood at when `at` was measured."),
    ] = UNSET
    score: Annotated[
        Score | UnsetType | None,
        Meta(
            description="Where the fleet looks for anomalies: how strange the reading was. Null while too little is "
            "known to judge, for some time after a gap or a change of a set-point, and with `stale`."
        ),
    ] = UNSET

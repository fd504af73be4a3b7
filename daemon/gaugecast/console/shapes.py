"""What the API gives: the types that its OpenAPI document is made of. Times are Unix seconds UTC."""

from __future__ import annotations

import msgspec

from gaugecast.control.answers import CrossingRow, StreamRow
from gaugecast.scores import ExpertStatus
from gaugecast.status import Status


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer."""

    error: str


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon now, as `gaugecast status` tells it.

    Attributes:
        sentence: What it does, in one sentence.
        away: Why it does not answer; null where it does. `status` is then its last, if there was one.
        heard_at_s: When it answered last.
        ledger: Whether the ledger can be read.
    """

    sentence: str
    away: str | None = None
    heard_at_s: float | None = None
    ledger: str | None = None
    status: Status | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of one stream now.

    Attributes:
        predicted: What had been expected for the instant of `observed`; residual = observed − predicted.
        forecast: Expected at the next tick.
        surprise: Size of the residual, in mean absolute residuals of that feature in its fleet.
        quality: What is to be known of its forecasts.
        words: The same in words.
        crossing: The likeliest of its thresholds.
    """

    fleet: str
    stream: str
    feature: str
    unit: str
    step: int
    at_s: float
    observed: float | None = None
    predicted: float | None = None
    residual: float | None = None
    forecast: float | None = None
    skill: float | None = None
    surprise: float | None = None
    quality: list[str] = []
    words: str = "sure"
    crossing: CrossingRow | None = None
    crossing_words: str = ""


class StreamsView(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the order that was asked for.

    Attributes:
        total: Rows that match, shown or not.
        streams: Streams of all fleets.
        quality: How many rows have each quality, whatever is searched for.
    """

    rows: list[Cell]
    total: int
    streams: int
    fleets: list[str]
    quality: dict[str, int] = {}
    as_of_s: float | None = None


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of all, and of how many."""

    rows: list[Cell]
    total: int


class SparksView(msgspec.Struct, frozen=True, kw_only=True):
    """By stream and feature the last values, oldest first; null where one was absent."""

    sparks: dict[str, dict[str, list[float | None]]]


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    """One stream now: a row a feature, with the path ahead and its intervals.

    Attributes:
        crossing_words: What is foretold of its thresholds now.
    """

    rows: list[StreamRow]
    period_s: float
    words: str
    crossing_words: list[str] = []


class SeriesView(msgspec.Struct, frozen=True, kw_only=True):
    """One feature's past by column, oldest first. Where a gap is, all columns are null at an instant within it.

    Attributes:
        expected: The forecast that had been made for that instant.
        lower, upper: Its narrowest interval, as far as the console has watched the stream: the ledger keeps none.
        quality: What was to be known of that forecast; as far as `lower`.
        readings: In the stretch; where they are more than points, of each bucket the least, the greatest and the worst
            forecast are kept.
        begins_s: The oldest reading that is shown; `reaches_back`: there are older ones.
        horizons_s: Of the fleet, for `horizon`.
    """

    unit: str
    period_s: float
    at_s: list[float]
    observed: list[float | None]
    expected: list[float | None]
    residual: list[float | None]
    lower: list[float | None]
    upper: list[float | None]
    quality: list[str | None]
    readings: int
    horizon_s: float
    horizons_s: list[float]
    reaches_back: bool = False


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """Weights on the disk.

    Attributes:
        role: `in_force`, `shadow`, `detector`, or null.
        skill: In the steps that it has had, over persistence.
        layers: Such as `64` or `32 + 16`.
    """

    fleet: str
    version: str
    role: str | None = None
    skill: float | None = None
    steps: float | None = None
    good: bool = False
    made_by: str = ""
    layers: str = ""
    stored_at_s: float | None = None


class ModelsView(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first, by fleet.

    Attributes:
        lessons: How far each fleet's learning is, in words.
        experts: By fleet, feature, horizon and expert: its share in what is published, and its own skill.
        away: Why no role is known.
    """

    models: list[ModelRow]
    learning: str = ""
    lessons: dict[str, str] = {}
    experts: dict[str, dict[str, dict[str, dict[str, ExpertStatus]]]] = {}
    skill_means: str = ""
    away: str | None = None


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A refused message; `payload` is text, `payload_base64` the exact first bytes."""

    number: int
    received_at_s: float
    fleet: str
    stream: str
    topic: str
    reason: str
    detail: str
    payload: str
    payload_base64: str


class RefusedView(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first.

    Attributes:
        by_reason: Of those that are kept.
        late, duplicate, not_ours: Readings that were passed over, since the daemon's start.
    """

    rows: list[RefusedRow]
    by_reason: dict[str, int]
    late: int | None = None
    duplicate: int | None = None
    not_ours: int | None = None


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One key; `value` and `default` as TOML has them, null where there is none."""

    key: str
    meaning: str
    value: str | None = None
    default: str | None = None
    set: bool = False


class SettingsTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the file.

    Attributes:
        in_force: Of a fleet: whether the daemon works with what stands here; null of others.
    """

    place: str
    about: str
    keys: list[Setting]
    in_force: bool | None = None


class ConfigView(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration file as it is read now."""

    source: str
    tables: list[SettingsTable]


class TriedReading(msgspec.Struct, frozen=True, kw_only=True):
    """A reading that the message is.

    Attributes:
        time_from: `payload` or `arrival`.
    """

    fleet: str
    stream: str
    at_s: float
    time_from: str
    values: dict[str, float | None]
    units: dict[str, str] = {}


class TriedRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why it, or a part of it, is refused."""

    reason: str
    detail: str
    fleet: str = ""
    stream: str = ""


class TryView(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of the message; nothing of it reaches the daemon."""

    verdict: str
    readings: list[TriedReading] = []
    refused: list[TriedRefusal] = []
    not_ours: int = 0


class AccessView(msgspec.Struct, frozen=True, kw_only=True):
    """What this viewer may do.

    Attributes:
        may_write: Change models and streams.
        can_write: Whether anybody may: there is a token for it.
    """

    may_write: bool
    can_write: bool


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon has taken the command; `done` says so in words."""

    done: str

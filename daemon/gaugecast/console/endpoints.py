"""The API: each question with its path, its types and what answers it; the OpenAPI document is made of this table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from gaugecast.console import acting, asked, telling, trying, views
from gaugecast.console import shapes as s
from gaugecast.console.event_shapes import EventsParams, EventsView
from gaugecast.console.explained import ExplainParams, ExplainView
from gaugecast.console.forecasting import ForecastBody, ForecastView
from gaugecast.console.looking_back import ReplayParams, ReplayView
from gaugecast.console.skill import SkillParams, SkillView
from gaugecast.console.views import World

PREFIX = "/api/v1"


class Endpoint(NamedTuple):
    """One question.

    Attributes:
        path: Behind `PREFIX`.
        about: In the document.
        asked: Type of the query's parameters, or of the body of a POST.
        answer: Type of the answer.
        act: Makes it; may wait for disk and daemon.
        writes: It changes something, and needs a token that may.
    """

    path: str
    about: str
    asked: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    act: Callable[[World, Any], msgspec.Struct]
    method: str = "GET"
    writes: bool = False


def _get(
    path: str, asked: type[msgspec.Struct], answer: type[msgspec.Struct], act: Callable[..., Any], about: str
) -> Endpoint:
    return Endpoint(path, about, asked, answer, act)


def _change(path: str, asked: type[msgspec.Struct], act: Callable[..., Any], about: str) -> Endpoint:
    return Endpoint(path, about, asked, s.Done, act, "POST", writes=True)


ENDPOINTS = (
    _get("/status", asked.Nothing, s.StatusView, views.status, "The daemon now; an answer, too, where it is away."),
    _get(
        "/streams",
        asked.StreamsParams,
        s.StreamsView,
        views.streams,
        "Active streams, a row a feature: searched, sorted, paged.",
    ),
    _get(
        "/stream",
        asked.StreamParams,
        s.StreamView,
        views.stream,
        "One stream now: the path ahead, intervals, crossings.",
    ),
    _get(
        "/series",
        asked.SeriesParams,
        s.SeriesView,
        views.series,
        "What was observed, and what had been expected of it.",
    ),
    _get(
        "/replay",
        ReplayParams,
        ReplayView,
        telling.replay,
        "What was forecast at an instant of the past, computed again and compared.",
    ),
    _get(
        "/explain",
        ExplainParams,
        ExplainView,
        telling.explain,
        "Why: what was known of a stream at an instant, how strange it was, the reason.",
    ),
    _get("/sparks", asked.SparksParams, s.SparksView, views.sparks, "The last values of some streams."),
    _get(
        "/crossings", asked.MostParams, s.Rows, views.crossings, "Crossings that are foretold now, the soonest first."
    ),
    _get("/events", EventsParams, EventsView, telling.events, "Anomalies and crossings, open and past, with reasons."),
    _get(
        "/surprises",
        asked.MostParams,
        s.Rows,
        views.surprises,
        "Readings that were forecast worst, in usual residuals.",
    ),
    _get("/models", asked.Nothing, s.ModelsView, views.models, "Weights, their roles and skill, how far learning is."),
    _get("/skill", SkillParams, SkillView, views.skill, "How well a fleet was forecast, stretch by stretch."),
    _get(
        "/refused",
        asked.RefusedParams,
        s.RefusedView,
        views.refused,
        "Messages that were refused, the newest first, and why.",
    ),
    _get("/config", asked.Nothing, s.ConfigView, trying.settings_view, "The configuration with what each key means."),
    Endpoint(
        "/try",
        "What would become of a message; it does not reach the daemon.",
        asked.TryBody,
        s.TryView,
        trying.attempt,
        "POST",
    ),
    Endpoint(
        "/forecast",
        "A forecast of a history of at most 2,000 readings that is sent along; the daemon is not asked.",
        ForecastBody,
        ForecastView,
        telling.forecast,
        "POST",
    ),
    _change("/models/promote", asked.FleetBody, acting.promote, "The weights on trial forecast from now on."),
    _change("/models/rollback", asked.FleetBody, acting.roll_back, "The last good weights forecast again."),
    _change("/models/shadow", asked.ShadowBody, acting.shadow, "Stored weights are on trial; they begin cold."),
    _change("/streams/reset", asked.StreamBody, acting.reset, "A stream begins anew; its statistics stay."),
    _change("/streams/rename", asked.RenameBody, acting.rename, "A stream goes on under another id."),
    _change("/streams/acknowledge", asked.StreamBody, acting.acknowledge, "Somebody knows of a stream's anomaly."),
    _change("/streams/silence", asked.SilenceBody, acting.silence, "A stream's anomalies are silenced for so long."),
    _change("/streams/forget", asked.StreamBody, acting.forget, "A stream whose sensor is gone is let go of."),
)

#: Paths of those that change something.
WRITING = frozenset(PREFIX + one.path for one in ENDPOINTS if one.writes)

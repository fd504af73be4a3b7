"""The API: each question with its path, its types and what answers it; the OpenAPI document is made of this table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from gaugecast.console import asked, trying, views
from gaugecast.console import shapes as s
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
    """

    path: str
    about: str
    asked: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    act: Callable[[World, Any], msgspec.Struct]
    method: str = "GET"


def _get(
    path: str, asked: type[msgspec.Struct], answer: type[msgspec.Struct], act: Callable[..., Any], about: str
) -> Endpoint:
    return Endpoint(path, about, asked, answer, act)


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
    _get("/sparks", asked.SparksParams, s.SparksView, views.sparks, "The last values of some streams."),
    _get(
        "/crossings", asked.MostParams, s.Rows, views.crossings, "Crossings that are foretold now, the soonest first."
    ),
    _get(
        "/surprises",
        asked.MostParams,
        s.Rows,
        views.surprises,
        "Readings that were forecast worst, in usual residuals.",
    ),
    _get("/models", asked.Nothing, s.ModelsView, views.models, "Weights, their roles and skill, how far learning is."),
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
)

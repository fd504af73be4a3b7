"""What a topic says by itself: whose it is, which features it brings, or that it is no business of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gaugecast.errors import DecodeError
from gaugecast.fleet import Fleet
from gaugecast.payloads.identity import Route, stream_id
from gaugecast.payloads.ours import Named, Where
from gaugecast.topics import Pattern, Template, filter_matches

#: Of the reader of a fleet's features that have no topic of their own.
ALL: Final = ""
_NONE: Mapping[str, str] = {}


class Readers(NamedTuple):
    """Where a fleet's readers are among the decoder's: by feature, by the topic of a feature, or of all.

    Attributes:
        quick: Those that may read the quick way.
    """

    places: Mapping[str, int]
    quick: frozenset[str]


class _Plan(NamedTuple):
    """All that is asked of a fleet for each new topic."""

    fleet: Fleet
    patterns: tuple[Pattern, ...]
    template: Template
    readers: Readers
    where: Where
    named: Named


class Router:
    """Finds the routes of topics. Owned by its decoder; remembers who brings what of fleets with several patterns."""

    def __init__(self, fleets: Sequence[tuple[Fleet, Readers]]) -> None:
        self._plans = [
            _Plan(
                fleet, tuple(map(Pattern.parse, fleet.subscribe)), Template.parse(fleet.stream), readers, Where(fleet),
                Named(fleet.features),
            )
            for fleet, readers in fleets
        ]  # fmt: skip
        self._bringers: dict[tuple[str, str, str], tuple[int, str]] = {}

    def forget(self) -> None:
        """Begin anew, as the routes do that were made."""
        self._bringers.clear()

    def find(self, topic: str) -> tuple[Route, list[str]]:
        """The route of a topic, and topics that must be routed again since this one comes before them."""
        try:
            topic.encode()
        except UnicodeEncodeError:
            return Route(-1, "", {}, DecodeError("not_utf8", "expected a topic in UTF-8")), []
        outdone: list[str] = []
        routes = [route for plan in self._plans if (route := self._of_plan(plan, topic, outdone)) is not None]
        if not routes:
            route = self._beside(topic)
            if route is not None:
                return route, []
            return Route(-1, "", {}, DecodeError("unknown_topic", "no fleet's `subscribe` matches this topic")), []
        first, *others = [route for route in routes if route.ours] or routes[:1]
        return (first._replace(others=tuple(others), quick=False) if others else first), outdone

    def _beside(self, topic: str) -> Route | None:
        """A topic that the broker sends since our filters know whole levels only: not ours, of the first such fleet."""
        for plan in self._plans:
            if any(filter_matches(pattern.filter, topic) for pattern in plan.patterns):
                return Route(next(iter(plan.readers.places.values())), "", {}, ours=False)
        return None

    def _of_plan(self, plan: _Plan, topic: str, outdone: list[str]) -> Route | None:
        for order, pattern in enumerate(plan.patterns):
            captures = pattern.match(topic)
            if captures is not None:
                return self._of_match(plan, topic, captures, order, outdone)
        return None

    def _of_match(self, plan: _Plan, topic: str, captures: dict[str, str], order: int, outdone: list[str]) -> Route:
        fleet, places = plan.fleet, plan.readers.places
        name = plan.patterns[order].text
        if name not in places:
            name = plan.named.feature_of(captures[fleet.feature_capture]) if fleet.feature_capture else ALL
        ignored = any(filter_matches(each, topic) for each in fleet.ignore)
        if name not in places or ignored or not plan.where.topic_is_ours(captures):
            return Route(next(iter(places.values())), "", captures, ours=False)
        try:
            stream = "" if plan.template.paths else stream_id(fleet, plan.template, captures=captures)
            if fleet.feature_capture and len(plan.patterns) > 1 and not plan.template.paths:
                self._claim((fleet.name, stream, name), (order, topic), outdone)
        except DecodeError as exc:
            return Route(places[name], "", captures, exc)
        # Whoever has the id needs no captures; thousands of topics are remembered.
        return Route(places[name], stream, _NONE if stream else captures, quick=name in plan.readers.quick)

    def _claim(self, what: tuple[str, str, str], by: tuple[int, str], outdone: list[str]) -> None:
        """One topic brings a feature of a stream: that of the first pattern, whatever order they come in."""
        before = self._bringers.setdefault(what, by)
        if before[1] == by[1]:
            return
        if by >= before:
            raise DecodeError(
                "two_topics", f"{before[1][:80]} brings {what[2]} of {what[1]}, too; give the features names of their "
                'own: topic = "…" in each'
            )  # fmt: skip
        self._bringers[what] = by
        outdone.append(before[1])

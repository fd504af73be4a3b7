"""By which names the numbers of a step go in shapes that have no place for structure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gaugecast.config.saying import spans_of
from gaugecast.fleet import Fleet
from gaugecast.outputs.told import Texts
from gaugecast.shapes import Side, bound_name, forecast_name, level_names, residual_name, score_name

_SIDES: tuple[tuple[int, Side], ...] = ((0, "low"), (1, "high"))


class Naming:
    """The names of one fleet's numbers, with where they are to be found."""

    def __init__(self, fleet: Fleet) -> None:
        self.features = [feature.name for feature in fleet.forecast_features]
        self.spans = spans_of(fleet)
        self._levels = level_names(fleet.intervals)

    def now(self, texts: Texts, g: int) -> Iterator[tuple[str, Sequence[bytes]]]:
        """What is said of the step itself: the value, by how much it was missed, and how strange that is."""
        yield self.features[g], texts.observed(g)
        yield residual_name(self.features[g]), texts.residual(g)
        if texts.scored:
            yield score_name(self.features[g]), texts.score(g)

    def ahead(self, texts: Texts, h: int, g: int, *, span: str) -> Iterator[tuple[str, Sequence[bytes]]]:
        """What is said of one horizon; `span` is part of the names."""
        feature = self.features[g]
        yield forecast_name(feature, span), texts.forecast(h, g)
        for k, level in enumerate(self._levels):
            for side, word in _SIDES:
                yield bound_name(feature, word, level=level, span=span), texts.bound(h, g, level=k, side=side)

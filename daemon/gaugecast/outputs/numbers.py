"""One number a topic: a forecast of one feature at one horizon, and nothing else."""

from __future__ import annotations

from gaugecast.config.saying import spans_of
from gaugecast.fleet import Fleet
from gaugecast.forecast.templates import HOLE
from gaugecast.outputs.told import Messages, Texts, Told
from gaugecast.shapes import Shape, number_topic
from gaugecast.topics import output_topic


class NumberWriter:
    """Writes for one fleet and shape."""

    def __init__(self, fleet: Fleet, shape: Shape) -> None:
        self._topics = [
            [
                output_topic(number_topic(shape.topic, feature.name, span), fleet.name, HOLE).split(HOLE)
                for feature in fleet.forecast_features
            ]
            for span in spans_of(fleet)
        ]

    def messages(self, told: Told) -> Messages:
        """A message for each number that is known."""
        texts = Texts(told)
        columns = [
            (topic, texts.forecast(h, g)) for h, topics in enumerate(self._topics) for g, topic in enumerate(topics)
        ]
        found = [
            (row, stream.join(topic), column[row])
            for row, stream in enumerate(told.streams)
            for topic, column in columns
            if column[row]
        ]
        return Messages([row for row, _, _ in found], [topic for _, topic, _ in found], [body for _, _, body in found])

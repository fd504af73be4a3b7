"""A pipeline for one history that somebody sends: the fleet as it is configured, with the weights in force."""

from __future__ import annotations

from pathlib import Path

from gaugecast.config.schema import Loop
from gaugecast.console.forecasting import STREAM, Made
from gaugecast.control import StreamsQuery
from gaugecast.errors import WrongUse
from gaugecast.fleet import Fleet
from gaugecast.pipeline.solo import SoloPipeline
from gaugecast.records import Input
from gaugecast.service.replaying import model_in_force
from gaugecast.service.reports import stream_rows


class Forecasts:
    """Whoever asks begins with a new stream. Nothing is kept between two questions.

    Args:
        directory: Of a daemon that runs or does not; it is only read.
        limits: As the daemon has them.
    """

    def __init__(self, directory: Path, limits: Loop) -> None:
        self._directory, self._limits = directory, limits

    def __call__(self, fleet: Fleet, readings: list[Input]) -> Made:
        """What is said behind the last of the readings.

        Raises:
            WrongUse: The weights in force need TensorFlow.
            ModelError: They cannot be read.
        """
        model = model_in_force(self._directory, fleet)
        if model is not None and model.manifest.engine != "numpy":
            raise WrongUse(f"the model of fleet {fleet.name} needs TensorFlow, which the console does not load")
        solo = SoloPipeline([(fleet, model)], self._limits)
        verdicts = solo.advance(readings).verdicts if readings else []
        rows, _ = stream_rows(solo.whole, StreamsQuery(fleet=fleet.name, stream=STREAM, limit=1, ahead=True))
        return Made(rows, None if model is None else model.manifest.version, verdicts)

"""A stream's steps once more, from a checkpoint before them: what was forecast then, also what was not kept of it."""

from __future__ import annotations

from pathlib import Path

from gaugecast.config.schema import Loop
from gaugecast.console.looking_back import MOST_STEPS, Again
from gaugecast.control import StreamsQuery
from gaugecast.control.answers import StreamRow
from gaugecast.pipeline import Pipeline
from gaugecast.service.one_stream import Held, OneStream
from gaugecast.service.opening import open_models, open_reader
from gaugecast.service.reports import stream_rows


class LookingBack:
    """Steps of single streams again.

    Args:
        directory: Of a daemon that runs or does not; it is only read.
        limits: As the daemon has them.
    """

    def __init__(self, directory: Path, limits: Loop) -> None:
        self._directory, self._limits = directory, limits

    def __call__(self, fleet: str, stream: str, from_ns: int, to_ns: int) -> Again:
        """The newest `MOST_STEPS` steps between two event times; where there is none, the last one before.

        Raises:
            WrongUse: No checkpoint is kept from which that is not too far.
            StorageError: The ledger cannot be read.
        """
        with open_reader(self._directory) as ledger:
            one = OneStream.find(ledger, fleet, stream, from_ns=from_ns, to_ns=to_ns, most=MOST_STEPS)
            if one is None:
                return Again([])
            pipeline, seq, _ = one.restore(self._directory, self._new_pipeline, far=False)
            steps, held = list[list[StreamRow]](), Held(ledger, one)
            for given, at in one.steps(pipeline, seq):
                held.take(pipeline, given, at)
                rows, _ = stream_rows(pipeline, StreamsQuery(fleet=fleet, limit=1, ahead=True))  # it is the only one
                if rows and (not steps or steps[-1][0].step != rows[0].step):
                    steps.append(rows)
            return Again(steps, held.compared, held.differing, held.elsewhere)

    def _new_pipeline(self) -> Pipeline:
        return Pipeline(self._limits, open_models(self._directory).load)

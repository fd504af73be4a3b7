"""Wires the learner process to ledger, checkpoints, weights and the loop's control socket."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from gaugecast.config.schema import Settings
from gaugecast.control import SOCKET_NAME, call
from gaugecast.errors import ModelError, StorageError
from gaugecast.learn.ports import History
from gaugecast.learn.process import LearnerProcess, wait_for_ledger
from gaugecast.ledger import checkpoints
from gaugecast.ledger.reader import LedgerReader
from gaugecast.pipeline import Pipeline, state
from gaugecast.service.models import ModelStore
from gaugecast.streams.snapshot import Slice

_NICE = 10


def learn(settings: Settings) -> None:
    """Run the learner until SIGTERM or SIGINT."""
    directory = settings.storage.directory

    def open_history(pipeline: Pipeline) -> tuple[History, int]:
        reader = LedgerReader(directory)
        checkpoint = checkpoints.newest(directory, upto_seq=reader.last_seq)
        if checkpoint is None:
            return reader, max(0, reader.first_seq - 1)
        with checkpoint:
            try:
                state.restore(pipeline, checkpoint.header, (Slice(*chunk) for chunk in checkpoint.chunks()))
            except (StorageError, ModelError):
                return reader, max(0, reader.first_seq - 1)
            return reader, checkpoint.seq

    def ask(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return call(directory / SOCKET_NAME, request, timeout_s=10.0)

    process = LearnerProcess(settings, history=open_history, store=ModelStore(directory), ask=ask)

    def stop(*_: object) -> None:
        process.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    os.nice(_NICE)
    wait_for_ledger(directory, process)
    process.run()

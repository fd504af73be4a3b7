"""Wires the learner process to ledger, checkpoints, weights and the loop's control socket."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gaugecast.config.schema import Settings
from gaugecast.control import SOCKET_NAME, call
from gaugecast.errors import AlreadyRunning, ConfigError, Defect, GaugecastError, StorageError
from gaugecast.fleet import Fleet
from gaugecast.learn.online.ports import NewPipeline
from gaugecast.learn.online.process import POLL_S, LearnerProcess
from gaugecast.ledger.reads import Reader
from gaugecast.logs import get
from gaugecast.loop.recovery import restore_newest
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.service.children import end_with
from gaugecast.service.learning_mode import INSTALL, has_tensorflow
from gaugecast.service.opening import open_reader
from gaugecast.service.warming import warm
from gaugecast.storage.lock import LEARNER_FILE_NAME, StateLock
from gaugecast.storage.models import ModelStore

log = get("gaugecast.learn")

_NICE = 10
_ASK_S = 10.0
#: After SIGTERM a compilation may hold the main thread for longer than anybody waits.
_END_S = 1.0
#: Weights are not written where less would be left for the ledger.
_RESERVE_BYTES = 128 << 20
_T = TypeVar("_T")


class Stopping:
    """Set by SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self.process: LearnerProcess | None = None
        self.asked = False

    def ask(self) -> None:
        """Let it end."""
        self.asked = True
        if self.process is not None:
            self.process.stopping = True


def learn(settings: Settings, *, parent: int | None = None) -> None:
    """Run the learner until SIGTERM or SIGINT.

    Args:
        settings: Of the daemon.
        parent: Process id of the daemon whose child we are; we end with it.

    Raises:
        ConfigError: TensorFlow is not installed.
    """
    if not has_tensorflow():
        raise ConfigError(f"learning is not possible: TensorFlow is not installed ({INSTALL})")
    directory = settings.storage.directory
    stopping = Stopping()
    _watch_signals(stopping)
    if parent is not None and not end_with(parent):
        return
    os.nice(_NICE)
    reader = _wait_for(lambda: _open_ledger(directory), stopping)
    lock = _wait_for(lambda: _take_lock(directory), stopping)
    if reader is None or lock is None:
        return
    store = ModelStore(directory, reserve_bytes=_RESERVE_BYTES)

    def restore(new: NewPipeline) -> tuple[Pipeline, int]:
        return _restore_newest(directory, reader, new)

    def ask(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return call(directory / SOCKET_NAME, request, timeout_s=_ASK_S)

    def remember(fleet: str, version: str, chunks: list[bytes]) -> None:
        store.leave_memory(fleet, version, chunks)

    def warm_all(fleet: Fleet, model: Model) -> list[bytes]:
        return warm(directory, settings.loop, fleet, model, most=settings.learning.history)

    process = LearnerProcess(
        settings,
        reader=reader,
        restore=restore,
        store=store,
        ask=ask,
        remember=remember,
        warm=warm_all,
    )
    stopping.process, process.stopping = process, stopping.asked
    try:
        process.run()
    except GaugecastError:
        raise
    except Exception as exc:  # TensorFlow's traces have sixty lines and more: one says where, the rest is its own
        raise Defect(f"the learner died: {type(exc).__name__}: {_first_line(exc)} ({_where(exc)})") from exc
    log.info("stopped")


def _first_line(exc: Exception) -> str:
    return next(iter(str(exc).splitlines()), "")[:300]


def _where(exc: Exception) -> str:
    """The last places of ours on the way to where it was raised, the innermost first."""
    ours = [one for one in traceback.extract_tb(exc.__traceback__) if "gaugecast" in one.filename]
    return ", called from ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(ours[-3:]))


def _restore_newest(directory: Path, reader: Reader, new: NewPipeline) -> tuple[Pipeline, int]:
    """From the newest checkpoint that can be used, else an empty pipeline before the ledger's first input."""
    pipeline, seq, passed_over = restore_newest(directory, new, upto_seq=reader.last_seq)
    for why in passed_over:
        log.warning("checkpoint", note=why)
    return pipeline, max(seq, reader.first_seq - 1)


def _wait_for(attempt: Callable[[], _T | None], stopping: Stopping) -> _T | None:
    """Try until there is something; `None` where we were asked to stop."""
    while not stopping.asked:
        found = attempt()
        if found is not None:
            return found
        time.sleep(10 * POLL_S)
    return None


def _open_ledger(directory: Path) -> Reader | None:
    """The ledger, once the daemon has made it whole."""
    try:
        return open_reader(directory)
    except StorageError:
        return None


def _take_lock(directory: Path) -> StateLock | None:
    """One learner for a state directory; the lock is held until the process ends, however it ends."""
    try:
        return StateLock(directory, LEARNER_FILE_NAME)
    except AlreadyRunning:
        return None


def _watch_signals(stopping: Stopping) -> None:
    """Ask to stop at once, and end `_END_S` later whatever the main thread does.

    A handler in Python runs only between two bytecodes of the main thread, which compiles for seconds in one call;
    so a thread waits for the byte that the C handler writes.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        while ours.recv(1)[0] not in (signal.SIGTERM, signal.SIGINT):
            pass
        stopping.ask()
        time.sleep(_END_S)
        theirs.close()
        os._exit(0)

    threading.Thread(target=wait, name="signals", daemon=True).start()

"""Everything that gaugecast raises on purpose, and the exit code that each kind ends the process with."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a gaugecast process ends; systemd restarts all but `FENCED` and `CONFIG`."""

    ASKED = 0
    NO = 1
    USAGE = 2
    UNAVAILABLE = 69
    DEFECT = 70
    STORAGE = 74
    FENCED = 76
    CONFIG = 78
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """For people: pages, manual and help say the same."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.ASKED: "done; of the daemon: asked to stop",
    ExitCode.NO: "of commands that answer a question: no (`status`: it does not forecast; `replay`: messages differ)",
    ExitCode.USAGE: "the command line is wrong: no such command or option, or a value that it does not take",
    ExitCode.UNAVAILABLE: "of commands: no daemon answers, or it refuses; a broker cannot be reached",
    ExitCode.DEFECT: "a defect, or another client took one of our client ids, or another process our HTTP port",
    ExitCode.STORAGE: "storage failed, or the state directory cannot be written",
    ExitCode.FENCED: "another process has taken over this ledger, which is in PostgreSQL",
    ExitCode.CONFIG: "bad configuration, or the state directory is in use",
    ExitCode.INTERRUPTED: "of `train` and `tune`: ended by Ctrl-C; what was learned so far is kept",
}


class GaugecastError(Exception):
    """Root of what gaugecast raises on purpose. The message says what was expected and what came."""

    exit_code: ExitCode = ExitCode.DEFECT


class ConfigError(GaugecastError):
    """The configuration cannot be used; the message names the file, the table, the key and the mend."""

    exit_code = ExitCode.CONFIG


class WrongUse(GaugecastError):
    """What a command was given to work on is not what it takes; the message says what to give instead."""

    exit_code = ExitCode.USAGE


class ModelError(GaugecastError):
    """A weights file or manifest is damaged, unsafe, or does not fit its fleet."""

    exit_code = ExitCode.CONFIG


class StorageError(GaugecastError):
    """The ledger or a checkpoint cannot be written or read, and trying again would be a lie."""

    exit_code = ExitCode.STORAGE


class StorageFull(StorageError):
    """No space is left for a commit. The caller keeps the same rows and commits them again later."""


class StorageBusy(StorageError):
    """Another process holds the lock, or a database is away. The caller keeps the same rows, to commit them again."""


class Fenced(StorageError):
    """Another process has taken the next token of this ledger: nothing of ours may be written any more."""

    exit_code = ExitCode.FENCED


class StorageDamaged(StorageError):
    """Rows or pages are not those that were written. What was asked for cannot be had; what lies elsewhere can."""


class AlreadyRunning(GaugecastError):
    """A second daemon was started on a state directory that is in use."""

    exit_code = ExitCode.CONFIG


class SessionTaken(GaugecastError):
    """Another client uses our client id. The service manager tries again, so that a passing mistake heals."""

    exit_code = ExitCode.DEFECT


class AddressTaken(GaugecastError):
    """The address for HTTP is in use or not this machine's. The service manager tries again, as with `SessionTaken`."""

    exit_code = ExitCode.DEFECT


class Unreachable(GaugecastError):
    """No daemon answers where one was asked."""

    exit_code = ExitCode.UNAVAILABLE


class CommandRefused(GaugecastError):
    """The running daemon will not do what it was asked; the message is its own."""

    exit_code = ExitCode.UNAVAILABLE


class Defect(GaugecastError):
    """A self-test or an invariant failed: the process must not go on."""

    exit_code = ExitCode.DEFECT


class DecodeError(GaugecastError):
    """A payload that is not a reading; `reason` comes from `records.REJECT_REASONS` and labels the metric."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

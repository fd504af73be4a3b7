"""Where the ledger of a state directory is, if it is not in it: a note, for whoever has no configuration."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gaugecast.errors import StorageError
from gaugecast.files import write_whole

FILE_NAME = "ledger.elsewhere"


class Elsewhere(msgspec.Struct, frozen=True):
    """A database; as `[storage] postgres` and `postgres_schema`."""

    url: str
    schema: str


def read(directory: Path) -> Elsewhere | None:
    """Where the ledger is; `None` = in the directory.

    Raises:
        StorageError: The note cannot be read.
    """
    try:
        return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=Elsewhere)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as exc:
        raise StorageError(f"{directory / FILE_NAME}: expected a note of where the ledger is: {exc}") from exc


def note(directory: Path, place: Elsewhere) -> None:
    """Note it, where it is not noted yet.

    Raises:
        OSError: The directory cannot be written.
    """
    if read(directory) == place:
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(directory / FILE_NAME, msgspec.json.encode(place))

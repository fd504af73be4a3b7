"""Which configuration file is meant, and what can still be read of one that is wrong."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from gaugecast.config.environment import PREFIX
from gaugecast.config.schema import Http, Storage
from gaugecast.errors import ConfigError

VARIABLE = "GAUGECAST_CONFIG"
NAME = "gaugecast.toml"
SYSTEM_PATH = Path("/etc/gaugecast") / NAME
#: For help texts: the order of `find_config`.
PLACES = f"${VARIABLE}, ./{NAME}, {SYSTEM_PATH}"


class Whereabouts(NamedTuple):
    """Where a daemon would be found: its state directory and its HTTP address."""

    directory: Path
    http: Http


def find_config(given: Path | None, environ: Mapping[str, str], *, system_path: Path = SYSTEM_PATH) -> Path:
    """`given`, else what `GAUGECAST_CONFIG` names, else ./gaugecast.toml, else /etc/gaugecast/gaugecast.toml.

    The first two are taken at their word: that such a file is absent is for whoever reads it to say.

    Raises:
        ConfigError: None was named, and none is there.
    """
    if given is not None:
        return given
    if named := environ.get(VARIABLE):
        return Path(named)
    for path in (Path(NAME), system_path):
        if os.path.lexists(path):
            return path
    raise ConfigError(
        f"no configuration file: expected one named by -c FILE or {VARIABLE}, or {NAME} in {Path.cwd()}, or "
        f"{system_path}; `gaugecast init` writes one"
    )


def salvage(path: Path, environ: Mapping[str, str]) -> Whereabouts:
    """Where the daemon would be that `path`, which is wrong somewhere, speaks of; what cannot be read is as usual.

    Raises:
        OSError: The file cannot be read at all.
    """
    tables = _read_line_by_line(path.read_text(encoding="utf-8", errors="replace"))
    storage, http = tables.get("storage", {}), tables.get("http", {})
    if f"{PREFIX}STORAGE__DIRECTORY" in environ:
        storage["directory"] = environ[f"{PREFIX}STORAGE__DIRECTORY"]
    return Whereabouts(
        path.resolve().parent / _value(Storage, storage, "directory").expanduser(),
        Http(host=_value(Http, http, "host"), port=_value(Http, http, "port")),
    )


def _read_line_by_line(text: str) -> dict[str, dict[str, Any]]:
    """The keys of plain tables whose lines are right, each for itself."""
    tables: dict[str, dict[str, Any]] = {}
    here: dict[str, Any] = {}
    for line in text.splitlines():
        try:
            found = tomllib.loads(line)
        except tomllib.TOMLDecodeError:
            continue
        if line.lstrip().startswith("["):
            here = tables.setdefault(next(iter(found), ""), {})
        else:
            here.update(found)
    return tables


def _value(table: type[Storage | Http], said: Mapping[str, Any], key: str) -> Any:
    """What the file says, if the schema takes it; else the default."""
    try:
        return getattr(table.model_validate({key: said[key]}), key)
    except (KeyError, ValidationError):
        return table.model_fields[key].default

"""From file and environment to `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from gaugecast.config.environment import EnvironmentSource, read_overrides
from gaugecast.config.explain import explain
from gaugecast.config.fleet_table import FleetTable
from gaugecast.config.schema import Mqtt, Settings
from gaugecast.config.table import Table
from gaugecast.config.toml_text import read_toml
from gaugecast.config.walk import is_named, kinds_of, table_of
from gaugecast.errors import ConfigError

AnyTable = TypeVar("AnyTable", bound=Table)
CREDENTIALS = ("$CREDENTIALS_DIRECTORY/", "${CREDENTIALS_DIRECTORY}/")


class _AnyFleets(Settings):
    """A file that names a broker, and perhaps nothing else."""

    fleet: dict[str, FleetTable] = Field(default={})


def load_broker(path: Path, environ: Mapping[str, str]) -> Mqtt:
    """The broker of a file that need not have fleets yet.

    Raises:
        ConfigError: As `load_settings`.
    """
    return _load(path, environ, _AnyFleets).mqtt


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the TOML file at `path`; `GAUGECAST_TABLE__KEY` in `environ` overrides it.

    Relative paths count from the file's directory; `$CREDENTIALS_DIRECTORY/` is systemd's.

    Raises:
        ConfigError: One line a fault, each with file, table, key, what was expected, what came and the mend.
    """
    return _load(path, environ, Settings)


def _load(path: Path, environ: Mapping[str, str], kind: type[Settings]) -> Settings:
    overrides = read_overrides(environ, Settings, read_toml(path))

    class Sources(kind, BaseSettings):  # type: ignore[valid-type, misc]
        model_config = SettingsConfigDict(extra="forbid", frozen=True)

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = TomlConfigSettingsSource(settings_cls, path)
            return EnvironmentSource(settings_cls, overrides), file

    try:
        loaded = Sources()  # the sources give all
    except ValidationError as exc:
        raise ConfigError(
            explain(exc, Settings, str(path), {keys: override.variable for keys, override in overrides.items()})
        ) from exc
    plain = kind(**{name: getattr(loaded, name) for name in Settings.model_fields})
    return _anchored(plain, path.resolve().parent, environ).read_from(str(path))


def _anchored(table: AnyTable, directory: Path, environ: Mapping[str, str]) -> AnyTable:
    """The same table with its paths made absolute."""
    changed: dict[str, Any] = {}
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, Path):
            changed[name] = _absolute(value, directory, environ)
        elif isinstance(value, Table):
            changed[name] = _anchored(value, directory, environ)
    return table.model_copy(update=changed)


def _absolute(path: Path, directory: Path, environ: Mapping[str, str]) -> Path:
    """Outside of the unit there is no credentials directory; such a path stays as written, and missing."""
    for prefix in CREDENTIALS:
        if str(path).startswith(prefix):
            credentials = environ.get("CREDENTIALS_DIRECTORY")
            return Path(credentials) / str(path)[len(prefix) :] if credentials else path
    return directory / path.expanduser()


def absolute_tables(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The tables that the file at `path` says, and no defaults, with its paths made absolute.

    They mean the same in a file elsewhere.

    Raises:
        ConfigError: As `read_toml`.
    """
    return _said(read_toml(path), Settings, path.resolve().parent, environ)


def _said(raw: Mapping[str, Any], kind: type[BaseModel], directory: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    said = dict(raw)
    for name, field in kind.model_fields.items():
        value, inner = said.get(name), table_of(field)
        if isinstance(value, dict) and inner is not None and not is_named(field):
            said[name] = _said(value, inner, directory, environ)
        elif isinstance(value, str) and Path in kinds_of(field):
            said[name] = value if value.startswith(CREDENTIALS) else str(_absolute(Path(value), directory, environ))
    return said

"""Overrides from the environment: `GAUGECAST_MQTT__HOST=broker`, `GAUGECAST_FLEET__TANKS__PERIOD=5s`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gaugecast.config.explain import SECRET_WORDS, secret_refusal
from gaugecast.config.walk import is_named, is_text, nearest, table_of
from gaugecast.errors import ConfigError

PREFIX = "GAUGECAST_"
DELIMITER = "__"
#: Not settings: the command line's own, the simulators' data sets, and switches of the test suite.
NOT_SETTINGS = ("GAUGECAST_CONFIG", "GAUGECAST_LOG_FORMAT", "GAUGECAST_DATA", "GAUGECAST_BIN", "GAUGECAST_TEST_")

Keys = tuple[str, ...]


class Override(NamedTuple):
    """One value from the environment, and the variable that set it."""

    variable: str
    value: Any


class EnvironmentSource(PydanticBaseSettingsSource):
    """Settings from environment variables, names of fleets and features included.

    The source of pydantic-settings lowers all names, so that `[fleet.Tanks]` could not be reached, and
    drops variables that it does not know.
    """

    def __init__(self, settings: type[BaseSettings], overrides: Mapping[Keys, Override]) -> None:
        super().__init__(settings)
        self._overrides = overrides

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Part of the interface; this source gives all values at once."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """All overrides as nested tables."""
        tables: dict[str, Any] = {}
        for keys, override in self._overrides.items():
            _put(tables, keys, override.value)
        return tables


def read_overrides(
    environ: Mapping[str, str], settings: type[BaseModel], written: Mapping[str, Any]
) -> dict[Keys, Override]:
    """What `environ` sets, by the keys that it sets.

    Args:
        written: The file's tables, for the names of fleets and features.

    Raises:
        ConfigError: A variable names no setting.
    """
    overrides = {}
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and not variable.startswith(NOT_SETTINGS):
            keys, field = locate(variable, settings, written)
            overrides[keys] = Override(variable, _value(field, environ[variable]))
    return overrides


def locate(variable: str, settings: type[BaseModel], written: Mapping[str, Any]) -> tuple[Keys, FieldInfo]:
    """The keys that a variable names, spelled as in the schema and in the file, and the field at their end.

    Raises:
        ConfigError: There is no such setting, or it is a whole table.
    """
    words = variable.removeprefix(PREFIX).split(DELIMITER)
    keys: list[str] = []
    table: type[BaseModel] = settings
    here: Any = written
    while words:
        word = words.pop(0)
        if word.lower() in SECRET_WORDS:
            raise ConfigError(f"environment variable {variable}: {secret_refusal(word.lower())}")
        name = _spelled(word, table.model_fields)
        if name is None:
            raise _unknown(variable, keys, word, table)
        field = table.model_fields[name]
        keys.append(name)
        here = here.get(name) if isinstance(here, Mapping) else None
        inner = table_of(field)
        if inner is None and not words:
            return tuple(keys), field
        if inner is None or not words:
            break
        if is_named(field):
            word = words.pop(0)
            chosen = _spelled(word, here if isinstance(here, Mapping) else {}) or word.lower()
            keys.append(chosen)
            here = here.get(chosen) if isinstance(here, Mapping) else None
        table = inner
    raise ConfigError(
        f"environment variable {variable}: expected the name of one key, got {'.'.join(keys)}"
        + (", which is a table" if not words else f", which has no part {words[0]!r}")
    )


def _spelled(word: str, names: Mapping[str, Any]) -> str | None:
    """The name that the variable means; a shell allows neither lower case by custom nor `-`."""
    folded = word.lower().replace("-", "_")
    return next((name for name in names if name.lower().replace("-", "_") == folded), None)


def _unknown(variable: str, keys: list[str], word: str, table: type[BaseModel]) -> ConfigError:
    near = nearest(word, table.model_fields)
    place = f"[{'.'.join(keys)}]" if keys else "the configuration"
    if near is None:
        return ConfigError(
            f"environment variable {variable}: {place} has no key {word.lower()!r}; "
            f"it has {', '.join(table.model_fields)}"
        )
    meant = PREFIX + DELIMITER.join([*keys, near]).upper()
    return ConfigError(f"environment variable {variable}: {place} has no key {word.lower()!r}; did you mean {meant}?")


def _value(field: FieldInfo, text: str) -> Any:
    """Lists, numbers and booleans are JSON; what is not JSON is left to the schema's own complaint."""
    if is_text(field):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(tables: dict[str, Any], keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        tables = tables.setdefault(key, {})
    tables[keys[-1]] = value

"""Command-line options made from a table of the configuration: one schema, both ways in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gaugecast.config.template import bounds_text, default_text
from gaugecast.config.walk import kinds_of


def with_options(table: type[BaseModel], command: Callable[..., None], *, panel: str) -> Callable[..., None]:
    """`command` with an option for each key of `table`; it gets the given ones as `options`, raw, by key.

    Args:
        table: Keys, types, defaults and descriptions.
        command: Takes `options: dict[str, str | bool]` as its last argument.
        panel: Heading over the options in --help.
    """
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "options"]
    made = [_parameter(key, field, panel) for key, field in table.model_fields.items()]

    def run(**given: Any) -> None:
        options = {key: given.pop(key) for key in table.model_fields}
        command(**given, options={key: value for key, value in options.items() if value is not None})

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    run.__signature__ = inspect.Signature([*own, *made])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*own, *made]}
    return run


def split_names(text: str) -> tuple[str, ...]:
    """What stands between commas, without blanks and what is empty."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_options(table: type[BaseModel], options: dict[str, str | bool]) -> dict[str, Any]:
    """Raw options as the table takes them: lists are split at commas, the rest is left to the table."""
    parsed: dict[str, Any] = {}
    for key, value in options.items():
        if _is_list(table.model_fields[key]) and isinstance(value, str):
            parsed[key] = list(split_names(value))
        else:
            parsed[key] = value
    return parsed


def _parameter(key: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    name = key.replace("_", "-")
    switch = bool in kinds_of(field)
    flags = [f"--{name}/--no-{name}"] if switch else [f"--{name}"]
    option = typer.Option(
        *flags,
        help=f"{_sentence(field)}{bounds_text(field)}{_default(field)}",
        metavar=None if switch else _metavar(field),
        rich_help_panel=panel,
        show_default=False,
    )
    kind: Any = bool if switch else str
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _sentence(field: FieldInfo) -> str:
    text = field.description or ""
    return text[:1].upper() + text[1:]


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default == []:
        return ""
    text = default_text(field).strip("[]").replace('"', "")
    return f" [default: {text}]"


def _metavar(field: FieldInfo) -> str:
    if any(get_origin(kind) is Literal for kind in kinds_of(field)):
        return "WORD"
    if _is_list(field):
        return "N,N,…"
    return "N" if int in kinds_of(field) else "X" if float in kinds_of(field) else "TEXT"


def _is_list(field: FieldInfo) -> bool:
    return any(get_origin(kind) is list for kind in kinds_of(field))

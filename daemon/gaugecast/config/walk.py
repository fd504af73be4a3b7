"""From a key's place in the file to its field in the schema; shared by errors, environment and template."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The table that a field holds: itself, optionally, or one a name (`dict[str, Table]`)."""
    for kind in kinds_of(field):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        if get_origin(kind) is dict:
            inner = get_args(kind)[1]
            return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
    return None


def is_named(field: FieldInfo) -> bool:
    """Whether a field holds tables under names of the user's choice, `[fleet.NAME]`."""
    return any(get_origin(kind) is dict for kind in kinds_of(field))


def is_text(field: FieldInfo) -> bool:
    """Whether a value from the environment is to be taken as it is."""
    return any(
        kind in (str, Path) or (get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind)))
        for kind in kinds_of(field)
    )


def kinds_of(field: FieldInfo) -> list[Any]:
    """The members of a field's annotation without `None`."""
    annotation = field.annotation
    if get_origin(annotation) in (types.UnionType, typing.Union):
        return [kind for kind in get_args(annotation) if kind is not type(None)]
    return [annotation]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was most likely meant to be."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None

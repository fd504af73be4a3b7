"""Commands that are imported when they are asked for: `status` and `--help` need little of what `train` needs.

A group has names, the places of its commands, and a line on each for its own help; what lies behind a name is made by
whoever takes it out of `commands`, as the libraries do.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

import typer.main

from gaugecast.cli.help import Group, use_our_help


class Place(NamedTuple):
    """Where a command is: `module:name`, a function or a `typer.Typer`; and what it is for, in a line."""

    where: str
    summary: str


class Commands(MutableMapping[str, Any]):
    """The commands of a group by name, each made when it is first taken."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(name, self._places[name].where)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        self._made.pop(name, None)
        del self._places[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._places, *self._made]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def lazy_group(places: Mapping[str, Place]) -> type[Group]:
    """A class of groups that have these commands."""

    class LazyGroup(Group):
        """Has its commands by name until one is wanted."""

        def __init__(self, **attrs: Any) -> None:
            super().__init__(**attrs)
            self.commands = Commands(places)

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
            """The names; the library's own would make all commands for them."""
            return list(self.commands)

        def summary(self, name: str) -> str:
            """What a command is for; nothing is imported for it."""
            return places[name].summary

    return LazyGroup


def _make(name: str, where: str) -> Any:
    module, _, attribute = where.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        use_our_help(found)
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name)(found)
    use_our_help(alone)
    return typer.main.get_command(alone)

"""Commands that are listed with one line of help and imported only when they run."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from gpw.cli.docstrings import shown_options

if TYPE_CHECKING:
    from gpw.cli.command import Command
    from gpw.stack.permissions import Requirement


class Lazy(TyperCommand):
    """A command that is not imported yet.

    where: its function, as `module:function`. summary: the first paragraph of the docstring.
    hidden: whether help does not list it.
    """

    def __init__(self, name: str, where: str, summary: str, *, hidden: bool = False) -> None:
        super().__init__(name, help=summary, hidden=hidden)
        self._name = name
        self._where = where

    def load(self) -> "Command":
        """Import the command."""
        from gpw.cli.command import built  # every command needs it, but `gpw --help` does not

        module, _colon, function = self._where.partition(":")
        return built(self._name, getattr(import_module(module), function))


class LazyGroup(TyperGroup):
    """A group of commands. Listing or completing their names imports none of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the arguments name, and import it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found.load() if isinstance(found, Lazy) else found, rest

    def get_params(self, ctx: Any) -> list[Any]:
        """As Typer's, for help."""
        return shown_options(super().get_params(ctx))

    def listed(self) -> dict[str, Lazy]:
        """Its commands and those of its groups, by their names, such as `dlq ls`."""
        found: dict[str, Lazy] = {}
        for name, one in self.commands.items():
            if isinstance(one, LazyGroup):
                found |= {f"{name} {inner}": command for inner, command in one.listed().items()}
            elif isinstance(one, Lazy):
                found[name] = one
        return found

    def requirements(self) -> "dict[str, Requirement]":
        """What each command requires, by its command line, such as `gpw dlq ls`; imports all."""
        loaded = {name: one.load() for name, one in self.listed().items()}
        return {f"{self.name} {name}": command.requirement for name, command in loaded.items()}


def group(name: str, summary: str, *commands: Lazy) -> LazyGroup:
    """A group of commands under one name."""
    return LazyGroup(name=name, help=summary, commands=commands, no_args_is_help=True)


def section(title: str, *commands: Lazy | LazyGroup) -> tuple[Lazy | LazyGroup, ...]:
    """Commands that help shows under one title."""
    for one in commands:
        one.rich_help_panel = title
    return commands


def requirements(context: typer.Context) -> "dict[str, Requirement]":
    """What each command of gpw requires, by its command line. context: of any command."""
    root = context.find_root().command
    assert isinstance(root, LazyGroup)  # noqa: S101  for the type checker
    return root.requirements()

"""Commands that are listed with one line of help and imported only when they run."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from gpw.cli.command import Command


class Lazy(TyperCommand):
    """A command that is not imported yet.

    where: its function, as `module:function`. summary: the first paragraph of the docstring.
    """

    def __init__(self, name: str, where: str, summary: str) -> None:
        super().__init__(name, help=summary)
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


def group(name: str, summary: str, *commands: Lazy) -> LazyGroup:
    """A group of commands under one name."""
    return LazyGroup(name=name, help=summary, commands=commands, no_args_is_help=True)


def flowing(text: str) -> str:
    """Put each paragraph on one line, so that the terminal wraps it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))

"""Commands that are listed with one line of help, and imported only when they run."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from infra.gpw.command import Command


class Lazy(TyperCommand):
    """A command that is not imported yet.

    where: its function, as `module:function`. summary: the first paragraph of its docstring.
    """

    def __init__(self, name: str, where: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._name = name
        self._where = where

    def load(self) -> "Command":
        """Import the command."""
        from infra.gpw.command import built  # what all commands need, and no help does

        module, _colon, function = self._where.partition(":")
        return built(self._name, getattr(import_module(module), function))


class LazyGroup(TyperGroup):
    """Commands under one name. Listing or completing their names imports none of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the arguments name, to run it or to show its help."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found.load() if isinstance(found, Lazy) else found, rest


def group(name: str, summary: str, *commands: Lazy) -> LazyGroup:
    """Several commands under one name."""
    return LazyGroup(name=name, help=summary, commands=commands, no_args_is_help=True)


def flowing(text: str) -> str:
    """Paragraphs of one line each, so that they break where the terminal ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))

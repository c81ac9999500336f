"""Tools that explain, and that propose a command for a person to run."""

import shlex
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import Field
from typer.exceptions import TyperException

from gpw.cli.lazy import LazyGroup
from gpw.mcp.tools.base import Tools
from gpw.operations import documents
from gpw.stack.errors import OperatorError
from gpw.stack.text import plain, visible

PART = 5_000  # characters of a section in one answer
OTHERS = 8  # names of further sections
_ON_STACK = {"--stack", "--region", "--profile", "--local"}
_PRINTS = {"--help", "-h", "--version"}  # and end at once


@dataclass(frozen=True)
class HelpTools(Tools):
    """Tools that explain. commands: all commands of gpw."""

    commands: LazyGroup

    def explain(
        self,
        *,
        topic: Annotated[str, Field(description="Such as 'stale', 'not_publishable', 'metrics'.")],
        part: Annotated[int, Field(ge=1, description="Of a long section.")] = 1,
    ) -> dict[str, Any]:
        """Show the section of the project's documents that is about a topic.

        A name from `others` is a topic, too.
        """
        found = documents.about(topic)
        if not found:
            raise OperatorError(
                "The documents have no section about this", f"pages: {', '.join(documents.PAGES)}"
            )
        best, others = found[0], found[1 : 1 + OTHERS]
        parts = max(1, -(-len(best.text) // PART))
        return {
            "section": best.name,
            "text": best.text[(part - 1) * PART : part * PART],
            "part": f"{part} of {parts}",
            "others": [one.name for one in others],
        }

    def suggest_command(
        self,
        *,
        command: Annotated[str, Field(description="Such as 'dlq redrive' or 'secret set'.")],
        arguments: Annotated[
            list[str] | None,
            Field(description="Its arguments and options, such as ['--where', 'reason=x']."),
        ] = None,
    ) -> dict[str, Any]:
        """Write the exact gpw command line for a person to review and run. It is never run here.

        Options that name the stack are added. A wrong command or option is an error with the
        command's own message; explain "commands" lists the commands.
        """
        given = arguments or []
        known = self.commands.listed()
        if command not in known:
            raise OperatorError(
                f"gpw has no command {plain(command)!r}", f"commands: {', '.join(known)}"
            )
        for one in given:
            if not all(map(visible, one)):
                raise OperatorError(
                    "An argument has invisible characters", "write them as escapes, as answers do"
                )
            if one.partition("=")[0] in _ON_STACK | _PRINTS:
                raise OperatorError(f"Omit {one.partition('=')[0]}", "the server adds the stack")
        loaded = known[command].load()
        names = {parameter.name for parameter in loaded.params}
        options = list(self.fixed.options) if "stack" in names else []
        try:
            parsed = loaded.make_context(command, [*options, *given]).params
        except TyperException as error:
            raise OperatorError(plain(error.format_message())) from None
        except typer.Exit:
            raise OperatorError("These arguments do not run the command") from None
        if parsed.get("yes"):
            raise OperatorError("Omit --yes", "the person who runs the command confirms it")
        return {
            "run_this_yourself": shlex.join(["gpw", *command.split(), *options, *given]),
            "does": str(loaded.help).split("\n\n", 1)[0],
            "needs_policy": loaded.requirement.level.value,
            "asks_for_confirmation": "yes" in names,
        }

"""What all commands share: options for the stack and the output, needs, and how they fail."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from infra.gpw.errors import INTERRUPTED, USAGE, OperatorError, explained
from infra.gpw.output import Output
from infra.gpw.permissions import NEEDS, STACK, Need
from infra.gpw.target import Target, resolve

_STACK = "Where"


@dataclass
class Gpw:
    """What a command works with. where: the options that name the stack."""

    out: Output
    yes: bool
    where: dict[str, Any]

    @cached_property
    def target(self) -> Target:
        """The stack; looked for when the command first asks."""
        return resolve(**self.where)

    def confirm(self, question: str) -> None:
        """Go on only if the operator says so, now or with --yes."""
        if not self.yes:
            self.out.confirm(question)


_ON_STACK: dict[str, tuple[Any, Any]] = {
    "stack": (
        Annotated[
            str | None,
            typer.Option(
                help="Stack name. By default the one in samconfig.toml.", rich_help_panel=_STACK
            ),
        ],
        None,
    ),
    "region": (
        Annotated[str | None, typer.Option(help="AWS region.", rich_help_panel=_STACK)],
        None,
    ),
    "aws_profile": (
        # `--profile`, as in all AWS tools; GetProfile's profiles are --profile-id or an argument.
        Annotated[
            str | None,
            typer.Option(
                "--profile", help="AWS profile, as in ~/.aws/config.", rich_help_panel=_STACK
            ),
        ],
        None,
    ),
    "local": (
        Annotated[
            bool,
            typer.Option(
                "--local",
                help="Use the local cloud that `make start` runs.",
                rich_help_panel=_STACK,
            ),
        ],
        False,
    ),
}
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_YES = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation prompt.")]


def command(
    app: typer.Typer,
    name: str,
    *,
    example: str,
    needs: Iterable[Need] = (),
    changes: bool = False,
    on_stack: bool = True,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function `(gpw: Gpw, …)` as a command, with the options that all have.

    example: for --help. needs: the AWS actions that it calls, on what; that it looks for its stack
    goes without saying. changes: whether it takes --yes. on_stack: whether it works on a stack.
    """
    looks = {Need("cloudformation:DescribeStacks", STACK)} if on_stack else set()
    NEEDS[f"{app.info.name} {name}"] = frozenset({*needs, *looks})

    def register(function: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        common: dict[str, tuple[Any, Any]] = {"as_json": (_JSON, False)}
        if on_stack:
            common = _ON_STACK | common
        if changes:
            common = {"yes": (_YES, False)} | common
        added = [
            inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=a, default=d)
            for n, (a, d) in common.items()
        ]

        @wraps(function)
        def run(**arguments: Any) -> None:
            given = {n: arguments.pop(n) for n in common}
            out = Output(as_json=given["as_json"])
            where = {n: given.get(n) for n in _ON_STACK}
            gpw = Gpw(out, given.get("yes", False), where)

            def work() -> None:
                _refuse_empty(signature, given | arguments)
                function(gpw, **arguments)

            run_guarded(out, work)

        signature = inspect.Signature(
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + added
        )
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        text = flowing(inspect.getdoc(function) or "")
        app.command(name, help=text, epilog=f"Example: {example}")(run)
        return run

    return register


def _refuse_empty(signature: inspect.Signature, arguments: Mapping[str, Any]) -> None:
    """Refuse empty arguments: that of an unset shell variable is not what was meant.

    To a command it would be another stack, no limit in time, or every message.
    Raises: OperatorError.
    """
    for name, value in arguments.items():
        if "" in (value if isinstance(value, list) else [value]):
            raise OperatorError(
                f"{_name_on_command_line(signature.parameters[name])} is empty, so nothing was "
                "done",
                "is a shell variable unset?",
                code=USAGE,
            )


def _name_on_command_line(parameter: inspect.Parameter) -> str:
    [info] = parameter.annotation.__metadata__
    if isinstance(info, typer.models.ArgumentInfo):
        return str(info.metavar or parameter.name).upper()
    declared = [info.default, *(info.param_decls or ())]  # Typer takes the first for a default
    names = [name for name in declared if isinstance(name, str) and name.startswith("--")]
    return names[0] if names else f"--{parameter.name.replace('_', '-')}"


def flowing(text: str) -> str:
    """Paragraphs of one line each, so that they break where the terminal ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def run_guarded(out: Output, work: Callable[[], None]) -> None:
    """Do the work; what was foreseen ends in a line that says what to do, and an exit code."""
    try:
        work()
    except OperatorError as error:
        _fail(out, error)
    except (ClientError, BotoCoreError) as error:
        _fail(out, explained(error))
    except KeyboardInterrupt:
        out.note("Stopped.")
        raise typer.Exit(INTERRUPTED) from None


def _fail(out: Output, error: OperatorError) -> None:
    out.note(Text.assemble((f"{out.marks[False].plain} ", "bold red"), str(error)))
    if error.fix:
        out.note("  ", error.fix)
    raise typer.Exit(error.code) from None

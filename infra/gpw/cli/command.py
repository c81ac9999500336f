"""Shared by all commands: options for stack and output, declared needs, and error handling."""

import inspect
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text
from typer.core import TyperArgument, TyperCommand
from typer.exceptions import TyperException
from typer.main import get_command_from_info
from typer.models import CommandInfo

from gpw.cli.docstrings import flowing, shown_options
from gpw.cli.output import Output
from gpw.stack.errors import INTERRUPTED, USAGE, OperatorError, explained
from gpw.stack.permissions import STACK, Level, Need, Requirement
from gpw.stack.text import pasted
from receiver.domain.errors import NotStorableError

if TYPE_CHECKING:
    from gpw.stack.target import Target

_STACK = "Where"
# The parameters, of any command, that take what GetProfile or SQS identifies something by.
_IDENTIFIERS = frozenset(
    {"tenant", "profile", "profile_id", "event", "status", "ids", "message_id", "terms"}
)
SIMILAR = 0.7  # of 1: `--typ` is not meant for `--yes` (0.6)
_ON_STACK = ("stack", "region", "aws_profile", "local")


class Gpw(typer.Context):
    """A command's context: the output, the stack and the confirmation prompt.

    It is Typer's context, which holds the shared options. Typer passes it to the parameter of this
    type.
    """

    @cached_property
    def out(self) -> Output:
        """The output for the command's results."""
        from gpw.stack.target import selecting  # imported late, because some commands need no stack

        on_stack = "stack" in self.params
        options = selecting(**{name: self.params[name] for name in _ON_STACK}) if on_stack else ()
        return Output(as_json=self.params["as_json"], options=options)

    @property
    def yes(self) -> bool:
        """Whether the operator passed --yes."""
        return bool(self.params.get("yes"))

    @cached_property
    def target(self) -> "Target":
        """The stack. It is resolved on first use."""
        from gpw.stack.target import resolve  # imported late, because some commands need no stack

        found = resolve(**{name: self.params[name] for name in _ON_STACK})
        if found.local and not self.params["local"]:
            self.out.note("On the local cloud that is running; --region names one of AWS.")
        return found

    def confirm(self, question: str) -> None:
        """Continue only if the operator confirms, at the prompt or with --yes."""
        if not self.yes:
            self._name_target()
            self.out.confirm(question)

    def ask(self, question: str) -> bool:
        """Whether the operator says yes, at the prompt or with --yes."""
        if self.yes:
            return True
        self._name_target()
        return bool(self.out.ask(question))

    def _name_target(self) -> None:
        """Say before a question on which stack of which account the command would act."""
        if "stack" in self.params:
            self.out.note(f"This is about {self.target.named}.")


def _shared(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation prompt.")] = False,
    stack: Annotated[
        str | None,
        typer.Option(
            help="Stack name. By default the one in samconfig.toml.", rich_help_panel=_STACK
        ),
    ] = None,
    region: Annotated[str | None, typer.Option(help="AWS region.", rich_help_panel=_STACK)] = None,
    # `--profile` is the AWS profile, as in all AWS tools; a GetProfile profile is --profile-id.
    aws_profile: Annotated[
        str | None,
        typer.Option("--profile", help="AWS profile, as in ~/.aws/config.", rich_help_panel=_STACK),
    ] = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Use the local cloud that `make start` runs. The default while it runs, if "
            "nothing names a stack on AWS.",
            rich_help_panel=_STACK,
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Declares the shared options; `Gpw` provides their values."""


class _Declared(NamedTuple):
    """A command's declaration, apart from its function."""

    example: str
    requirement: Requirement
    shared: frozenset[str]  # the names of the shared options that it takes
    options: tuple[Callable[..., None], ...]  # functions that declare further options


_DECLARED: dict[Callable[..., None], _Declared] = {}


def command[Function: Callable[..., None]](
    *,
    example: str,
    needs: Iterable[Need] = (),
    level: Level | None = None,
    changes: bool = False,
    on_stack: bool = True,
    options: Iterable[Callable[..., None]] = (),
) -> Callable[[Function], Function]:
    """Declare a function `(gpw: Gpw, …)` as a command; `table.py` gives it a name.

    example: for --help. needs: the AWS actions that it calls, with their resources; looking up the
    stack is added. level: who may run it; by default OPERATE if it changes something, else LOOK.
    changes: whether it takes --yes. on_stack: whether it works on a stack. options: functions that
    declare options of several commands, which come before its own; `gpw.params` has their values.
    """
    looks = {Need("cloudformation:DescribeStacks", STACK)} if on_stack else set()
    shared = {"as_json", *(_ON_STACK if on_stack else ()), *(["yes"] if changes else [])}
    level = level or (Level.OPERATE if changes else Level.LOOK)
    declared = _Declared(
        example,
        Requirement(level, frozenset({*needs, *looks})),
        frozenset(shared),
        tuple(options),
    )

    def declare(function: Function) -> Function:
        _DECLARED[function] = declared
        return function

    return declare


class Command(TyperCommand):
    """A command with the shared options and the shared error handling."""

    context_class = Gpw
    requirement = Requirement(Level.LOOK, frozenset())
    own: frozenset[str] = frozenset()  # the names of the function's parameters

    def get_params(self, ctx: Any) -> list[Any]:
        """As Typer's, for help."""
        return shown_options(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer's, but errors have no words of a validator, and suggest only similar options."""
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            if isinstance(error, typer.BadParameter):
                error.message = error.message.removeprefix("Value error, ")
            elif possible := getattr(error, "possibilities", None):
                from difflib import get_close_matches

                wrong = getattr(error, "option_name", "")
                vars(error)["possibilities"] = get_close_matches(wrong, possible, cutoff=SIMILAR)
            raise

    def invoke(self, ctx: Any) -> None:
        """Run the function with its own arguments; `Gpw` holds the shared ones."""
        gpw: Gpw = ctx
        _understand_pasted(gpw)
        own = {name: gpw.params[name] for name in self.own}

        def work() -> None:
            _refuse_empty(gpw)
            if self.callback:
                gpw.invoke(self.callback, **own)

        run_guarded(gpw.out, work)


def built(name: str, function: Callable[..., None]) -> Command:
    """The command for a declared function."""
    declared = _DECLARED[function]
    made = _of_function(
        CommandInfo(
            name,
            cls=Command,
            callback=function,
            help=flowing(inspect.getdoc(function) or ""),
            epilog=f"Example: {declared.example}",
        )
    )
    made.requirement = declared.requirement
    made.own = frozenset(str(parameter.name) for parameter in made.params)
    given = [option for one in declared.options for option in _options(one)]
    shared = [option for option in _options(_shared) if option.name in declared.shared]
    made.params = [*given, *made.params, *shared]
    return made


def _options(declaring: Callable[..., None]) -> list[Any]:
    return _of_function(CommandInfo(cls=Command, callback=declaring)).params


def _of_function(info: CommandInfo) -> Command:
    made = get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode="rich")
    return cast(Command, made)


def _understand_pasted(gpw: Gpw) -> None:
    """Read the escapes in arguments that are identifiers, because commands print them so."""
    for name in _IDENTIFIERS & gpw.params.keys():
        value = gpw.params[name]
        if isinstance(value, str):
            gpw.params[name] = pasted(value)
        elif value is not None:
            gpw.params[name] = [pasted(one) for one in value]


def _refuse_empty(gpw: Gpw) -> None:
    """Refuse empty arguments, which usually come from an unset shell variable.

    A command would take one as another stack, no time limit, or every message.
    Raises: OperatorError.
    """
    for parameter in gpw.command.params:
        value = gpw.params[str(parameter.name)]
        if "" in (value if isinstance(value, list | tuple) else [value]):
            raise OperatorError(
                f"{_name_on_command_line(parameter)} is empty, so nothing was done",
                "is a shell variable unset?",
                code=USAGE,
            )


def _name_on_command_line(parameter: Any) -> str:
    if isinstance(parameter, TyperArgument):
        return str(parameter.metavar or parameter.name).upper()
    names: list[str] = [name for name in parameter.opts if name.startswith("--")]
    return names[0]


def run_guarded(out: Output, work: Callable[[], None]) -> None:
    """Run a command. An expected error becomes a message that says what to do, and an exit code."""
    try:
        work()
    except OperatorError as error:
        _fail(out, error)
    except (ClientError, BotoCoreError) as error:
        _fail(out, explained(error))
    except NotStorableError as error:  # of an id, such as a pasted `\ud800`
        fix = "gpw dlq ls --where profile=ID lists dead letters with such an id"
        _fail(out, OperatorError(f"No table can have this: {error}", fix, code=USAGE))
    except KeyboardInterrupt:
        out.note("Stopped.")
        raise typer.Exit(INTERRUPTED) from None


def _fail(out: Output, error: OperatorError) -> None:
    out.note(Text.assemble((f"{out.marks[False].plain} ", "bold red"), str(error)))
    if error.fix:
        out.note("  ", error.fix)  # which completes the commands in it
    raise typer.Exit(error.code) from None

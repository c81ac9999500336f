"""The server: tools, resources and prompts, each call limited, audited and explained."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, wraps
from importlib.metadata import version
from typing import Any

import anyio
from botocore.exceptions import BotoCoreError, ClientError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.resources import FunctionResource
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import AnyUrl

from gpw.cli.lazy import LazyGroup
from gpw.mcp import answers
from gpw.mcp.audit import Audit
from gpw.mcp.call import CURRENT, Call
from gpw.mcp.prompts import PROMPTS, RULES
from gpw.mcp.read_only import restrict
from gpw.mcp.tools.events import EventTools
from gpw.mcp.tools.help import HelpTools
from gpw.mcp.tools.parked import ParkedTools
from gpw.mcp.tools.stack import StackTools
from gpw.mcp.tools.sync import SyncTools
from gpw.operations import documents
from gpw.stack.errors import OperatorError, explained
from gpw.stack.files import DOCS
from gpw.stack.hints import addressed
from gpw.stack.permissions import Requirement
from gpw.stack.target import Target
from gpw.stack.text import plain
from receiver.domain.errors import NotStorableError

INSTRUCTIONS = (
    "Looks at one deployed GetProfile webhook receiver; it can change nothing. Webhooks go "
    "API Gateway, ingest, events queue, consumer (state and history), publisher, event bus, rules. "
    f"Start with stack_health. {RULES}"
)
# It sees other systems only through the target, whose answers contain what strangers sent.
LOOKS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)

LONGEST_NAME = 100  # characters in the audit log
SCHEMAS = {
    "event": ("event.schema.json", "application/schema+json"),
    "bus": ("asyncapi.yaml", "application/yaml"),
}


class Server(MCPServer[Any]):
    """An MCP server for one stack. Calls run one after the other: the SDK's session is not safe
    for threads, and all of them share the account's request rates."""

    def __init__(
        self,
        target: Target,
        commands: LazyGroup,
        requirements: Mapping[str, Requirement],
        audit: Audit,
        *,
        payloads: bool = True,
    ) -> None:
        super().__init__(
            "gpw",
            title="GetProfile webhook receiver",
            instructions=INSTRUCTIONS,
            version=version("getprofile-webhooks"),
            log_level="CRITICAL",  # the audit log has the rest, without texts from outside
            subscriptions=False,
        )
        restrict(target, lambda action: CURRENT.get().actions.update([action]))
        self._target = target
        self._audit = audit
        self._one_at_a_time = anyio.Lock()
        self._named = ""
        shared = (target, requirements, payloads)
        stack, events, parked = StackTools(*shared), EventTools(*shared), ParkedTools(*shared)
        helping = HelpTools(*shared, commands)
        self._add(
            *(stack.stack_health, events.find_events, events.show_event, events.profile),
            *(
                SyncTools(*shared).sync,
                parked.dead_letters,
                parked.held,
                stack.metrics,
                stack.alarms,
                stack.cost,
            ),
            *(helping.explain, helping.suggest_command),
        )
        for prompt in PROMPTS:
            self.add_prompt(Prompt.from_function(prompt))
        _add_resources(self)

    def _add(self, *methods: Callable[..., dict[str, Any]]) -> None:
        for method in methods:
            # The text alone: structured content would send every answer twice.
            self.add_tool(self._answering(method), annotations=LOOKS, structured_output=False)

    def _answering(self, method: Callable[..., dict[str, Any]]) -> Callable[..., str]:
        """A tool as the SDK runs it, in a thread: it answers with text, or fails with advice."""
        options = self._target.options

        @wraps(method)
        def answer(**arguments: Any) -> str:
            try:
                result = method(**arguments)
                text = answers.document(self._name_of_target(), options, result)
                CURRENT.get().bytes = len(text.encode())
                return text
            except OperatorError as error:
                raise _told(error, options) from None
            except (ClientError, BotoCoreError) as error:
                raise _told(explained(error), options) from None
            except NotStorableError as error:  # of an id, such as a pasted `\ud800`
                raise ToolError(f"No table can have this: {plain(error)}") from None

        return answer

    def _name_of_target(self) -> str:
        """The target with its account, if AWS tells it: some tools answer without AWS."""
        try:
            self._named = self._named or self._target.named
        except (OperatorError, ClientError, BotoCoreError):
            return f"the stack {self._target.stack} in {self._target.where}, account unknown"
        return self._named

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Also an unknown name and invalid arguments are recorded."""
        async with self._one_at_a_time:
            call = Call()
            CURRENT.set(call)
            with self._recorded("tool", name, arguments, call):
                return await _cancellable(call, super().call_tool(name, arguments, context))

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Any:
        """Read a resource."""
        with self._recorded("resource", str(uri), None, Call()):
            return await super().read_resource(uri, context)

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Any, Any] | None = None,
    ) -> Any:
        """Fill in a prompt."""
        with self._recorded("prompt", name, arguments, Call()):
            return await super().get_prompt(name, arguments, context)

    @contextmanager
    def _recorded(self, kind: str, name: str, arguments: Any, call: Call) -> Iterator[None]:
        """Write a line to the audit log when the block ends."""
        began, ended = time.monotonic(), "answered"
        try:
            yield
        except UnexpectedToolError as error:
            ended = type(error.__cause__).__name__
            raise
        except ToolError:
            ended = "cancelled" if call.gave_up else "failed"
            raise
        except BaseException as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            ended = "cancelled" if cancelled else type(error).__name__
            raise
        finally:
            self._audit.write(
                kind=kind,
                name=plain(name)[:LONGEST_NAME],
                arguments=arguments,
                ended=ended,
                seconds=round(time.monotonic() - began, 3),
                aws=dict(call.actions),
                bytes=call.bytes,
                stack=" ".join(self._target.options),
            )


async def _cancellable[T](call: Call, work: Awaitable[T]) -> T:
    """Wait for a call whose thread nobody can interrupt; tell it when the client cancels."""

    async def note() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            call.cancelled.set()

    outcome: T | Exception
    async with anyio.create_task_group() as group:
        group.start_soon(note)
        try:
            outcome = await work
        except Exception as error:
            outcome = error
        group.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _told(error: OperatorError, options: tuple[str, ...]) -> ToolError:
    fix = addressed(error.fix, options)
    return ToolError(plain(f"{error}. {fix}" if fix else str(error)))


def _add_resources(server: MCPServer[Any]) -> None:
    """The documents and schemas that an assistant can read whole."""
    for name in ("runbook", "reference"):
        server.add_resource(
            FunctionResource(
                uri=f"gpw://{name}",
                name=name,
                description=f"{documents.PAGES[name]} of the project, whole",
                mime_type="text/markdown",
                fn=partial(documents.page, name),
            )
        )
    for name, (file, kind) in SCHEMAS.items():
        server.add_resource(
            FunctionResource(
                uri=f"gpw://schema/{name}",
                name=f"{name} schema",
                description=f"{file}: what is on the event bus",
                mime_type=kind,
                fn=partial((DOCS / "schema" / file).read_text, encoding="utf-8"),
            )
        )

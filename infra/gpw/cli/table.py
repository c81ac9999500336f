"""The list of all commands."""

from typing import TYPE_CHECKING

from gpw.cli.lazy import Lazy, LazyGroup, group, section

if TYPE_CHECKING:
    from gpw.cli.command import Command
    from gpw.stack.permissions import Need, Requirement

# In the order of `gpw --help`. Each summary repeats the first paragraph of the function's docstring
# (a test compares them), so that `gpw --help` does not import the function.
COMMANDS: list[Lazy | LazyGroup] = [
    *section(
        "Look at events and at the system",
        Lazy(
            "doctor",
            "gpw.commands.doctor:doctor",
            "Check stack, permissions, secret, endpoint, queues, functions, concurrency, bus and "
            "alarms.",
        ),
        Lazy("events", "gpw.commands.events:events", "List events of the history, newest first."),
        Lazy(
            "show",
            "gpw.commands.show:show",
            "Show one event by its id, wherever it is, with its way through the system.",
        ),
        Lazy(
            "status", "gpw.commands.status:status", "Show a profile's state and its newest events."
        ),
        Lazy(
            "tail",
            "gpw.commands.tail:tail",
            "Follow what happens to events, one line each, until Ctrl-C.",
        ),
        Lazy(
            "ui",
            # A face beside commands/, which it does not import; so its command is its own.
            "gpw.console.command:ui",
            "Open a web console on this machine: live events, search, profiles, dead letters.",
        ),
        Lazy(
            "export",
            "gpw.commands.export:export",
            "Export the history or the states as lines of JSON, CSV or Parquet.",
        ),
        Lazy(
            "mcp",
            "gpw.mcp.command:mcp",
            "Serve an assistant (MCP) that looks at the stack and can change nothing.",
        ),
    ),
    *section(
        "Act on events and queues",
        Lazy(
            "replay",
            "gpw.commands.replay:replay",
            "Send events of the history through the events queue again.",
        ),
        Lazy(
            "republish",
            "gpw.commands.republish:republish",
            "Publish events of the history on the bus again, such as after the bus was missing.",
        ),
        Lazy(
            "pause",
            "gpw.commands.pause:pause",
            "Stop the consumer. Webhooks are still accepted, and wait in the events queue.",
        ),
        Lazy(
            "resume",
            "gpw.commands.pause:resume",
            "Start the consumer again. It processes the events that wait in the queue.",
        ),
        Lazy(
            "sync",
            "gpw.commands.sync:sync",
            "Compare the profiles here with GetProfile's list, and make up for missed webhooks.",
        ),
        Lazy(
            "reconcile",
            "gpw.commands.reconcile:reconcile",
            "Compare all profiles with GetProfile's list; now called `gpw sync --full`.",
            hidden=True,
        ),
        group(
            "dlq",
            "List, show, redrive or delete dead letters.",
            Lazy("ls", "gpw.commands.dlq.ls:ls", "List the dead letters with their reasons."),
            Lazy(
                "show",
                "gpw.commands.dlq.show:show_dead_letter",
                "Show one dead letter: attributes, body, and what redriving it would do.",
            ),
            Lazy(
                "redrive",
                "gpw.commands.dlq.redrive:redrive_dead_letters",
                "Send dead letters back to the queue they came from.",
            ),
            Lazy(
                "purge",
                "gpw.commands.dlq.purge:purge_dead_letters",
                "Delete dead letters permanently.",
            ),
        ),
        group(
            "held",
            "List, release or delete held deliveries.",
            Lazy(
                "ls",
                "gpw.commands.held.ls:ls",
                "List the held deliveries by the secret that they carry.",
            ),
            Lazy(
                "release",
                "gpw.commands.held.release:release_held",
                "Send on the held deliveries that carry a secret which is accepted now.",
            ),
            Lazy(
                "purge", "gpw.commands.held.purge:purge_held", "Delete held deliveries permanently."
            ),
        ),
    ),
    *section(
        "Try it, on this machine or on the stack",
        group(
            "local",
            "Run the real template on this machine.",
            Lazy(
                "up",
                "gpw.commands.local:up",
                "Keep the stack running on this machine until Ctrl-C, and show its events "
                "(`make start`).",
            ),
            Lazy(
                "down",
                "gpw.commands.local:down",
                "Stop the local cloud. The next start has the same data.",
            ),
            Lazy(
                "demo",
                "gpw.commands.local:demo",
                "Show an event's journey through the real template (`make demo`).",
            ),
        ),
        Lazy(
            "send",
            "gpw.commands.send:send",
            "Send a sample event, or a file, to the webhook URL, and show the responses.",
        ),
        Lazy(
            "listen",
            "gpw.commands.listen:listen",
            "Forward live events to an application on your machine, until Ctrl-C.",
        ),
        Lazy(
            "forward",
            "gpw.commands.forward:forward",
            "Send events of the history to an application on your machine, once.",
        ),
        Lazy(
            "load",
            "gpw.commands.load:load",
            "Send made-up traffic to the webhook URL, and prove that nothing was lost.",
        ),
        Lazy(
            "verify",
            "gpw.commands.verify:verify",
            "Prove that the deployed stack does what it promises: run it once after a deployment.",
        ),
    ),
    *section(
        "Own a stack: secret, people, permissions, costs",
        group(
            "secret",
            "Set, rotate or check the secret; it is never shown.",
            Lazy(
                "set",
                "gpw.commands.secret.set:put",
                "Set the secret that GetProfile sends, from a hidden prompt or from standard "
                "input.",
            ),
            Lazy("rotate", "gpw.commands.secret.rotate:rotate", "Replace a secret that is in use."),
            Lazy(
                "status",
                "gpw.commands.secret.status:status",
                "Show whether the secret is set and usable, and whether the previous one is still "
                "in use.",
            ),
        ),
        Lazy(
            "erase",
            "gpw.commands.erase:erase",
            "Remove one person's data: state, full profile, history, and messages in the queues.",
        ),
        Lazy(
            "policies",
            "gpw.commands.policies:policies",
            "Print a template with managed policies for the people who use gpw: look, operate, "
            "administer.",
        ),
        Lazy(
            "cost",
            "gpw.commands.cost:cost",
            "Estimate the AWS bill from the template's settings, list prices and measured "
            "durations.",
        ),
    ),
]


def listed() -> dict[str, Lazy]:
    """Every command, by its name, such as `dlq ls`."""
    return _all().listed()


def loaded() -> "dict[str, Command]":
    """Every command, by its name; this imports all of them."""
    return {words: one.load() for words, one in listed().items()}


def needs() -> "dict[str, frozenset[Need]]":
    """The AWS actions that each command needs, by its command line, such as `gpw dlq ls`."""
    return {words: one.needs for words, one in requirements().items()}


def requirements() -> "dict[str, Requirement]":
    """What each command requires, by its command line."""
    return _all().requirements()


def _all() -> LazyGroup:
    return LazyGroup(name="gpw", commands=COMMANDS)

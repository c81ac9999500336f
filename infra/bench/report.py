"""docs/benchmarks.md, and the same tables on the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.bench.environment import ROOT
from infra.bench.results import ResultTable

DOCUMENT = ROOT / "docs" / "benchmarks.md"
CHARTS = ROOT / "docs" / "benchmarks"

# What each table says, how it was measured, and what it does not say.
_EXPLAINED = {
    "Work": """\
What a call costs the processor, beside the least that the AWS SDK takes for it. The floor of a \
warm ingest call is one `send_message`; of a cold one, botocore's session, its SQS client and \
the first `send_message`. The floor of the consumer is two conditional `put_item` an event, for \
state and history. A cold start includes the Python interpreter's own start.""",
    "Time": """\
Wall-clock medians on the machine above, against the same stand-in. A function of 512 MB has \
less than a third of a processor on AWS, so expect longer there; the order stays.""",
    "Consumer": """\
One worker, full batches of ten events of ten profiles, while each call to DynamoDB takes 4 ms. \
This project writes state and history of an event in one transaction, eight at a time.""",
    "Logs": """\
Every byte that one accepted, applied and published event adds to CloudWatch Logs: the lines \
that the handlers write, those of Lambda itself as AWS documents them for the template's \
`LoggingConfig`, and the access log's line in the template's format.""",
    "Artifact": """\
What Lambda unpacks, as `make build` makes it. Without bytecode, which SAM leaves out, each cold \
start compiles every module.""",
    "End to end": """\
The deployed template on the local cloud, over HTTP. One small machine runs gateway, queue, \
tables, bus and all functions, so these figures show that nothing waits by design; they \
say little of AWS, where every worker is a machine of its own and each call takes milliseconds. \
The naive receiver does far less: no queue, history or bus. *Applied* is when the \
consumer begins to write; *bus* is when a queue behind a rule has the event. What else the \
machine does shows in the last column: its figures have differed sevenfold between runs.""",
}


def write(
    tables: Sequence[ResultTable],
    machine: Mapping[str, str],
    instrument: str,
    date: str,
    *,
    document: Path = DOCUMENT,
    charts: Path = CHARTS,
) -> None:
    """Write the document and its charts."""
    charts.mkdir(exist_ok=True)
    for table in tables:
        for name, svg in table.svgs.items():
            (charts / name).write_text(svg, encoding="utf-8")
    document.write_text(markdown(tables, machine, instrument, date, charts.name), encoding="utf-8")


def markdown(
    tables: Sequence[ResultTable],
    machine: Mapping[str, str],
    instrument: str,
    date: str,
    charts: str,
) -> str:
    """The whole document. charts: the directory beside it."""
    parts = [
        "# Benchmarks",
        "`make bench` measured all of this in one run and wrote this page; run it to get yours. "
        "`make bench SHORT=1`, a part of `make check`, holds the ratios to their limits "
        "([infra/bench/limits.py](../infra/bench/limits.py)).",
        f"Measured on {date}: "
        + "; ".join(f"{name} {value}" for name, value in machine.items())
        + f". {instrument} Each workload is a process of its own that has the artifact's packages "
        "and boto3, nothing else, and talks to a stand-in for AWS on the same machine over HTTP. "
        "The naive receiver ([infra/bench/naive.py](../infra/bench/naive.py)) is written as "
        "tutorials do it: a resolver with validation, one `put_item`, no bytecode.",
    ]
    for table in tables:
        parts += [f"## {table.title}", _EXPLAINED[table.title]]
        if table.chart:
            parts.append(f"![{table.title}]({charts}/{table.chart})")
        parts.append("\n".join(_rows(table)))
        if table.note:
            parts.append(table.note)
    return "\n\n".join(parts) + "\n"


def show(tables: Sequence[ResultTable], console: Console) -> None:
    """The tables on a terminal."""
    for table in tables:
        drawn = Table(title=table.title, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for number, heading in enumerate(table.headings):
            drawn.add_column(_bare(heading), justify="right" if number else "left")
        for row in table.rows:
            drawn.add_row(*map(_bare, row))
        console.print(drawn)
        if table.note:
            console.print(_bare(table.note))
        console.print()


def _rows(table: ResultTable) -> list[str]:
    ruler = ["---", *("---:" for _ in table.headings[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (table.headings, ruler, *table.rows)]


def _bare(text: str) -> str:
    return text.replace("**", "").replace("`", "")

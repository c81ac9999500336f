"""Writes the measurements into docs/performance.md, and prints the same tables to the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.bench.environment import ROOT
from infra.bench.results import ResultTable
from infra.blocks import with_block

DOCUMENT = ROOT / "docs" / "performance.md"
BLOCK = "benchmarks"
CHARTS = ROOT / "docs" / "benchmarks"

# The text above each table: what it shows, how it was measured, and its limits.
_EXPLAINED = {
    "Work": """\
This table compares the processor work of a call with a floor: the least that the AWS SDK needs \
for it. The floor of a warm ingest call is one `send_message`. The floor of a cold one is \
botocore's session, its SQS client and the first `send_message`. The floor of the consumer is two \
conditional `put_item` calls per event, for state and history. A cold start includes the start of \
the Python interpreter.""",
    "Time": """\
These are wall-clock medians on the machine above, against the same local AWS stub. On AWS, a \
function of 512 MB has less than a third of a processor, so calls take longer there. Nobody \
has measured them there yet.""",
    "Consumer": """\
One worker consumes full batches of ten events of ten profiles, while each call to DynamoDB takes \
4 ms. This project writes state and history of an event in one transaction, and runs up to eight \
transactions at once.""",
    "Logs": """\
This is what one accepted, applied and published event adds to CloudWatch Logs: the lines of the \
handlers, the lines of Lambda itself as AWS documents them for the template's `LoggingConfig`, and \
the line of the access log in the template's format.""",
    "Artifact": """\
This is what Lambda unpacks, as `make build` makes it. It includes bytecode, which SAM leaves out. \
Without bytecode, each cold start compiles every module.""",
    "End to end": """\
The events go over HTTP to the template on the local cloud. One small machine runs gateway, queue, \
tables, bus and all functions. So the figures show that no step waits by design, but not how fast \
AWS is: there, every worker is a separate machine and each call takes milliseconds. The naive \
receiver does far less: it has no queue, history or bus. *Applied* is when the consumer begins to \
write. *Bus* is when a queue that a rule targets has the event. Other load on the machine affects \
the p99 column, which has differed sevenfold between runs.""",
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
    """Renew the document's block of measurements, and write its charts."""
    charts.mkdir(exist_ok=True)
    for table in tables:
        for name, svg in table.svgs.items():
            (charts / name).write_text(svg, encoding="utf-8")
    measured = markdown(tables, machine, instrument, date, charts.name)
    text = with_block(document.read_text(encoding="utf-8"), BLOCK, measured)
    document.write_text(text, encoding="utf-8")


def markdown(
    tables: Sequence[ResultTable],
    machine: Mapping[str, str],
    instrument: str,
    date: str,
    charts: str,
) -> str:
    """The block of measurements. charts: the name of the directory of charts."""
    parts = [
        f"Measured on {date}: "
        + "; ".join(f"{name} {value}" for name, value in machine.items())
        + f". {instrument} Each workload runs in a separate process with only the artifact's "
        "packages and boto3, and calls a local AWS stub over HTTP. The naive receiver "
        "([infra/bench/naive.py](../infra/bench/naive.py)) is what tutorials show: a resolver with "
        "validation, one `put_item`, no bytecode.",
    ]
    for table in tables:
        parts += [f"### {table.title}", _EXPLAINED[table.title]]
        if table.chart:
            parts.append(f"![{table.title}]({charts}/{table.chart})")
        parts.append("\n".join(_rows(table)))
        if table.note:
            parts.append(table.note)
    return "\n\n".join(parts) + "\n"


def show(tables: Sequence[ResultTable], console: Console) -> None:
    """Print the tables to a terminal."""
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

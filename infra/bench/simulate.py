"""`make simulate`: runs the scenarios of the queue, draws charts, and writes tables into docs.

It also renews the calculated tables of costs and limits. Each table is in a document between
`<!-- begin: NAME -->` and `<!-- end: NAME -->`. The rest of the document is written by hand.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpw.operations.cost import (
    figures_on_file,
    price_list_on_file,
    readme_table,
    settings_on_file,
    settings_table,
    template_on_file,
)
from gpw.operations.pricing import CostSettings, Line, Price, total
from gpw.stack.files import ROOT
from infra.bench.capacity import (
    concurrency_for,
    hot_keys_table,
    limits_table,
    quotas_on_file,
    quotas_table,
    rates_table,
)
from infra.bench.charts import lines
from infra.bench.queue_model import STEP, UNITS_PER_EVENT, Run, Scenario, simulated
from infra.bench.sweeps import sweeps_table
from infra.blocks import with_block

PAGE = "docs/performance.md"
FEW_RECEIVES = 5  # a common maxReceiveCount


@dataclass(frozen=True)
class Case:
    """Scenarios to compare in one table and one chart.

    name: of the table's block and the chart's file. variants: the scenarios by label.
    outage: first and last minute of the outage, to shade in the chart.
    """

    name: str
    title: str
    variants: Mapping[str, Scenario]
    outage: tuple[float, float] = (0, 0)


def base() -> Scenario:
    """A scenario with the template's settings and without traffic."""
    template = template_on_file()
    queue = template.properties("EventsQueue")
    return Scenario(
        settings=settings_on_file(),
        figures=figures_on_file(),
        visibility_seconds=template.number(queue["VisibilityTimeout"]),
        max_receives=queue["RedrivePolicy"]["maxReceiveCount"],
    )


def cases() -> list[Case]:
    """The cases of docs/performance.md."""
    begin = base()
    patient = f"maxReceiveCount {begin.max_receives}"
    few = f"maxReceiveCount {FEW_RECEIVES}"
    default = begin.settings.consumer_concurrency
    allowed = begin.settings.requests_per_second

    def concurrency(number: int) -> CostSettings:
        return replace(begin.settings, consumer_concurrency=number)

    at_limit = replace(begin, seconds=300, rate=allowed)
    burst = replace(begin, seconds=300, rate=2_000, table_units=20_000)
    short = replace(begin, seconds=900, rate=10, outage=(60, 660))
    long = replace(begin, seconds=5_400, rate=10, outage=(60, 3_660))
    backlog = replace(begin, backlog=1_000_000)
    raised = concurrency_for(2_000, begin.settings, begin.figures)
    many = 50
    return [
        Case(
            "burst",
            "A burst",
            {
                f"2,000 a second, concurrency {default}": burst,
                f"2,000 a second, concurrency {raised}": replace(
                    burst, settings=concurrency(raised)
                ),
                f"{allowed:,} a second, concurrency {default}": at_limit,
            },
        ),
        Case(
            "outage",
            "DynamoDB is unavailable for 10 minutes",
            {patient: short, few: replace(short, max_receives=FEW_RECEIVES)},
            outage=(1, 11),
        ),
        Case(
            "long-outage",
            "DynamoDB is unavailable for an hour",
            {patient: long, few: replace(long, max_receives=FEW_RECEIVES)},
            outage=(1, 61),
        ),
        Case(
            "backlog",
            "A backlog of 1 million events",
            {
                f"concurrency {default}": backlog,
                f"concurrency {many}": replace(backlog, settings=concurrency(many)),
            },
        ),
    ]


def dollars(run: Run, scenario: Scenario, prices: Mapping[str, Price]) -> float:
    """The list price of consuming (Lambda, SQS, DynamoDB), without ingest and publishing."""
    settings = scenario.settings
    memory = settings.memory_mb["consumer"] / 1024
    lines = [
        Line("", "lambda_request", run.batches),
        Line("", f"lambda_gb_second_{settings.architecture}", run.busy_seconds * memory),
        Line("", "sqs_request", 2 * run.batches),
        Line("", "dynamodb_write_unit", 2 * UNITS_PER_EVENT * run.done),
    ]
    return total(lines, prices)[0]


# ---------------------------------------------------------------- the pages


def case_table(case: Case, runs: Mapping[str, Run]) -> str:
    prices = price_list_on_file().prices
    rows = [
        "| | arrived | longest queue | oldest, s | caught up, s | receives | dead | dollars |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for label, scenario in case.variants.items():
        run = runs[label]
        cells = [
            f"{run.arrived:,}",
            f"{max(run.depths):,}",
            f"{max(run.ages):,.0f}",
            f"{run.caught_up:,.0f}" if run.caught_up else "never behind",
            f"{run.most_receives}",
            f"{run.dead:,}",
            f"{dollars(run, scenario, prices):,.2f}",
        ]
        rows.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def picture_name(case: Case) -> str:
    return f"simulation-{case.name}.svg"


def picture(case: Case, runs: Mapping[str, Run]) -> str:
    """A chart of the queue's length and age for the first two variants."""
    shown = dict(list(runs.items())[:2])
    panels = {
        "messages in the queue": {label: run.depths for label, run in shown.items()},
        "age of the oldest message, s": {label: run.ages for label, run in shown.items()},
    }
    return lines(case.title, panels, STEP / 60, case.outage)


def tables() -> dict[str, dict[str, str]]:
    """The calculated tables, by document and by the name of the block there."""
    settings, figures, quotas = settings_on_file(), figures_on_file(), quotas_on_file()
    return {
        "README.md": {"cost": readme_table()},
        PAGE: {
            "limits": limits_table(settings, figures, quotas),
            "rates": rates_table(settings, figures, quotas),
            "hot keys": hot_keys_table(settings, figures, quotas),
            "sweeps": sweeps_table(settings, figures, price_list_on_file().prices),
            "quotas": quotas_table(),
            "settings": settings_table(),
        },
    }


def documents(results: Mapping[str, Mapping[str, Run]]) -> dict[str, str]:
    """The documents with renewed blocks, by path. results: by case name and variant label."""
    blocks = tables()
    blocks[PAGE] |= {case.name: case_table(case, results[case.name]) for case in cases()}
    written = {}
    for path, contents in blocks.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        for name, content in contents.items():
            text = with_block(text, name, content)
        written[path] = text
    return written


def main() -> int:
    results = {
        case.name: {label: simulated(scenario) for label, scenario in case.variants.items()}
        for case in cases()
    }
    written = documents(results)
    for case in cases():
        written[f"docs/{picture_name(case)}"] = picture(case, results[case.name])
    for path, text in written.items():
        (ROOT / path).write_text(text, encoding="utf-8")
    print(f"Wrote {', '.join(written)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Options that several commands of `gpw held` take."""

from typing import Annotated

import typer

LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of held deliveries to process.")
]

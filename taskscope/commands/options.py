"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]
Concurrency = Annotated[
    int | None, typer.Option(help="Tasks that a worker runs at once, unless its variant says.")
]
PrometheusUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="A Prometheus that runs already.")
]
GrafanaUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="TASKSCOPE_GRAFANA_URL", help="A Grafana that runs already."
    ),
]
TempoUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Fetch the traces from the Tempo there.")
]

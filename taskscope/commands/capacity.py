"""`taskscope capacity`: find the highest rate that is sustained."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from taskscope import capacity as searching
from taskscope import rundir
from taskscope.capacity_search import Limits
from taskscope.capacity_show import show
from taskscope.checks import check_scenarios
from taskscope.commands.options import Concurrency, Json
from taskscope.commands.outcome import cells_kept
from taskscope.commands.output import INVALID, keeping, print_result, progress
from taskscope.derive import derive
from taskscope.scenario import load_scenario
from taskscope.session import RunOptions
from taskscope.session import run as run_session
from taskscope.watch import Watch


def capacity(  # noqa: PLR0913 - the options of a search
    scenario: Annotated[str, typer.Argument(metavar="[SCENARIO|FILE.toml]")] = "stress",
    *,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant; repeatable.  [default: the pair]")
    ] = None,
    slo: Annotated[
        float | None, typer.Option(min=0.001, help="p99 of the end-to-end time, in seconds.")
    ] = None,
    first: Annotated[
        float | None, typer.Option("--from", min=1, help="The first rate to try, in tasks/s.")
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="How close the ends are to be: 0.1, with --quick 0.25."),
    ] = None,
    concurrency: Concurrency = None,
    workers: Annotated[int | None, typer.Option(help="Workers of each variant.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the arrivals.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Short trials, ends within 25 %, confirmed once.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run directory.")] = None,
    as_json: Json = False,
) -> None:
    """Find the highest rate that is sustained: p99 within the SLO, no queue that is seen to grow.

    Examples:
        taskscope capacity --quick

        taskscope capacity stress --variant asynctasq --slo 0.1 --from 500

    """
    given = load_scenario(scenario)
    asked = given.override(concurrency=concurrency, workers=workers, seed=seed, quick=quick,
                           variants=given.pair_unless(variant))  # fmt: skip
    wanted = precision or (0.25 if quick else 0.1)
    question = searching.question(
        asked, slo_seconds=slo, first=first, burst_seconds=3.0 if quick else 10.0,
        limits=Limits(wanted, confirmations=1 if quick else 3, trials=40),
    )  # fmt: skip
    check_scenarios([question.scenario])
    directory = rundir.create(out, f"capacity-{asked.name}")
    with keeping(partial(cells_kept, directory)):
        manifest = run_session(
            [question.scenario],
            RunOptions(directory, None, None, 0.01),
            Watch(progress(), 0),
            course=searching.course(question),
        )
    progress().print("deriving the dataset from Prometheus and the traces", highlight=False)
    found = searching.outcome(directory, manifest, derive(directory, manifest, None))
    print_result(as_json, found.as_json(), lambda: show(Console(), found))
    if not found.trustworthy:
        raise typer.Exit(INVALID)

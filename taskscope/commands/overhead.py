"""`taskscope overhead`: the ledger of what instrumentation costs."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from taskscope import overhead as ledgers
from taskscope import rundir
from taskscope.checks import check_scenarios
from taskscope.commands.options import Concurrency, Json
from taskscope.commands.output import INVALID, keeping, print_result, progress
from taskscope.errors import UsageError
from taskscope.matrix import points
from taskscope.overhead_show import outcome, show
from taskscope.overhead_watch import Watch
from taskscope.scenario import load_scenario


def overhead(  # noqa: PLR0913 - the options of a ledger
    scenario: Annotated[str, typer.Argument(metavar="[SCENARIO|FILE.toml]")] = "throughput",
    *,
    variant: Annotated[
        list[str] | None, typer.Option(help="This variant, not the headline pair; repeatable.")
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="Only this mode beside bare; repeatable. See docs/overhead.md."),
    ] = None,
    repetitions: Annotated[
        int | None, typer.Option(help="Blocks: each has every mode once.  [default: 10]")
    ] = None,
    tasks: Annotated[
        int | None, typer.Option(min=1, help="Tasks in each timing.  [default: for 4 s of work]")
    ] = None,
    concurrency: Concurrency = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the order.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="3 blocks of 2 s of work.")] = False,
    into: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="A run to put the ledger into.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Its directory.")] = None,
    as_json: Json = False,
) -> None:
    """Measure what instrumentation costs, and whether it costs one framework more than another.

    Examples:
        taskscope overhead --quick

        taskscope overhead --mode default --mode live --repetitions 20

        taskscope overhead --into runs/20261121T120000-throughput

    """
    given = load_scenario(scenario)
    blocks = (3 if quick else 10) if repetitions is None else repetitions
    asked = given.override(repetitions=blocks, concurrency=concurrency, seed=seed,
                           variants=given.pair_unless(variant))  # fmt: skip
    chosen, *_ = points(asked)
    check_scenarios([chosen])
    if into and out:
        raise UsageError("--into and --out exclude each other: a ledger put into a run lies there.",
                         "Leave one of them out.")  # fmt: skip
    modes, skipped = ledgers.choose_modes(chosen, mode)
    if into:
        ledgers.check_into(into, chosen)
    ledgers.check_services()
    directory = rundir.create(into / ledgers.FOLDER if into else out, "overhead")
    options = ledgers.Options(directory, modes, skipped, tasks, 2.0 if quick else 4.0)
    with keeping(partial(_timings_kept, directory)):
        manifest = ledgers.run(chosen, options, Watch(progress()))
    if into:
        ledgers.put_into(into, directory)
    found = outcome(str(directory), manifest)
    print_result(as_json, found.as_json(), lambda: show(Console(), found))
    if not found.trustworthy:
        raise typer.Exit(INVALID)


def _timings_kept(directory: Path) -> str:
    if taken := ledgers.taken(directory):
        return f"Timings taken: {taken}. What they amount to is in {directory / 'dataset'}"
    return ""

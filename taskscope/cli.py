"""The command line. Each command is a few lines: what it does lies in the modules it names."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from compose.errors import ServiceError
from taskscope import doctor as doctor_checks
from taskscope import grafana, interruption, rundir, slowest, waterfall
from taskscope.derive import derive, load
from taskscope.errors import MissingServiceError, TaskscopeError, UsageError
from taskscope.plan import plan
from taskscope.scenario import builtin_scenarios, load_scenario
from taskscope.session import RunOptions, check_scenarios
from taskscope.session import run as run_session
from taskscope.show import show
from taskscope.summary import Summary, summarise
from taskscope.watch import Watch

_INVALID = 4

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Compare Python task queues by observing them.

Exit codes: 0 done and every cell exact, 1 failed, 2 wrong usage, 3 a service is missing or failed,
4 done but some cells are invalid, 130 interrupted, 143 terminated.""",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]
PrometheusUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="A Prometheus that runs already.")
]


@app.command()
def run(  # noqa: PLR0913 - the options of a run
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO|FILE.toml]...", show_default=False)
    ] = None,
    *,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant; repeatable.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="Tasks in each repetition.")] = None,
    repetitions: Annotated[int | None, typer.Option(help="Repetitions of each variant.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Tasks that a worker runs at once.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Send at this rate, in tasks/s.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of order and arrivals.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer tasks, the headline pair.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run directory.")] = None,
    redis_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A Redis that runs already, and is empty.")
    ] = None,
    prometheus_url: PrometheusUrl = None,
    trace_ratio: Annotated[
        float, typer.Option(min=0, max=1, help="Share of tasks run inside a live SDK span.")
    ] = 0.01,
    as_json: Json = False,
) -> None:
    """Measure scenarios and compare their headline variants.

    Examples:
        taskscope run throughput --quick

        taskscope run throughput --variant asynctasq --variant celery-prefork --repetitions 5

        taskscope run my.toml --rate 200 --out runs/at-200 --json > result.json

    """
    chosen = [
        load_scenario(name).override(
            count=tasks, repetitions=repetitions, concurrency=concurrency, rate=rate, seed=seed,
            variants=variant, quick=quick,
        )
        for name in (scenarios or ["throughput"])
    ]  # fmt: skip
    check_scenarios(chosen)
    directory = rundir.create(out, "-".join(scenario.name for scenario in chosen))
    options = RunOptions(directory, redis_url, prometheus_url, trace_ratio)
    watch = Watch(_progress(), len(plan(chosen)))
    with _keeping(directory):
        manifest = run_session(chosen, options, watch)
    _progress().print("deriving the dataset from Prometheus and the traces", highlight=False)
    data = derive(directory, manifest, prometheus_url)
    _finish(summarise(directory, manifest, data), as_json=as_json)


@app.command()
def extract(
    directory: Directory, *, prometheus_url: PrometheusUrl = None, as_json: Json = False
) -> None:
    """Derive the dataset of a run again, from its stored series and traces.

    Example:
        taskscope extract runs/20261121T120000-throughput

    """
    manifest = rundir.open_run(directory)
    data = derive(directory, manifest, prometheus_url)
    _finish(summarise(directory, manifest, data), as_json=as_json)


@app.command()
def compare(
    directory: Directory,
    *,
    variant: Annotated[
        list[str] | None, typer.Option(help="Give two, to compare others than the headline's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two variants of a run.

    Example:
        taskscope compare runs/at-200 --variant asynctasq --variant celery-prefork

    """
    manifest = rundir.open_run(directory)
    pair = _pair(variant)
    summary = summarise(directory, manifest, load(directory, manifest), pair)
    if pair and not summary.comparisons:
        known = sorted({v["name"] for s in manifest.scenarios for v in s["variants"]})
        raise UsageError(f"No scenario of this run has both {pair[0]} and {pair[1]}.",
                         f"Its variants: {', '.join(known)}.")  # fmt: skip
    _finish(summary, as_json=as_json)


@app.command()
def trace(  # noqa: PLR0913 - the options of a question
    directory: Directory,
    *,
    count: Annotated[
        int, typer.Option("--slowest", min=1, metavar="N", help="How many tasks to show.")
    ] = 10,
    task: Annotated[str | None, typer.Option(help="One task, by its id: all attempts.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Failed tasks only.")] = False,
    addresses: Annotated[
        bool, typer.Option("--open", help="Print the traces' addresses in Grafana.")
    ] = False,
    grafana_url: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="TASKSCOPE_GRAFANA_URL", help="Grafana, for --open."),
    ] = None,
    tempo_datasource: Annotated[
        str, typer.Option(metavar="UID", help="Grafana's data source with the traces.")
    ] = "tempo",
    as_json: Json = False,
) -> None:
    """Show where the time of single tasks went, and why.

    Examples:
        taskscope trace runs/20261121T120000-throughput --slowest 20

        taskscope trace runs/20261121T120000-throughput --task 5b1e…

        taskscope trace runs/20261121T120000-throughput --failed --open --grafana-url http://host:3000

    """
    manifest = rundir.open_run(directory)
    base = grafana.base(grafana_url) if addresses else ""
    question = slowest.Question(count, task, failed=failed)
    records = slowest.answer(directory, manifest, load(directory, manifest), question)
    if addresses:
        records = slowest.with_addresses(records, base, tempo_datasource)
    draw = waterfall.show_attempts if task else waterfall.show_table
    _print(as_json, records, lambda: draw(Console(), records))


@app.command()
def scenarios(*, as_json: Json = False) -> None:
    """List the scenarios that come with taskscope."""
    known = [
        {"name": s.name, "title": s.title, "variants": [v.name for v in s.variants]}
        for s in builtin_scenarios()
    ]
    lines = [f"{s['name']:<16}{s['title']}  [{', '.join(s['variants'])}]" for s in known]
    _print(as_json, known, lambda: typer.echo("\n".join(lines)))


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Say whether this machine can run a trustworthy comparison; exit code 1 if it cannot."""
    checks = doctor_checks.diagnose(doctor_checks.read_machine(rundir.DEFAULT_PARENT))
    _print(as_json, doctor_checks.as_json(checks),
           lambda: Console().print(doctor_checks.render(checks)))  # fmt: skip
    raise typer.Exit(doctor_checks.exit_status(checks))


def _pair(variants: list[str] | None) -> tuple[str, str] | None:
    if not variants:
        return None
    if len(variants) != 2 or variants[0] == variants[1]:  # noqa: PLR2004 - a pair
        raise UsageError("compare needs exactly two different --variant options.",
                         "Give two, or none for the headline pair.")  # fmt: skip
    return variants[0], variants[1]


def _finish(summary: Summary, *, as_json: bool) -> None:
    _print(as_json, summary.as_json(), lambda: show(Console(), summary))
    if not summary.trustworthy:
        raise typer.Exit(_INVALID)


def _print(as_json: bool, document: Any, for_people: Callable[[], Any]) -> None:  # noqa: FBT001
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        for_people()


def _progress() -> Console:
    return Console(stderr=True)


@contextmanager
def _keeping(directory: Path) -> Iterator[None]:
    """Whatever ends a run early, say what is kept and how to use it."""
    try:
        yield
    except (KeyboardInterrupt, TaskscopeError, ServiceError):
        if directory.is_dir() and (measured := len(rundir.open_run(directory).cells)):
            text = f"{measured} cells were measured and are kept: taskscope extract {directory}"
            _progress().print(Text(text), soft_wrap=True)
        raise


def main() -> None:
    """Run the command line; turn errors that a user can cause into two lines and an exit code."""
    interruption.install()
    try:
        code = app(standalone_mode=False) or 0  # Typer returns the code of an Exit
    except (TaskscopeError, ServiceError) as error:
        code = _explain(error)
    except typer.TyperException as error:  # wrong usage
        error.show()  # type: ignore[attr-defined]
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = 1  # only a signal interrupts, and has the last word
    sys.exit(interruption.exit_code() or code)


def _explain(error: TaskscopeError | ServiceError) -> int:
    console = _progress()
    console.print(Text(f"taskscope: {error.cause}", style="bold red"), soft_wrap=True)
    console.print(Text(error.remedy), soft_wrap=True)
    return error.exit_code if isinstance(error, TaskscopeError) else MissingServiceError.exit_code


if __name__ == "__main__":
    main()

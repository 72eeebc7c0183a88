"""The command line. Each command is a few lines: what it does lies in the modules it names."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from compose import interruption
from compose.errors import ServiceError
from extract.dataset import Dataset
from extract.manifest import Manifest
from grafana import TEMPO_UID
from taskscope import capacity as searching
from taskscope import doctor as doctor_checks
from taskscope import exporting, grafana, listing, rundir, slowest, waterfall
from taskscope import overhead as ledgers
from taskscope import targets as target_files
from taskscope import together as both
from taskscope.capacity_search import Limits
from taskscope.capacity_show import show as show_capacity
from taskscope.checks import check_options, check_scenarios
from taskscope.derive import derive, load
from taskscope.errors import MissingServiceError, TaskscopeError, UsageError
from taskscope.matrix import points
from taskscope.overhead_show import outcome
from taskscope.overhead_show import show as show_ledger
from taskscope.overhead_watch import Watch as LedgerWatch
from taskscope.placement import placement, without_bounds
from taskscope.plan import plan
from taskscope.scenario import Scenario, builtin_scenarios, load_scenario
from taskscope.session import RunOptions
from taskscope.session import run as run_session
from taskscope.watch import Watch

if TYPE_CHECKING:
    from taskscope.grafana_marks import Marks
    from taskscope.summary import Summary

_INVALID, _FIRED = 4, 5

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Compare Python task queues by observing them.

Exit codes: 0 done and every cell exact, 1 failed, 2 wrong usage, 3 a service is missing or failed,
4 done but some cells are invalid (of capacity: some end is not known), 5 a condition of --fail-if
has fired, 130 interrupted, 143 terminated.""",
)
grafana_app = typer.Typer(no_args_is_help=True, help="Grafana: the dashboards, in one of yours.")
app.add_typer(grafana_app, name="grafana")

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
    concurrency: Concurrency = None,
    workers: Annotated[int | None, typer.Option(help="Workers of each variant.")] = None,
    rate: Annotated[float | None, typer.Option(help="Send at this rate, in tasks/s.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of order and arrivals.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer tasks, the headline pair.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run directory.")] = None,
    redis_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A Redis that runs already, and is empty.")
    ] = None,
    prometheus_url: PrometheusUrl = None,
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send spans there by OTLP/HTTP, and not into files."),
    ] = None,
    tempo_url: TempoUrl = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Serve metrics there, for a Prometheus elsewhere."),
    ] = None,
    worker_at: Annotated[
        list[str] | None,
        typer.Option(metavar="VARIANT=HOST:PORT", help="A worker that runs already; repeatable."),
    ] = None,
    trace_ratio: Annotated[
        float, typer.Option(min=0, max=1, help="Share of tasks run inside a live SDK span.")
    ] = 0.01,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Afterwards, profile each variant's worker, twice."),
    ] = False,
    together: Annotated[
        bool,
        typer.Option(
            "--together",
            help="Both sides at once, with half of the machine each, "
            "to watch them live: no verdict comes of it.",
        ),
    ] = False,
    grafana_url: GrafanaUrl = None,
    as_json: Json = False,
) -> None:
    """Measure scenarios and compare their headline variants.

    Examples:
        taskscope run throughput --quick

        taskscope run throughput --variant asynctasq --variant celery-prefork --repetitions 5

        taskscope run my.toml --rate 200 --out runs/at-200 --json > result.json

        taskscope run known-answer --together --grafana-url http://127.0.0.1:3000

    """
    asked = [
        load_scenario(name).override(
            count=tasks, repetitions=repetitions, concurrency=concurrency, workers=workers,
            rate=rate, seed=seed, variants=variant, quick=quick,
        )
        for name in (scenarios or ["throughput"])
    ]  # fmt: skip
    check_options(profile=profile, together=together, elsewhere=bool(worker_at))
    base = grafana.base(grafana_url) if grafana_url else ""
    if together:
        halve = partial(both.halve, chosen=bool(variant))
        chosen = [point for scenario in asked for point in points(scenario, halve)]
    else:
        chosen = [point for scenario in asked for point in points(scenario)]
    check_scenarios(chosen)
    where = placement(listen, worker_at or (), chosen, redis_url)
    if where.workers:
        chosen = without_bounds(chosen)
    directory = rundir.create(out, "-".join(scenario.name for scenario in asked))
    options = RunOptions(
        directory, redis_url, prometheus_url, trace_ratio, profile, together,
        otlp_endpoint, tempo_url, where,
    )  # fmt: skip
    watch = Watch(_progress(), len(both.steps(plan(chosen), together=together)))
    marks = _marks(base, chosen) if base else None
    with _keeping(directory):
        manifest = run_session(chosen, options, watch, marks=marks)
    _progress().print("deriving the dataset from Prometheus and the traces", highlight=False)
    data = derive(directory, manifest, prometheus_url, tempo_url, _say)
    _finish(directory, manifest, data, as_json=as_json)


@app.command()
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
                           variants=variant or list(given.headline) or None)  # fmt: skip
    wanted = precision or (0.25 if quick else 0.1)
    question = searching.question(
        asked, slo_seconds=slo, first=first, burst_seconds=3.0 if quick else 10.0,
        limits=Limits(wanted, confirmations=1 if quick else 3, trials=40),
    )  # fmt: skip
    check_scenarios([question.scenario])
    directory = rundir.create(out, f"capacity-{asked.name}")
    with _keeping(directory):
        manifest = run_session(
            [question.scenario],
            RunOptions(directory, None, None, 0.01),
            Watch(_progress(), 0),
            course=searching.course(question),
        )
    _progress().print("deriving the dataset from Prometheus and the traces", highlight=False)
    found = searching.outcome(directory, manifest, derive(directory, manifest, None))
    _print(as_json, found.as_json(), lambda: show_capacity(Console(), found))
    if not found.trustworthy:
        raise typer.Exit(_INVALID)


@app.command()
def extract(
    directory: Directory,
    *,
    prometheus_url: PrometheusUrl = None,
    tempo_url: TempoUrl = None,
    as_json: Json = False,
) -> None:
    """Derive the dataset of a run again, from its stored series and traces.

    Examples:
        taskscope extract runs/20261121T120000-throughput

        taskscope extract runs/20261121T120000-throughput --tempo-url http://tempo:3200

    """
    manifest = rundir.open_run(directory)
    data = derive(directory, manifest, prometheus_url, tempo_url, _say)
    _finish(directory, manifest, data, as_json=as_json)


@app.command()
def compare(  # noqa: PLR0913 - the options of a comparison
    directory: Directory,
    *,
    variants: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Compare A with B, not the headline pair."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="OLDER", help="Compare every variant with itself in an older run."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this figure; repeatable. See docs/queries.md.")
    ] = None,
    margin: Annotated[str, typer.Option(help="What counts as equivalent.")] = "5%",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="COND", help="Exit with 5 if this is shown to be so; repeatable."),
    ] = None,
    undecided_fails: Annotated[
        bool, typer.Option("--undecided-fails", help="An undecided condition counts as fired.")
    ] = False,
    source: Annotated[
        Literal["promql", "traces"],
        typer.Option(help="Figures by Prometheus, or from the traces: exact, and fewer."),
    ] = "promql",
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare two variants of a run, or a run with an older one; say what is proven.

    A condition is a figure, < or >, and a change of the first side (or newer run) against the
    second, in percent. It fires where the whole 95 % interval lies beyond, and never on noise.

    Examples:
        taskscope compare runs/at-200

        taskscope compare runs/at-200 --variants asynctasq celery-prefork --metric throughput

        taskscope compare runs/new --baseline runs/old --fail-if 'throughput < -5%' --markdown

    """
    if as_markdown and as_json:
        raise UsageError("--markdown and --json exclude each other.", "Leave one of them out.")
    from taskscope import comparing, markdown  # noqa: PLC0415 - brings scipy, which takes long

    question = comparing.Question(
        directory, variants, baseline, metric or (), margin, fail_if or (), source
    )
    summary = comparing.compare(question)
    if as_markdown:
        typer.echo(markdown.markdown(summary), nl=False)
    else:
        _print_summary(summary, as_json=as_json)
    if comparing.stopped(summary, undecided_fails=undecided_fails):
        raise typer.Exit(_FIRED)
    if not summary.trustworthy:
        raise typer.Exit(_INVALID)


@app.command()
def export(
    directory: Directory,
    *,
    form: Annotated[
        Literal["legacy"],
        typer.Option("--format", help="A CSV file and statistics for each scenario, as JSON."),
    ] = "legacy",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to.  [default: results/ in the run]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's dataset in another form: that of the older suite.

    Example:
        taskscope export runs/20261121T120000-throughput --format legacy --out results

    """
    written = exporting.export(directory, form, out)
    _print(as_json, written, lambda: typer.echo("\n".join(written)))


@app.command()
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
                           variants=variant or list(given.headline) or None)  # fmt: skip
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
    with _keeping_timings(directory):
        manifest = ledgers.run(chosen, options, LedgerWatch(_progress()))
    if into:
        ledgers.put_into(into, directory)
    found = outcome(str(directory), manifest)
    _print(as_json, found.as_json(), lambda: show_ledger(Console(), found))
    if not found.trustworthy:
        raise typer.Exit(_INVALID)


@app.command()
def trace(  # noqa: PLR0913 - the options of a question
    directory: Directory,
    *,
    count: Annotated[
        int,
        typer.Option("--slowest", min=1, metavar="N", help="How many, the slowest first."),
    ] = 10,
    task: Annotated[str | None, typer.Option(help="One task, by its id: all attempts.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only tasks that failed.")] = False,
    addresses: Annotated[
        bool, typer.Option("--open", help="Print the traces' addresses in Grafana.")
    ] = False,
    grafana_url: GrafanaUrl = None,
    tempo_datasource: Annotated[
        str, typer.Option(metavar="UID", help="Grafana's data source with the traces.")
    ] = TEMPO_UID,
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
def report(directory: Directory, *, as_json: Json = False) -> None:
    """Write a run's report: one HTML file that needs no network, a summary, and the charts.

    Example:
        taskscope report runs/20261121T120000-throughput

    """
    from taskscope.reporting import write_report  # noqa: PLC0415 - scipy takes a second to import

    manifest = rundir.open_run(directory)
    both.refuse(manifest, directory)
    written = [str(path) for path in write_report(directory, manifest, load(directory, manifest))]
    _print(as_json, {"page": written[0], "files": written},
           lambda: Console().print(Text(f"Report: {written[0]}"), soft_wrap=True))  # fmt: skip


@grafana_app.command()
def push(
    *,
    grafana_url: GrafanaUrl = None,
    prometheus_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Prometheus, as Grafana's server reaches it."),
    ] = None,
    tempo_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Tempo, as Grafana's server reaches it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Install or update data sources, folder and dashboards in a Grafana that runs already.

    The token of a service account comes from TASKSCOPE_GRAFANA_TOKEN. Without --prometheus-url or
    --tempo-url, that data source is left alone: each dashboard lets one choose another.

    Example:
        taskscope grafana push --grafana-url http://host:3000 --prometheus-url http://prometheus:9090

    """
    from taskscope.grafana_push import Sources, push_all  # noqa: PLC0415 - brings the client

    done = push_all(grafana.base(grafana_url), Sources(prometheus_url, tempo_url))
    lines = [f"{one.what:<12}{one.name}: {one.outcome}" for one in done]
    _print(as_json, [asdict(one) for one in done], lambda: typer.echo("\n".join(lines)))


@app.command()
def targets(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="A folder of targets.", show_default=False)
    ] = rundir.DEFAULT_PARENT / "targets",
    *,
    serve: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve them, for Prometheus' http_sd.")
    ] = None,
) -> None:
    """Print what runs announce to Prometheus, or serve it to one that cannot read the folder.

    Examples:
        taskscope targets

        taskscope targets runs/targets --serve 10.0.0.5:9465

    """
    if not serve:
        typer.echo(json.dumps(target_files.collect(directory), indent=2))
        return
    with target_files.serving(directory, serve) as url:
        _say(f"serving the targets of {directory} at {url} until interrupted")
        interruption.wait()


@app.command()
def scenarios(*, as_json: Json = False) -> None:
    """List the scenarios that come with taskscope."""
    known = builtin_scenarios()
    _print(as_json, [listing.as_json(s) for s in known],
           lambda: typer.echo("\n\n".join(listing.describe(s) for s in known)))  # fmt: skip


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Say whether this machine can run a trustworthy comparison; exit code 1 if it cannot."""
    checks = doctor_checks.diagnose(doctor_checks.read_machine(rundir.DEFAULT_PARENT))
    _print(as_json, doctor_checks.as_json(checks),
           lambda: Console().print(doctor_checks.render(checks)))  # fmt: skip
    raise typer.Exit(doctor_checks.exit_status(checks))


def _finish(directory: Path, manifest: Manifest, data: Dataset, *, as_json: bool) -> None:
    if manifest.together:
        document = both.outcome(directory, manifest, data)
        _print(as_json, document, lambda: typer.echo("\n".join(both.described(document))))
        if document["problems"]:
            raise typer.Exit(_INVALID)
        return
    from taskscope.summary import summarise  # noqa: PLC0415 - brings scipy, which takes long

    summary = summarise(directory, manifest, data)
    _print_summary(summary, as_json=as_json)
    if not as_json:
        text = f"A page of it, to read and to send: taskscope report {directory}"
        Console().print(Text(text), soft_wrap=True)
    if not summary.trustworthy:
        raise typer.Exit(_INVALID)


def _print_summary(summary: "Summary", *, as_json: bool) -> None:
    from taskscope.show import show  # noqa: PLC0415 - see above

    _print(as_json, summary.as_json(), lambda: show(Console(), summary))


def _print(as_json: bool, document: Any, for_people: Callable[[], Any]) -> None:  # noqa: FBT001
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        for_people()


def _progress() -> Console:
    return Console(stderr=True)


def _say(text: str) -> None:
    _progress().print(Text(text), soft_wrap=True)


def _marks(base_url: str, scenarios: Sequence[Scenario]) -> "Marks":
    from taskscope.grafana_marks import Marks  # noqa: PLC0415 - brings the client

    pairs = {s.name: s.headline or (s.variants[0].name, "") for s in scenarios}
    return Marks(base_url, pairs, _say)


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


@contextmanager
def _keeping_timings(directory: Path) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, TaskscopeError, ServiceError):
        if taken := ledgers.taken(directory):
            text = f"Timings taken: {taken}. What they amount to is in {directory / 'dataset'}"
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

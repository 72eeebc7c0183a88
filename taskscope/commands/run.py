"""`taskscope run`: measure scenarios and compare their headline variants."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskscope import grafana, rundir
from taskscope import together as both
from taskscope.checks import check_options, check_scenarios
from taskscope.commands.options import Concurrency, GrafanaUrl, Json, PrometheusUrl, TempoUrl
from taskscope.commands.outcome import cells_kept, finish
from taskscope.commands.output import keeping, progress, say
from taskscope.derive import derive
from taskscope.matrix import points
from taskscope.placement import placement, without_bounds
from taskscope.plan import plan
from taskscope.scenario import Scenario, load_scenario
from taskscope.session import RunOptions
from taskscope.session import run as run_session
from taskscope.watch import Watch

if TYPE_CHECKING:
    from taskscope.grafana_marks import Marks


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
    watch = Watch(progress(), len(both.steps(plan(chosen), together=together)))
    marks = _marks(base, chosen) if base else None
    with keeping(partial(cells_kept, directory)):
        manifest = run_session(chosen, options, watch, marks=marks)
    progress().print("deriving the dataset from Prometheus and the traces", highlight=False)
    data = derive(directory, manifest, prometheus_url, tempo_url, say)
    finish(directory, manifest, data, as_json=as_json)


def _marks(base_url: str, scenarios: Sequence[Scenario]) -> "Marks":
    from taskscope.grafana_marks import Marks  # noqa: PLC0415 - brings the client

    pairs = {s.name: s.headline or (s.variants[0].name, "") for s in scenarios}
    return Marks(base_url, pairs, say)

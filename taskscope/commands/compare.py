"""`taskscope compare`: what is proven of two variants, or of a run and an older one."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from taskscope.commands.options import Directory, Json
from taskscope.commands.outcome import print_summary
from taskscope.commands.output import FIRED, INVALID
from taskscope.errors import UsageError


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
        print_summary(summary, as_json=as_json)
    if comparing.stopped(summary, undecided_fails=undecided_fails):
        raise typer.Exit(FIRED)
    if not summary.trustworthy:
        raise typer.Exit(INVALID)

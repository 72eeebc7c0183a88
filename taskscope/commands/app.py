"""Which commands there are."""

import typer

from taskscope.commands.capacity import capacity
from taskscope.commands.compare import compare
from taskscope.commands.doctor import doctor
from taskscope.commands.export import export
from taskscope.commands.extract import extract
from taskscope.commands.overhead import overhead
from taskscope.commands.push import push
from taskscope.commands.report import report
from taskscope.commands.run import run
from taskscope.commands.scenarios import scenarios
from taskscope.commands.targets import targets
from taskscope.commands.trace import trace

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
for command in (
    run, capacity, extract, compare, export, overhead, trace, report, targets, scenarios, doctor,
):  # fmt: skip
    app.command()(command)
grafana_app = typer.Typer(no_args_is_help=True, help="Grafana: the dashboards, in one of yours.")
grafana_app.command()(push)
app.add_typer(grafana_app, name="grafana")

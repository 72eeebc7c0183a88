"""The command line: the commands, and what becomes of their errors and of Ctrl-C."""

import sys

import typer
from rich.text import Text

from compose import interruption
from compose.errors import ServiceError
from taskscope.commands.capacity import capacity
from taskscope.commands.compare import compare
from taskscope.commands.doctor import doctor
from taskscope.commands.export import export
from taskscope.commands.extract import extract
from taskscope.commands.output import progress
from taskscope.commands.overhead import overhead
from taskscope.commands.push import push
from taskscope.commands.report import report
from taskscope.commands.run import run
from taskscope.commands.scenarios import scenarios
from taskscope.commands.targets import targets
from taskscope.commands.trace import trace
from taskscope.errors import MissingServiceError, TaskscopeError

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
    console = progress()
    console.print(Text(f"taskscope: {error.cause}", style="bold red"), soft_wrap=True)
    console.print(Text(error.remedy), soft_wrap=True)
    return error.exit_code if isinstance(error, TaskscopeError) else MissingServiceError.exit_code


if __name__ == "__main__":
    main()

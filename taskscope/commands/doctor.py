"""`taskscope doctor`: whether this machine can run a trustworthy comparison."""

import typer
from rich.console import Console

from taskscope import doctor as checking
from taskscope import rundir
from taskscope.commands.options import Json
from taskscope.commands.output import print_result


def doctor(*, as_json: Json = False) -> None:
    """Say whether this machine can run a trustworthy comparison; exit code 1 if it cannot."""
    checks = checking.diagnose(checking.read_machine(rundir.DEFAULT_PARENT))
    print_result(as_json, checking.as_json(checks),
                 lambda: Console().print(checking.render(checks)))  # fmt: skip
    raise typer.Exit(checking.exit_status(checks))

"""The command line: what becomes of errors that a user can cause, and of Ctrl-C."""

import sys

import typer
from rich.text import Text

from compose.errors import ServiceError
from taskscope import interruption
from taskscope.commands.output import progress
from taskscope.errors import MissingServiceError, TaskscopeError


def main() -> None:
    """Run the command line; turn errors that a user can cause into two lines and an exit code."""
    interruption.install()
    try:
        # It takes a second or more, in which Ctrl-C may come.
        from taskscope.commands.app import app  # noqa: PLC0415

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

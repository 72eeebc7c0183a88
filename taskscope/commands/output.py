"""What commands print, and where: results on stdout, all else on stderr."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text

from compose.errors import ServiceError
from taskscope.errors import TaskscopeError

#: Exit codes of what was done to its end.
INVALID: Final = 4
FIRED: Final = 5


def print_result(as_json: bool, document: Any, for_people: Callable[[], Any]) -> None:  # noqa: FBT001
    """Print a result as one JSON document, or as people read it."""
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        for_people()


def progress() -> Console:
    """Return the console for what is no result."""
    return Console(stderr=True)


def say(text: str) -> None:
    """Print a line that is no result, and that nothing breaks."""
    progress().print(Text(text), soft_wrap=True)


@contextmanager
def keeping(kept: Callable[[], str]) -> Iterator[None]:
    """Whatever ends the block early, say what is kept and how to use it, if anything is."""
    try:
        yield
    except (KeyboardInterrupt, TaskscopeError, ServiceError):
        if text := kept():
            say(text)
        raise

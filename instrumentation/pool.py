"""What runs around a task in a process pool's child: it tells when the code began and ended."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from time import time_ns
from typing import Any, NamedTuple

_TIMES = "_taskqueue_times"
_began: int = 0


class Timed(NamedTuple):
    """A call's result, and the instants around it in the child, in Unix nanoseconds."""

    result: Any
    started: int
    completed: int


def begin_now() -> None:
    """Say that the task's own code begins now: what came before was preparation."""
    global _began  # noqa: PLW0603 - a pool child runs one task at a time
    _began = time_ns()


def timed_call(call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Timed:
    """Call, and return the result with its instants; an exception carries them as an attribute."""
    begin_now()
    try:
        return Timed(call(*args, **kwargs), _began, time_ns())
    except BaseException as error:
        with suppress(AttributeError, TypeError):  # some exceptions take no attributes
            setattr(error, _TIMES, (_began, time_ns()))
        raise


def unwrap(done: Future[Any], ran: Callable[[int, int], None]) -> None:
    """Tell `ran` the instants, and leave in the future what the call itself returned.

    As the first callback of the future it runs before an event loop sees the result. The future
    stays the executor's own, so that cancelling it works as ever.
    """
    if done.cancelled():
        return
    error = done.exception()
    if error is None:
        timed = done.result()
        done._result = timed.result  # noqa: SLF001
        ran(timed.started, timed.completed)
    elif times := getattr(error, _TIMES, None):
        ran(*times)

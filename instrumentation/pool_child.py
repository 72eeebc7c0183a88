"""What runs around a task in a process pool's child: it tells when the code began and ended.

It tells at once, in memory that its parent can read (`pool_parent`): so the parent knows when it
began of a child that was killed, or that outlives its task's time limit. The task's result passes
through untouched.
"""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from time import time_ns
from typing import Any

_INSTANT = struct.Struct("=q")
#: A place in that memory holds when its call began and when it ended, 0 for not yet.
PLACE = struct.Struct("=qq")
_NOWHERE = -1
_NOBODY = (_NOWHERE, 0)
_tell: tuple[int, int] = _NOBODY  # the file, and the place in it, of the call that runs here

#: By what path a child opens a parent's file, and a number, as paths come again.
type Where = tuple[str, int]


def timed_call(
    where: Where, place: int, traceparent: str, call: Callable[..., Any], /, *args: Any, **more: Any
) -> Any:
    """Call in the child, with the task's span as the current one, and tell when that was."""
    global _tell  # noqa: PLW0603 - a pool child runs one task at a time
    _tell = _open(where), place * PLACE.size
    begin_now()
    try:
        with _span(traceparent):
            return call(*args, **more)
    finally:
        _write(_INSTANT.size)
        _tell = _NOBODY  # what runs here next may be nobody's attempt


def begin_now() -> None:
    """Say that the task's own code begins now: what came before was preparation."""
    _write(0)


def _write(offset: int) -> None:
    file, start = _tell
    with suppress(OSError):  # its parent is gone, or nothing was opened
        os.pwrite(file, _INSTANT.pack(time_ns()), start + offset)


@cache
def _open(where: Where) -> int:
    try:
        return os.open(where[0], os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return _NOWHERE


@contextmanager
def _span(traceparent: str) -> Iterator[None]:
    """Make the span that a traceparent names the current one."""
    # Only here, as a child that runs another task of its own accord has no use for it.
    from opentelemetry import context, trace  # noqa: PLC0415

    _, trace_id, span_id, flags = traceparent.split("-")
    span = trace.NonRecordingSpan(
        trace.SpanContext(
            int(trace_id, 16),
            int(span_id, 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(int(flags, 16)),
        )
    )
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context.detach(token)

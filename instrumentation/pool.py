"""What runs around a task in a process pool's child: it tells when the code began and ended.

It tells at once, in memory that its parent can read: so the parent knows when it began of a child
that was killed, or that outlives its task's time limit. The task's result passes through untouched.
"""

import logging
import os
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import count
from pathlib import Path
from time import time_ns
from typing import Any

from instrumentation.once import Once

_log = logging.getLogger(__name__)
_INSTANT = struct.Struct("=q")
#: A place holds when its call began and when it ended, 0 for not yet.
_PLACE = struct.Struct("=qq")
_NOT_YET = _PLACE.pack(0, 0)
_NOWHERE = -1
_tell: tuple[int, int] = (_NOWHERE, 0)  # the file, and the place in it, of the call that runs here
_serial = count()

#: By what path a child opens a parent's file, and a number, as paths come again.
type Where = tuple[str, int]


class Places:
    """The parent's side: a place for each call that its pool's children have under way."""

    def __init__(self) -> None:
        self._file, path, forget = _shared_file()
        self.where: Where = path, next(_serial)
        weakref.finalize(self, forget)
        self._free: list[int] = []
        self._unused = count()
        self._complain = Once(_log.error)

    def take(self) -> int:
        """Return a place for a new call."""
        try:
            place = self._free.pop()
        except IndexError:
            place = next(self._unused)
        os.pwrite(self._file, _NOT_YET, place * _PLACE.size)
        return place

    def read(self, place: int) -> tuple[int, int]:
        """Return when the call began and when it ended, in Unix nanoseconds; 0 for not yet."""
        began, ended = _PLACE.unpack(os.pread(self._file, _PLACE.size, place * _PLACE.size))
        return began, ended

    def give_back(self, place: int) -> None:
        """Take a place back, once its call can write no more."""
        self._free.append(place)

    def complain(self) -> None:
        """Say once that children are not heard of."""
        path, _ = self.where
        self._complain("when process tasks begin is not known: no child could open %s", path)


def timed_call(
    where: Where, place: int, traceparent: str, call: Callable[..., Any], /, *args: Any, **more: Any
) -> Any:
    """Call in the child, with the task's span as the current one, and tell when that was."""
    global _tell  # noqa: PLW0603 - a pool child runs one task at a time
    _tell = _open(where), place * _PLACE.size
    begin_now()
    try:
        with _span(traceparent):
            return call(*args, **more)
    finally:
        _write(_INSTANT.size)


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


def _shared_file() -> tuple[int, str, Callable[[], None]]:
    """Return a file, a path by which other processes open it, and how to be rid of it."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("taskqueue-places")
        return file, f"/proc/{os.getpid()}/fd/{file}", partial(os.close, file)
    file, path = tempfile.mkstemp()

    def forget() -> None:
        os.close(file)
        Path(path).unlink(missing_ok=True)

    return file, path, forget

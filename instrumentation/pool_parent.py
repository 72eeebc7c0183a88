"""Tasks that a process pool runs: the worker hands them over, and asks when they began and ended.

Its children answer in memory that both share (`pool_child`), at once: a child that is killed, or
that outlives its task's time limit, has told what it knew.
"""

import logging
import os
import tempfile
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import count
from pathlib import Path
from time import time_ns
from typing import Any

from instrumentation.attempt import Attempt
from instrumentation.once import Once
from instrumentation.pool_child import PLACE, Where, timed_call
from instrumentation.propagation import current_task

_log = logging.getLogger(__name__)
_NOT_YET = PLACE.pack(0, 0)
_serial = count()
#: How to ask about the attempts that pools have under way.
_in_pools: dict[int, Callable[[], tuple[int, int]]] = {}


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
        os.pwrite(self._file, _NOT_YET, place * PLACE.size)
        return place

    def read(self, place: int) -> tuple[int, int]:
        """Return when the call began and when it ended, in Unix nanoseconds; 0 for not yet."""
        began, ended = PLACE.unpack(os.pread(self._file, PLACE.size, place * PLACE.size))
        return began, ended

    def give_back(self, place: int) -> None:
        """Take a place back, once its call can write no more."""
        self._free.append(place)

    def complain(self) -> None:
        """Say once that children are not heard of."""
        path, _ = self.where
        self._complain("when process tasks begin is not known: no child could open %s", path)


def submitting(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    """Wrap a pool's `submit`: of the call that an attempt stands for, note when its code ran.

    What a running task submits on its own account is none of ours.
    """
    places = Places()

    def submit_timed(*call: Any, **kwargs: Any) -> Future[Any]:
        attempt = current_task.get()
        if not isinstance(attempt, Attempt) or attempt.started:
            return submit(*call, **kwargs)
        place, traceparent = places.take(), attempt.ids().traceparent()
        try:
            future = submit(timed_call, places.where, place, traceparent, *call, **kwargs)
        except BaseException:  # the pool is broken, or closed
            places.give_back(place)
            raise
        _in_pools[id(attempt)] = partial(places.read, place)

        def done(future: Future[Any]) -> None:
            ask_pool(attempt)
            del _in_pools[id(attempt)]
            places.give_back(place)
            if not attempt.started and not future.cancelled() and future.exception() is None:
                places.complain()

        # The first of its callbacks: before an event loop sees a result.
        future.add_done_callback(done)
        return future

    return submit_timed


def ask_pool(attempt: Attempt) -> None:
    """Learn when its code began in a pool's child, and when it ended, if not now."""
    if ask := _in_pools.get(id(attempt)):
        began, ended = ask()
        if began:
            attempt.ran(began, ended or time_ns())


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

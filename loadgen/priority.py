"""Lets a generator with a schedule run when a task is due, however busy its machine is.

Real-time scheduling, where the system permits it: root does, and a user with CAP_SYS_NICE. Below
saturation the generator sleeps most of the time, so it takes from the workers no more than it would
anyway, and takes it on time. Without a schedule it never sleeps, and stays as it is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def on_time(*, scheduled: bool) -> Iterator[bool]:
    """Raise this thread's priority while the block lasts; yields whether that was permitted."""
    if not scheduled or not _set(getattr(os, "SCHED_RR", None), 1):
        yield False
        return
    try:
        yield True
    finally:
        _set(getattr(os, "SCHED_OTHER", None), 0)


def _set(policy: int | None, priority: int) -> bool:
    if policy is None:  # not on this system
        return False
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError:
        return False
    return True

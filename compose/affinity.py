"""Which cores a process may use, where the kernel lets one say so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def halves() -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the cores of this process in two equal halves; None where that cannot be done."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return None
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    return (tuple(cores[:half]), tuple(cores[half : 2 * half])) if half else None


@contextmanager
def pinned(cores: tuple[int, ...]) -> Iterator[None]:
    """Let what is started in this block run on these cores only; () changes nothing.

    It is this thread that is pinned, and a child inherits: so nothing of the child, and none of its
    children, ever runs elsewhere.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

"""One process that is instrumented and not, in turns.

Two processes that are the same differ by more than our instrumentation costs, and the machine's
speed changes within minutes. Here both sides share process and seconds. An instrumented turn ends
when its metrics are accounted for and its spans are in their file.
"""

import importlib
import sys
import time
from collections.abc import Callable
from random import Random
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from instrumentation.telemetry import Telemetry


class Turn(NamedTuple):
    """What one task took, in µs."""

    wall: float
    cpu: float


def compare(
    framework: str,
    do: Callable[[int], None],
    count: int,
    pairs: int,
    prepare: Callable[[bool], None],
) -> None:
    """Have `do` take `count` tasks, instrumented and not, in `pairs` of turns; print what differs.

    `prepare` is called before each turn, with whether it is an instrumented one. The telemetry
    takes its settings from the environment.
    """
    adapter = importlib.import_module(f"instrumentation.{framework}")
    order, results = Random(1), []  # noqa: S311
    for number in range(pairs + 1):
        turns = {}
        for instrumented in order.sample((True, False), 2):
            prepare(instrumented)
            turns[instrumented] = (
                _instrumented(do, count, adapter) if instrumented else _turn(do, count)
            )
        if number:  # the first warms up
            results.append((turns[False], turns[True]))
    bare, ours = (np.array(side) for side in zip(*results, strict=True))
    for column, what in enumerate(Turn._fields):
        before, after = bare[:, column], ours[:, column]
        sys.stdout.write(
            f"{framework}, {what}: {np.median(before):.1f} µs a task, instrumented "
            f"{_interval(after - before)} µs more, rate x {_interval(before / after, 3)}\n"
        )


def _instrumented(do: Callable[[int], None], count: int, adapter: ModuleType) -> Turn:
    telemetry = Telemetry(adapter.Instrumentor.system)
    undo = adapter.instrument(telemetry)
    try:
        return _turn(do, count, telemetry.close)
    finally:
        undo()


def _turn(do: Callable[[int], None], count: int, settle: Callable[[], None] = lambda: None) -> Turn:
    wall, cpu = time.perf_counter(), time.process_time()
    do(count)
    settle()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Turn(*(1e6 * taken / count for taken in seconds))


def _interval(values: NDArray[np.float64], digits: int = 1) -> str:
    """Write a median and its 95 % bootstrap interval."""
    low, high = bootstrap((values,), np.median, rng=1).confidence_interval
    return f"{np.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

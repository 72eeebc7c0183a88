"""What our instrumentation adds to sending a task: one client, instrumented and not, in turns.

    python -m benchmarks.sending FRAMEWORK [PAIRS]

The same process sends through the same connections in both, on a Redis of its own, so that neither
what a process happens to be like nor the machine's changing speed is taken for the difference. An
instrumented turn ends when its metrics are accounted for and its spans are in their file.
"""

import asyncio
import importlib
import os
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import NamedTuple

import numpy as np
import redis
import uvloop
from numpy.typing import NDArray
from scipy.stats import bootstrap

from benchmarks.publishing import running_redis
from compose import frameworks
from compose.command import WorkerSettings
from instrumentation.telemetry import Telemetry

_SENDS = 1000
_IN_FLIGHT = 50
_PAIRS = 100


class Turn(NamedTuple):
    """What one send took, in µs."""

    wall: float
    cpu: float


def main(framework: str, pairs: int) -> None:
    """Print the differences and ratios of the pairs."""
    with tempfile.TemporaryDirectory() as scratch, running_redis(Path(scratch)) as url:
        settings = WorkerSettings({}, concurrency=1, queue="taskscope", redis_url=url)
        os.environ.update(frameworks.framework(framework).client_environment(settings))
        os.environ["TASKQUEUE_TRACES_DIR"] = scratch
        adapter = importlib.import_module(f"instrumentation.{framework}")
        send, client = _SENDERS[framework](), redis.Redis.from_url(url)
        order, results = Random(1), []  # noqa: S311
        for number in range(pairs + 1):
            turns = {}
            for instrumented in order.sample((True, False), 2):
                client.flushall()
                turns[instrumented] = _instrumented(send, adapter) if instrumented else _turn(send)
            if number:  # the first warms up
                results.append((turns[False], turns[True]))
    bare, ours = (np.array(side) for side in zip(*results, strict=True))
    for column, what in enumerate(Turn._fields):
        before, after = bare[:, column], ours[:, column]
        sys.stdout.write(
            f"{framework}, {what}: {np.median(before):.1f} µs a send, "
            f"instrumented {_interval(after - before)} µs, rate x {_interval(before / after, 3)}\n"
        )


def _instrumented(send: Callable[[int], None], adapter: ModuleType) -> Turn:
    telemetry = Telemetry(adapter.Instrumentor.system)
    undo = adapter.instrument(telemetry)
    try:
        return _turn(send, telemetry.close)
    finally:
        undo()


def _turn(send: Callable[[int], None], settle: Callable[[], None] = lambda: None) -> Turn:
    wall, cpu = time.perf_counter(), time.process_time()
    send(_SENDS)
    settle()
    return Turn(
        (time.perf_counter() - wall) / _SENDS * 1e6, (time.process_time() - cpu) / _SENDS * 1e6
    )


def _celery() -> Callable[[int], None]:
    task = importlib.import_module("tasks.celery").noop

    def send(count: int) -> None:
        for _ in range(count):
            task.apply_async(queue="taskscope")

    return send


def _asynctasq() -> Callable[[int], None]:
    task = importlib.import_module("tasks.asynctasq").noop
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    async def one_after_the_other(turns: Iterator[int]) -> None:
        for _ in turns:
            await task().on_queue("taskscope").dispatch()

    async def all_of(count: int) -> None:
        turns = iter(range(count))
        await asyncio.gather(*[one_after_the_other(turns) for _ in range(_IN_FLIGHT)])

    return lambda count: runner.run(all_of(count))


_SENDERS = {"celery": _celery, "asynctasq": _asynctasq}


def _interval(values: NDArray[np.float64], digits: int = 1) -> str:
    """Write a median and its 95 % bootstrap interval."""
    low, high = bootstrap((values,), np.median, rng=1).confidence_interval
    return f"{np.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    parser = ArgumentParser("python -m benchmarks.sending", description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=_SENDERS)
    parser.add_argument("pairs", nargs="?", type=int, default=_PAIRS)
    main(**vars(parser.parse_args()))

"""What our instrumentation adds to sending a task: one client, instrumented and not, in turns.

    python -m benchmarks.sending FRAMEWORK [PAIRS]

A Celery client sends one task after the other, an AsyncTasQ client up to fifty at once.
"""

import asyncio
import importlib
import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
import uvloop

from benchmarks.publishing import running_redis
from benchmarks.turns import compare
from compose import frameworks
from compose.command import WorkerSettings

_SENDS = 1000
_IN_FLIGHT = 50
_PAIRS = 100


def main(framework: str, pairs: int) -> None:
    """Print the differences and ratios of the pairs."""
    with tempfile.TemporaryDirectory() as scratch, running_redis(Path(scratch)) as url:
        settings = WorkerSettings({}, concurrency=1, queue="taskscope", redis_url=url)
        os.environ.update(frameworks.framework(framework).client_environment(settings))
        os.environ["TASKQUEUE_TRACES_DIR"] = scratch
        client = redis.Redis.from_url(url)
        compare(framework, _SENDERS[framework](), _SENDS, pairs, lambda _: client.flushall())


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


if __name__ == "__main__":
    parser = ArgumentParser("python -m benchmarks.sending", description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=_SENDERS)
    parser.add_argument("pairs", nargs="?", type=int, default=_PAIRS)
    main(**vars(parser.parse_args()))

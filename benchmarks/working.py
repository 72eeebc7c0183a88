"""What our instrumentation adds to a no-op task of an AsyncTasQ worker, in turns.

    python -m benchmarks.working [PAIRS]

A worker in this process takes its tasks from a Redis of its own, and ends: instrumented, with
messages of an instrumented sender; or bare, with messages of a bare one. Nobody scrapes. Some more
messages are there than it takes: a worker that finds none sleeps for 0.1 s before it sees its end.
"""

import asyncio
import importlib
import os
import sys
import tempfile
from pathlib import Path

import redis
import uvloop
from asynctasq.core.worker import Worker
from asynctasq.drivers.redis_driver import RedisDriver

from benchmarks.publishing import running_redis
from benchmarks.turns import compare
from compose import asynctasq
from compose.command import WorkerSettings
from instrumentation import sdk
from instrumentation.asynctasq import instrument
from instrumentation.telemetry import Telemetry

_TASKS = 2000
_MORE = 50
_PAIRS = 100
_QUEUE = "taskscope"
_KEY = f"queue:{_QUEUE}"


def main(pairs: int) -> None:
    """Print the differences and ratios of the pairs."""
    with tempfile.TemporaryDirectory() as scratch, running_redis(Path(scratch)) as url:
        settings = WorkerSettings({}, concurrency=10, queue=_QUEUE, redis_url=url)
        os.environ.update(asynctasq.client_environment(settings))
        os.environ["TASKQUEUE_TRACES_DIR"] = scratch
        sdk.configure("asynctasq", os.environ)
        client = redis.Redis.from_url(url)
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        runner.run(_send(_TASKS + _MORE))
        client.rename(_KEY, "messages:False")
        undo = instrument(Telemetry("asynctasq"))
        runner.run(_send(_TASKS + _MORE))
        undo()
        client.rename(_KEY, "messages:True")

        def prepare(instrumented: bool) -> None:  # noqa: FBT001
            if client.llen(_KEY) > _MORE or client.exists(f"{_KEY}:processing"):
                sys.exit("the worker left tasks behind")
            client.copy(f"messages:{instrumented}", _KEY, replace=True)

        compare("asynctasq", lambda count: runner.run(_work(url, count)), _TASKS, pairs, prepare)


async def _send(count: int) -> None:
    task = importlib.import_module("tasks.asynctasq").noop
    for _ in range(count):
        await task().on_queue(_QUEUE).dispatch()


class _Worker(Worker):
    def _display_startup_banner(self) -> None:
        """It starts two hundred times."""


async def _work(url: str, count: int) -> None:
    await _Worker(RedisDriver(url), [_QUEUE], concurrency=10, max_tasks=count).start()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _PAIRS)

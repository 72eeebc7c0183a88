"""A bare publisher that keeps a real worker busy for as long as a benchmark wants."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, cast

from taskscope.drain import Queue

_CHUNK = 10_000
_PUBLISHERS = {
    "celery": """
import sys
from {module} import app
for line in sys.stdin:
    first, count = map(int, line.split())
    for n in range(first, first + count):
        app.send_task({names}[n % len({names})], queue="taskscope")
    print("done", flush=True)
""",
    "asynctasq": """
import asyncio, sys, uvloop, {module} as module
runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
async def send(numbers):
    for n in numbers:
        await getattr(module, {names}[n % len({names})])().on_queue("taskscope").dispatch()
async def publish(first, count):
    numbers = iter(range(first, first + count))
    await asyncio.gather(*[send(numbers) for _ in range(50)])
for line in sys.stdin:
    runner.run(publish(*map(int, line.split())))
    print("done", flush=True)
""",
}


@contextmanager
def publisher(
    framework: str, module: str, names: list[str], environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Run a publisher that sends the tasks of these names in turn, as many as it is told to."""
    code = _PUBLISHERS[framework].format(module=module, names=names)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def feed(process: subprocess.Popen[str], queue: Queue, tasks: int) -> Iterator[int]:
    """Have `tasks` sent, never many more than the worker takes; yield how many are done by now."""
    orders, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
    sent = 0
    while sent < tasks:
        if queue.look() < _CHUNK:
            count = min(_CHUNK, tasks - sent)
            orders.write(f"{sent} {count}\n")
            orders.flush()
            answers.readline()
            sent += count
        yield sent - queue.look()
        time.sleep(0.05)
    while depth := queue.look():
        yield sent - depth
        time.sleep(0.2)
    yield sent

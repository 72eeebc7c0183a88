"""AsyncTasQ tasks for tests of the instrumentation, named and doing as those of sample_celery."""
# ruff: noqa: N801

import asyncio
import os
import signal
import time

import redis
from asynctasq import AsyncProcessTask, AsyncTask, SyncProcessTask, SyncTask, TaskConfig, task
from opentelemetry import trace

URL = os.environ.get("SAMPLE_REDIS_URL", "redis://127.0.0.1:1")
QUEUE = "shop"
PROBLEM = 'kaputt: "x"\n\tЖщк 🚀 \ud800'
ONCE: TaskConfig = {"queue": QUEUE, "max_attempts": 1}
BRIEFLY: TaskConfig = {**ONCE, "timeout": 1}
TWICE: TaskConfig = {"queue": QUEUE, "max_attempts": 2, "retry_delay": 0}


def pass_gate(gate: str) -> None:
    """Say that the task runs, and wait until the test lets it end."""
    with redis.Redis.from_url(f"{URL}/3") as client:
        client.incr(f"{gate}:running")
        while not client.exists(f"{gate}:open"):
            time.sleep(0.005)


class ok(AsyncTask):
    config = ONCE

    async def execute(self) -> None:
        """Do nothing, well."""


class fail(AsyncTask):
    config = ONCE

    async def execute(self) -> None:
        raise LookupError(PROBLEM)


def fail_first(attempt: int) -> None:
    """Fail at the first attempt."""
    if attempt == 1:
        raise LookupError("not yet")


class flaky(AsyncTask):
    config = TWICE

    async def execute(self) -> None:
        fail_first(self.current_attempt)


class later(flaky):
    """Waits before its second attempt as long as the worker's configuration says."""


async def tell_where(task_id: object) -> None:
    """Tell which span is the current one."""
    ids = trace.get_current_span().get_span_context()
    with redis.Redis.from_url(f"{URL}/3") as client:
        client.set(f"where:{task_id}", f"{ids.trace_id:032x}-{ids.span_id:016x}")


class where(AsyncTask):
    config = ONCE

    async def execute(self) -> None:
        await tell_where(self._task_id)


class where_thread(SyncTask):
    config = ONCE

    def execute(self) -> None:
        asyncio.run(tell_where(self._task_id))


class where_process(SyncProcessTask):
    config = ONCE

    def execute(self) -> None:
        asyncio.run(tell_where(self._task_id))


class early(AsyncTask):
    config = ONCE

    async def execute(self) -> str:
        if trace.get_current_span() is not None:
            return "early"
        raise AssertionError


class too_long(AsyncTask):
    config = BRIEFLY

    async def execute(self) -> None:
        await asyncio.sleep(30)


class too_long_thread(SyncTask):
    config = BRIEFLY

    def execute(self) -> None:
        time.sleep(3)


class too_long_process(SyncProcessTask):
    config = BRIEFLY

    def execute(self) -> None:
        time.sleep(3)


class parent(AsyncTask):
    config = ONCE

    async def execute(self) -> None:
        await ok().dispatch()


class inner(AsyncTask):
    config = ONCE

    async def execute(self) -> None:
        with trace.get_tracer("sample").start_as_current_span("call"):
            await asyncio.sleep(0)


class in_thread(SyncTask):
    config = ONCE

    def execute(self) -> None:
        with trace.get_tracer("sample").start_as_current_span("call"):
            pass


class in_process(SyncProcessTask):
    config = ONCE

    def execute(self) -> int:
        return os.getpid()


class in_async_process(AsyncProcessTask):
    config = ONCE

    async def execute(self) -> int:
        return os.getpid()


class process_fails(SyncProcessTask):
    config = ONCE

    def execute(self) -> None:
        raise LookupError(PROBLEM)


class dies_in_process(SyncProcessTask):
    config = ONCE

    def execute(self) -> None:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)


class flaky_thread(SyncTask):
    config = TWICE

    def execute(self) -> None:
        fail_first(self.current_attempt)


class flaky_process(SyncProcessTask):
    config = TWICE

    def execute(self) -> None:
        fail_first(self.current_attempt)


class flaky_async_process(AsyncProcessTask):
    config = TWICE

    async def execute(self) -> None:
        fail_first(self.current_attempt)


class too_long_async_process(AsyncProcessTask):
    config = BRIEFLY

    async def execute(self) -> None:
        await asyncio.sleep(3)


class gated_thread(SyncTask):
    config = ONCE
    gate: str

    def execute(self) -> None:
        pass_gate(self.gate)


class gated_process(SyncProcessTask):
    config = ONCE
    gate: str

    def execute(self) -> None:
        pass_gate(self.gate)


class times_out(SyncTask):
    config = BRIEFLY
    gate: str

    def execute(self) -> None:
        pass_gate(self.gate)


@task(queue=QUEUE, max_attempts=1)
async def async_function() -> None:
    """Do nothing, well."""


@task(queue=QUEUE, max_attempts=1)
def sync_function() -> None:
    """Do nothing, well."""


@task(queue=QUEUE, max_attempts=1)
async def async_function_fails() -> None:
    raise LookupError(PROBLEM)


@task(queue=QUEUE, max_attempts=1)
def sync_function_fails() -> None:
    raise LookupError(PROBLEM)

"""Instrumented senders for tests, in the test's own process: one per framework, the same calls."""

import asyncio
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asynctasq import BaseTask, Dispatcher
from asynctasq.drivers.redis_driver import RedisDriver
from celery import Celery

from instrumentation.telemetry import Telemetry

QUEUE = "shop"


class Sender:
    """Sends tasks by name, and knows the telemetry of its process."""

    def __init__(self, telemetry: Telemetry, url: str) -> None:
        self.telemetry = telemetry
        self.url = url

    def send(
        self, task: str, *arguments: str, queue: str = QUEUE, delay: int = 0, **options: Any
    ) -> str:
        """Send one task, perhaps to wait for some seconds first; return its id."""
        raise NotImplementedError

    def flush(self) -> str:
        """Write the spans; return the metrics."""
        self.telemetry._collector.drain()
        return self.telemetry._exposition()


class CelerySender(Sender):
    def __init__(self, telemetry: Telemetry, url: str) -> None:
        super().__init__(telemetry, url)
        self.app = Celery(broker=f"{url}/1", set_as_current=False)

    def send(
        self, task: str, *arguments: str, queue: str = QUEUE, delay: int = 0, **options: Any
    ) -> str:
        options = {"ignore_result": True, "countdown": delay or None, **options}
        result = self.app.send_task(task, arguments, queue=queue, **options)
        return str(result.id)


class AsyncTasqSender(Sender):
    def send(
        self, task: str, *arguments: str, queue: str = QUEUE, delay: int = 0, **options: Any
    ) -> str:
        assert not options
        return asyncio.run(self.dispatch(_make(task, *arguments), queue, delay))

    async def dispatch(self, task: BaseTask, queue: str = QUEUE, delay: int = 0) -> str:
        driver = RedisDriver(self.url)
        try:
            return await Dispatcher(driver).dispatch(task, queue, delay or None)
        finally:
            await driver.disconnect()


def _make(task: str, *arguments: str) -> BaseTask:
    made: Callable[..., BaseTask] = getattr(importlib.import_module("sample_asynctasq"), task)
    return made(**({"gate": arguments[0]} if arguments else {}))


SENDERS: dict[str, type[Sender]] = {"celery": CelerySender, "asynctasq": AsyncTasqSender}


@contextmanager
def instrumented_sender(framework: str, url: str, traces: Path) -> Iterator[Sender]:
    """Instrument this process for as long as the block lasts; it samples no task, unless told to.

    A sampled task has more spans, one of them between it and what it sends.
    """
    traces.mkdir(parents=True, exist_ok=True)
    telemetry = Telemetry(framework, {"TASKQUEUE_TRACES_DIR": str(traces)})
    telemetry.sample_ratio = 0.0
    undo = importlib.import_module(f"instrumentation.{framework}").instrument(telemetry)
    try:
        yield SENDERS[framework](telemetry, url)
    finally:
        undo()
        telemetry.close()


def uninstrumented_sender(framework: str, url: str) -> Sender:
    """Make a sender for use outside of `instrumented_sender`."""
    return SENDERS[framework](Telemetry(framework, {}), url)

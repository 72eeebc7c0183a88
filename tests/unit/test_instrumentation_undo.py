"""What is wrapped is put back exactly, whatever was built in the meantime."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asynctasq.core.dispatcher import Dispatcher
from asynctasq.core.worker import Worker
from asynctasq.drivers.redis_driver import RedisDriver
from asynctasq.serializers.msgspec_serializer import MsgspecSerializer
from asynctasq.tasks import FunctionTask
from asynctasq.tasks.infrastructure.process_pool_manager import ProcessPoolManager
from asynctasq.tasks.services.executor import TaskExecutor
from asynctasq.tasks.types import sync_task
from asynctasq.tasks.utils import execution_helpers
from celery import Celery, signals
from celery.app import amqp, trace
from celery.worker import consumer, request

from instrumentation import asynctasq, celery
from instrumentation.attempt import Attempt
from instrumentation.pool_parent import submitting
from instrumentation.propagation import current_task
from instrumentation.telemetry import Telemetry
from instrumentation.wrap import Instances, undo_all, wrap, wrap_all

CELERY = {
    amqp.AMQP: ["_create_task_sender"],
    trace: ["build_tracer"],
    consumer.consumer: ["build_tracer"],
    consumer.Consumer: ["on_decode_error"],
    request.Request: ["_success_was_stored", "acknowledge", "on_failure", "on_timeout", "reject"],
    signals.task_received: ["send"],
}
ASYNCTASQ: dict[Any, list[str]] = {
    Dispatcher: ["dispatch"],
    MsgspecSerializer: ["serialize"],
    Worker: ["__init__", "_deserialize_task", "_handle_task_failure", "_process_task", "_run"],
    TaskExecutor: ["execute", "should_retry"],
    sync_task: ["execute_in_thread"],
    FunctionTask: ["_execute_sync_thread"],
    execution_helpers: ["_sync_process_task_worker"],
    ProcessPoolManager: ["_create_pool"],
}


def contents(owners: dict[Any, list[str]]) -> dict[Any, dict[str, Any]]:
    return {owner: dict(vars(owner)) for owner in owners}


@pytest.mark.parametrize(("module", "owners"), [(celery, CELERY), (asynctasq, ASYNCTASQ)])
def test_every_attribute_is_the_one_it_was(module: Any, owners: dict[Any, list[str]]) -> None:
    before, receivers = contents(owners), list(signals.task_revoked.receivers or ())
    undo = module.instrument(Telemetry("x", {}))
    during = contents(owners)
    changed = {
        owner: sorted(n for n in during[owner] if during[owner][n] is not before[owner].get(n))
        for owner in owners
    }
    assert changed == {owner: sorted(names) for owner, names in owners.items()}
    undo()
    after = contents(owners)
    for owner in owners:
        assert after[owner].keys() == before[owner].keys()
        assert all(after[owner][name] is before[owner][name] for name in before[owner])
    assert list(signals.task_revoked.receivers or ()) == receivers
    undo()  # again does nothing


def nothing() -> None:
    """Be a task."""


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery(broker="memory://", set_as_current=False)
    app.task(name="plain")(nothing)
    app.task(name="auto", autoretry_for=(OSError,))(nothing)
    app.finalize()
    yield app
    app.close()


def test_what_celery_built_is_put_back_too(app: Celery) -> None:
    tasks = [app.tasks["plain"], app.tasks["auto"]]
    sender_before = app.amqp.send_task_message
    runs = [vars(task).get("run") for task in tasks]
    telemetry = Telemetry("celery", {})
    undo = celery.instrument(telemetry)
    assert app.amqp.send_task_message is not sender_before, "an app that had sent before"
    for task in tasks:
        task.__trace__ = trace.build_tracer(task.name, task, app=app)
        task.__trace__("id", (), {}, {})
    app.send_task("plain")
    count = len(telemetry.recorder)
    assert count == 3  # two attempts, one sent
    undo()
    assert [vars(task).get("run") for task in tasks] == runs
    for task in tasks:
        task.__trace__("id", (), {}, {})
    app.send_task("plain")
    assert len(telemetry.recorder) == count, "nothing of ours is called any more"


def test_what_asynctasq_built_is_put_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessPoolManager, "_create_pool", lambda _self: ThreadPoolExecutor(1))
    driver = RedisDriver()
    before = dict(vars(driver))
    undo = asynctasq.instrument(Telemetry("asynctasq", {}))
    Worker(driver)
    pool: Any = ProcessPoolManager()._create_pool()  # type: ignore[call-arg]
    assert vars(driver).keys() - before.keys() == {"ack", "mark_failed", "nack"}
    assert "submit" in vars(pool)
    undo()
    assert vars(driver).keys() == before.keys()
    assert "submit" not in vars(pool)
    pool.shutdown()


def test_what_a_running_task_submits_on_its_own_is_left_alone() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert submitting(pool.submit)(max, 1, 2).result() == 2


def test_what_is_made_again_and_again_is_wrapped_once_and_let_go() -> None:
    undo = asynctasq.instrument(Telemetry("asynctasq", {}))
    driver = RedisDriver()
    Worker(driver)
    ack = driver.ack
    for _ in range(3):
        Worker(driver)
    assert driver.ack is ack
    gone = weakref.ref(driver)
    del driver, ack
    gc.collect()
    assert gone() is None
    undo()


def test_what_an_instance_had_itself_is_put_back() -> None:
    class Driver:
        def ack(self) -> int:
            return 1

    made, own, inherits = Instances(), Driver(), Driver()
    own.ack = before = lambda: 2  # type: ignore[method-assign]
    for owner in (own, inherits):
        made.wrap(owner, "ack", lambda ack: lambda: ack() + 10)
        made.wrap(owner, "ack", lambda ack: lambda: ack() + 100)
    assert (own.ack(), inherits.ack()) == (12, 11)
    made.undo()
    assert own.ack is before
    assert "ack" not in vars(inherits)


def test_a_task_that_runs_another_inline_ends_when_it_ends_itself() -> None:
    attempt = Attempt()
    token = current_task.set(attempt)
    try:
        assert asynctasq._started_in_thread(nothing) is not nothing
        attempt.start()
        assert asynctasq._started_in_thread(nothing) is nothing
    finally:
        current_task.reset(token)


def test_wrap_restores_own_and_inherited_attributes() -> None:
    class Base:
        def method(self) -> int:
            return 1

    class Child(Base):
        """Inherits."""

    undo = undo_all([wrap(Base, "method", lambda f: f), wrap(Child, "method", lambda f: f)])
    assert "method" in vars(Child)
    undo()
    assert "method" not in vars(Child)
    assert Child().method() == 1


def test_a_cancelled_dispatch_sent_nothing() -> None:
    class Stuck(RedisDriver):
        async def enqueue(self, *_args: Any, **_kwargs: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

    async def cancel_dispatch() -> None:
        sending = asyncio.create_task(Dispatcher(Stuck()).dispatch(FunctionTask(nothing)))
        async with asyncio.timeout(10):
            await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    reached, telemetry = asyncio.Event(), Telemetry("asynctasq", {})
    undo = asynctasq.instrument(telemetry)
    try:
        asyncio.run(cancel_dispatch())
    finally:
        undo()
    ((record,), _, _, _) = telemetry.recorder.drain()
    assert record[9][0] == "CancelledError"  # type: ignore[index]


def test_what_cannot_be_wrapped_whole_is_not_wrapped_at_all() -> None:
    class Framework:
        def known(self) -> str:
            return "theirs"

    original = vars(Framework)["known"]
    undo: list[Any] = []
    with pytest.raises(AttributeError, match="renamed"):
        wrap_all(undo, [
            (Framework, "known", lambda _: lambda _self: "ours"),
            (Framework, "renamed", lambda call: call),
        ])  # fmt: skip
    assert vars(Framework)["known"] is original
    assert not undo

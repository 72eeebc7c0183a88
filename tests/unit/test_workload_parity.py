"""Every task of every scenario: both frameworks run the same function and get the same result.

Messages go through each framework's own serialization; the tasks' own code runs, as in a worker.
"""

import asyncio
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from asynctasq.tasks.services.serializer import TaskSerializer
from kombu.serialization import dumps, loads
from real_http import running_mock_api

from loadgen.calls import calls
from loadgen.plan import Part
from tasks import workloads
from taskscope.matrix import points
from taskscope.phases import phase
from taskscope.scenario import builtin_scenarios

TASKS = sorted({
    part.task
    for scenario in builtin_scenarios()
    for form in (scenario, scenario.override(quick=True))
    for point in points(form)
    for part in point.workload.parts
})  # fmt: skip


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    with running_mock_api({"latency_seconds": 0.001}) as url:
        yield url


def _calls(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return what each task is called with in every scenario, point and variant: two calls each."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario in builtin_scenarios():
        for point in (points(scenario)[0], points(scenario)[-1]):
            for variant in point.variants:
                told: Any = phase(point, variant, 2, seed=3, urls={"mock-api": url})
                for part, data in zip(point.workload.parts, told["parts"], strict=True):
                    one = [Part(1, data["arguments"])]
                    made = calls(one, 2, 3, told["payload_bytes"])
                    found.setdefault(part.task, []).extend(dict(call.arguments) for call in made)
    return found


@contextmanager
def noting() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Note each call of a workload's function, or coroutine, with its arguments."""
    codes = {
        function.__code__: task
        for task in TASKS
        for name in (task, f"{task}_async")
        if (function := getattr(workloads, name, None))
    }
    heard: list[tuple[str, dict[str, Any]]] = []
    begun: list[FrameType] = []  # a coroutine is entered again each time it goes on

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in codes and frame not in begun:
            begun.append(frame)
            names = inspect.getargs(frame.f_code).args
            heard.append((codes[frame.f_code], {name: frame.f_locals[name] for name in names}))

    sys.setprofile(note)
    try:
        yield heard
    finally:
        sys.setprofile(None)


def _by_celery(task: str, arguments: dict[str, Any]) -> Any:
    kind, encoding, body = dumps(arguments, serializer="json")
    received = loads(body, kind, encoding, accept=["application/json"])
    module = importlib.import_module("tasks.celery")
    return module.app.tasks[task](**received)


def _by_asynctasq(task: str, arguments: dict[str, Any]) -> Any:
    made = getattr(importlib.import_module("tasks.asynctasq"), task)(**arguments)

    async def run() -> Any:
        received: Any = await TaskSerializer().deserialize(TaskSerializer().serialize(made))
        result = received.execute()
        return await result if asyncio.iscoroutine(result) else result

    return asyncio.run(run())


@pytest.mark.parametrize("task", TASKS)
def test_both_run_the_same_function_with_the_same_arguments_to_the_same_result(
    task: str, mock_url: str
) -> None:
    every = _calls(mock_url)[task]
    assert every
    different = {json.dumps(arguments, sort_keys=True): arguments for arguments in every}
    for arguments in different.values():
        with noting() as by_celery:
            first = _by_celery(task, arguments)
        with noting() as by_asynctasq:
            second = _by_asynctasq(task, arguments)
        assert by_celery == by_asynctasq
        ((name, used),) = by_celery
        assert name == task
        assert used.items() >= arguments.items()
        assert first == second


@pytest.mark.parametrize("where", ["loop", "thread", "process"])
@pytest.mark.parametrize("task", [t for t in TASKS if t not in {"fetch", "sleep"}])
def test_a_task_does_the_same_wherever_it_runs(
    task: str, where: str, monkeypatch: pytest.MonkeyPatch, mock_url: str
) -> None:
    monkeypatch.setenv("TASKSCOPE_EXECUTION", json.dumps({task: where}))
    module = importlib.reload(importlib.import_module("tasks.asynctasq"))
    base = {"loop": "AsyncTask", "thread": "SyncTask", "process": "SyncProcessTask"}[where]
    assert [c.__name__ for c in getattr(module, task).__mro__][1] == base
    arguments = _calls(mock_url)[task][0]
    assert _by_asynctasq(task, arguments) == getattr(workloads, task)(**arguments)
    monkeypatch.undo()
    importlib.reload(module)


def test_a_payload_of_the_broker_is_used_and_one_of_the_worker_is_seeded() -> None:
    made = workloads.derive_key(1, 1, payload_bytes=10)
    assert made == workloads.derive_key(1, 1, payload_bytes=10)
    assert made != workloads.derive_key(2, 1, payload_bytes=10)
    assert made != workloads.derive_key(1, 1, payload_bytes=10, payload="0123456789")


def test_an_invalid_document_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workloads.validate(1, 3) > 0
    bad = {"items": [{"sku": "a", "quantity": 0, "price": 1, "tags": []}]}
    monkeypatch.setattr(workloads, "_order", lambda *_: json.dumps(bad))
    with pytest.raises(ValueError, match="an item is not as it should be"):
        workloads.validate(1, 1)

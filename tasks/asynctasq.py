"""The workloads as AsyncTasQ tasks.

The classes bear the workloads' names, as task names on both sides must be the same. A task runs on
the event loop, in a thread or in a process: where its users would have it run, unless a variant's
setting `execution`, in TASKSCOPE_EXECUTION as a JSON object, has it run elsewhere.
"""

import json
import os
from collections.abc import Callable
from inspect import signature
from typing import Any, Final, Literal

from asynctasq import AsyncTask, BaseTask, Config, SyncProcessTask, SyncTask
from asynctasq.tasks.infrastructure.process_pool_manager import (
    ProcessPoolManager,
    set_default_manager,
)

from tasks import workloads

type Where = Literal["loop", "thread", "process"]

_BASES: Final = {"loop": AsyncTask, "thread": SyncTask, "process": SyncProcessTask}
_CHOSEN: Final[dict[str, Where]] = json.loads(os.environ.get("TASKSCOPE_EXECUTION", "{}"))


def _apply_pool_settings() -> None:
    """Have the worker's process pool be as it is set.

    `asynctasq worker` (1.7.0) reads these settings, and does not hand them to its worker: without
    this, each has as many processes as cores, and replaces them after 100 tasks.
    """
    pool = Config.get().process_pool
    if pool.size is not None or pool.max_tasks_per_child is not None:
        manager = ProcessPoolManager(
            sync_max_workers=pool.size,
            async_max_workers=pool.size,
            sync_max_tasks_per_child=pool.max_tasks_per_child,
            async_max_tasks_per_child=pool.max_tasks_per_child,
        )
        set_default_manager(manager)


_apply_pool_settings()


def _task(
    call: Callable[..., Any], where: Where, coroutine: Callable[..., Any] | None = None
) -> type[BaseTask]:
    """Make a function's task class; on the event loop its coroutine runs, if it has one."""
    name, where = call.__name__, _CHOSEN.get(call.__name__, where)
    body = _on_loop(coroutine, call) if where == "loop" else _off_loop(call)
    return type(name, (_BASES[where],), {"execute": body, "__module__": __name__})


def _on_loop(coroutine: Callable[..., Any] | None, call: Callable[..., Any]) -> Callable[..., Any]:
    names = tuple(signature(call).parameters)

    async def execute(self: BaseTask) -> Any:
        if coroutine:
            return await coroutine(**_arguments(self, names))
        return call(**_arguments(self, names))  # while it runs, nothing else does

    return execute


def _off_loop(call: Callable[..., Any]) -> Callable[..., Any]:
    names = tuple(signature(call).parameters)

    def execute(self: BaseTask) -> Any:
        return call(**_arguments(self, names))

    return execute


def _arguments(task: BaseTask, names: tuple[str, ...]) -> dict[str, Any]:
    given = vars(task)
    return {name: given[name] for name in names if name in given}


noop = _task(workloads.noop, "loop")
sleep = _task(workloads.sleep, "loop", workloads.sleep_async)
fetch = _task(workloads.fetch, "loop", workloads.fetch_async)
derive_key = _task(workloads.derive_key, "process")
factorial = _task(workloads.factorial, "process")
validate = _task(workloads.validate, "loop")
hash_chain = _task(workloads.hash_chain, "process")

"""Ten no-op tasks, for both frameworks."""

from asynctasq import AsyncTask

from tasks import workloads
from tasks.celery import app

NAMES = [f"noop_{number}" for number in range(10)]


async def _execute(_self: AsyncTask) -> None:
    workloads.noop()


for _name in NAMES:
    app.task(name=_name)(workloads.noop)
    globals()[_name] = type(_name, (AsyncTask,), {"execute": _execute, "__module__": __name__})

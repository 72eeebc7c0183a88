"""The workloads as AsyncTasQ tasks.

The classes bear the workloads' names, as task names on both sides must be the same.
"""
# ruff: noqa: N801

from asynctasq import AsyncTask

from tasks import workloads


class noop(AsyncTask):
    async def execute(self) -> None:
        workloads.noop()


class sleep(AsyncTask):
    seconds: float

    async def execute(self) -> None:
        await workloads.sleep_async(self.seconds)

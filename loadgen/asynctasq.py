"""Sends AsyncTasQ tasks, from one event loop."""

import asyncio

import uvloop
from asynctasq import cleanup
from asynctasq.core.dispatcher import get_dispatcher

from instrumentation.propagation import set_scheduled
from loadgen.dispatch import Tally
from loadgen.load import load
from loadgen.pacer import Pacer, seconds_until
from loadgen.plan import Plan, Sent


class Sender:
    """`in_flight` coroutines, each taking the next due task and dispatching it."""

    def __init__(self, plan: Plan) -> None:
        self._tasks = [load(task) for task in plan.tasks]
        self._queue = plan.queue
        self._senders = plan.in_flight
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def dispatch(self, pacer: Pacer) -> Sent:
        """See `loadgen.dispatch.Dispatcher`."""
        tally = Tally()
        self._runner.run(self._dispatch(pacer, tally))
        return tally.answer()

    async def _dispatch(self, pacer: Pacer, tally: Tally) -> None:
        async with asyncio.TaskGroup() as senders:
            for _ in range(self._senders):
                senders.create_task(self._send_all(pacer, tally))

    async def _send_all(self, pacer: Pacer, tally: Tally) -> None:
        dispatch = get_dispatcher().dispatch
        for due, call in pacer:
            task = self._tasks[call.task](**call.arguments).on_queue(self._queue)
            if due:
                set_scheduled(due)
                while wait := seconds_until(due):  # uvloop may wake up to a millisecond early
                    await asyncio.sleep(wait)
            try:
                await dispatch(task)
            except Exception as error:  # noqa: BLE001 - whatever the client raises is a failed send
                tally.failure(error)
            else:
                tally.sent += 1

    def close(self) -> None:
        """Close the client's connections, and the loop they live in."""
        self._runner.run(cleanup())  # type: ignore[no-untyped-call]
        self._runner.close()

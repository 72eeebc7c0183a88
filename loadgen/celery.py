"""Sends Celery tasks, one after another."""

import time

from instrumentation.propagation import set_scheduled
from loadgen.dispatch import Tally
from loadgen.load import load
from loadgen.pacer import Pacer, seconds_until
from loadgen.plan import Plan, Sent


class Sender:
    """One thread, publishing one task after another: Celery's client blocks while it publishes.

    So at most one publish is under way, whatever `in_flight` allows. More threads only fight for
    the interpreter: with four the generator published a third less than with one.
    """

    def __init__(self, plan: Plan) -> None:
        self._tasks = [load(task) for task in plan.tasks]
        self._queue = plan.queue

    def dispatch(self, pacer: Pacer) -> Sent:
        """See `loadgen.dispatch.Dispatcher`."""
        tally = Tally()
        set_scheduled(0)  # an earlier phase may have had a schedule
        for due, call in pacer:
            if due:
                set_scheduled(due)
                while wait := seconds_until(due):
                    time.sleep(wait)
            try:
                self._tasks[call.task].apply_async(kwargs=dict(call.arguments), queue=self._queue)
            except Exception as error:  # noqa: BLE001 - whatever the client raises is a failed send
                tally.failure(error)
            else:
                tally.sent += 1
        return tally.answer()

    def close(self) -> None:
        """Close the client's connections."""
        self._tasks[0].app.close()

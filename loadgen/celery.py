"""Sends Celery tasks, from threads: its client blocks while it publishes."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from instrumentation.propagation import scheduled_at
from loadgen.dispatch import Tally
from loadgen.load import load
from loadgen.pacer import Pacer, seconds_until
from loadgen.plan import Plan, Sent

# More publishing threads than this only fight for the interpreter: measured, see docs/loadgen.md.
_MOST_THREADS = 4


class Sender:
    """A few threads, each taking the next due task and publishing it over a pooled connection."""

    def __init__(self, plan: Plan) -> None:
        self._task = load(plan.task)
        self._queue = plan.queue
        self._threads = min(plan.in_flight, _MOST_THREADS)

    def dispatch(self, pacer: Pacer, arguments: Mapping[str, Any]) -> Sent:
        """See `loadgen.dispatch.Dispatcher`."""
        tallies = [Tally() for _ in range(self._threads)]
        with ThreadPoolExecutor(self._threads, "sender") as pool:
            futures = [pool.submit(self._send_all, pacer, arguments, t) for t in tallies]
        for future in futures:
            future.result()  # a sender that broke breaks the phase
        errors = [tally.error for tally in tallies if tally.error]
        return Sent(
            sent=sum(tally.sent for tally in tallies),
            failed=sum(tally.failed for tally in tallies),
            error=errors[0] if errors else "",
        )

    def _send_all(self, pacer: Pacer, arguments: Mapping[str, Any], tally: Tally) -> None:
        for due in pacer:
            if wait := seconds_until(due):
                time.sleep(wait)
            try:
                with scheduled_at(due):
                    self._task.apply_async(kwargs=dict(arguments), queue=self._queue)
            except Exception as error:  # noqa: BLE001 - whatever the client raises is a failed send
                tally.failure(error)
            else:
                tally.sent += 1

    def close(self) -> None:
        """Close the client's connections."""
        self._task.app.close()

"""One timing of the ledger: a full queue put before a warm worker at once, and watched in Redis.

The same in every mode: nothing of what is timed is told by the worker or its telemetry.
"""

import time
from collections.abc import Callable
from typing import Final

import redis

from compose.errors import ServiceError
from compose.frameworks import framework
from extract.overhead import Mark, Marks
from taskscope.cputime import tree_cpu_seconds

POLL_SECONDS: Final = 0.01
#: After the drain, spans are written that waited for a calm moment, or for the 5 s after which
#: OpenTelemetry's SDK sends an incomplete batch.
SETTLE_SECONDS: Final = 6.0
#: Then what an idle worker uses is measured: over a multiple of the scrape interval.
IDLE_SECONDS: Final = 3.0
_STALL_SECONDS: Final = 60.0
_RAMP: Final = 0.05
_PARKED: Final = "taskscope:parked"

type Check = Callable[[], None]
"""Called at every look; raises when the waiting is to end."""


class Queue:
    """A framework's queue in a Redis of the run's own, with a place to park its tasks."""

    def __init__(self, name: str, queue: str, redis_url: str) -> None:
        self._backlog = framework(name).backlog(queue)
        self._client = redis.Redis.from_url(redis_url, db=self._backlog.database)
        self._client.delete(_PARKED)

    def park(self) -> int:
        """Hide all waiting tasks from workers; return how many there are."""
        self._client.rename(self._backlog.waiting, _PARKED)
        return self._client.llen(_PARKED)

    def release(self) -> None:
        """Put the parked tasks before the workers, all in one instant."""
        self._client.rename(_PARKED, self._backlog.waiting)

    def look(self) -> int:
        """Count the tasks not yet acknowledged, in one round trip."""
        with self._client.pipeline(transaction=True) as pipeline:
            for command in self._backlog.commands:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            return sum(pipeline.execute())

    def messages(self) -> int:
        """Count the messages ever published on channels of this Redis."""
        statistics = self._client.info("commandstats")
        return int(statistics.get("cmdstat_publish", {}).get("calls", 0))

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def wait_empty(self, check: Check) -> list[Mark]:
        """Watch until two looks running find nothing; return all looks, up to the first of those.

        One look may find nothing too early: Celery's client has each task in neither place for a
        moment. ServiceError when nothing moves for a minute.
        """
        looks: list[Mark] = []
        moved = time.monotonic()
        while True:
            mark = self._mark()
            if not mark.backlog and looks and not looks[-1].backlog:
                return looks
            if not looks or mark.backlog != looks[-1].backlog:
                moved = mark.seconds
            if mark.seconds - moved > _STALL_SECONDS:
                raise ServiceError(
                    f"The worker acknowledged no task for {_STALL_SECONDS:g} s, and "
                    f"{mark.backlog} are left.",
                    "See the worker's log.",
                )
            looks.append(mark)
            check()
            time.sleep(POLL_SECONDS)

    def _mark(self) -> Mark:
        before = time.monotonic()
        backlog = self.look()
        return Mark((before + time.monotonic()) / 2, backlog)


def drain(queue: Queue, worker_pid: int, tasks: int, check: Check) -> Marks:
    """Release the parked tasks and watch the worker drain them, settle, and stay idle.

    ServiceError where it stalls, or is done before it can be looked at twice.
    """
    released = _with_cpu(worker_pid, tasks)
    queue.release()
    looks = queue.wait_empty(check)
    drained = _with_cpu(worker_pid, 0)
    working = [look for look in looks if 0 < look.backlog <= tasks * (1 - _RAMP)]
    if len(working) < 2 or working[0].backlog == working[-1].backlog:  # noqa: PLR2004
        raise ServiceError(
            f"{tasks} tasks were done too soon to be timed.", "Ask for more of them: --tasks."
        )
    wait(drained.seconds + SETTLE_SECONDS, check)
    settled = _with_cpu(worker_pid, 0)
    wait(settled.seconds + IDLE_SECONDS, check)
    idle = _with_cpu(worker_pid, 0)
    return Marks(released, working[0], working[-1], drained, settled, idle)


def _with_cpu(pid: int, backlog: int) -> Mark:
    used = tree_cpu_seconds(pid)
    return Mark(time.monotonic(), backlog, used)


def wait(until: float, check: Check) -> None:
    """Sleep until that instant of the monotonic clock, with an eye on what may end it."""
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 0.1))

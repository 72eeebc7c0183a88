"""What went on around an attempt: the attempts of its cell, indexed to be asked about instants.

Each index is built when first asked for, so that one task of a million costs a few sorts.
"""

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from extract.intervals import Intervals, Ns, as_ns
from extract.life import MISSING, Life, live

INSTANTS = ("scheduled", "sent", "due", "received", "started", "completed", "acked")
#: Fewer attempts than that say nothing about what is typical.
FEWEST_PEERS = 5


class Surroundings:
    """The attempts of one cell.

    A worker is one process that executes; an instance is what receives for it: the process itself,
    or the parent of a pool.
    """

    def __init__(self, attempts: pd.DataFrame) -> None:
        self.attempts = attempts.reset_index(drop=True)
        self.at = {name: as_ns(self.attempts[f"{name}_ns"], MISSING) for name in INSTANTS}
        self.worker, names = pd.factorize(self.attempts["worker"])
        instances = [str(name).rpartition("/")[0] for name in names]
        self.instance = _codes(pd.Series(instances, dtype=object))[self.worker]
        self.queue = _codes(self.attempts["queue"])
        self.task = _codes(self.attempts["task"])
        self.executing: Callable[[int], Intervals] = cache(self._executing)
        self.executing_on: Callable[[int], Intervals] = cache(self._executing_on)
        self.held: Callable[[int], Intervals] = cache(self._held)
        self.waiting: Callable[[int], Intervals] = cache(self._waiting)
        self.events: Callable[[int], Ns] = cache(self._events)
        self.serving: Callable[[int], list[int]] = cache(self._serving)
        self.slots: Callable[[int], int] = cache(self._slots)
        self.median: Callable[[str, int | None], tuple[float, int]] = cache(self._median)
        self.consumed: Callable[[int], list[int]] = cache(self._consumed)

    def life(self, row: int) -> Life:
        """Return an attempt's stages."""
        instants = {name: int(column[row]) for name, column in self.at.items()}
        return live(instants, first_attempt=bool(self.attempts["attempt"].iloc[row] <= 1))

    @cached_property
    def execution_ns(self) -> Ns:
        """How long each attempt executed."""
        took: Ns = self.at["completed"] - self.at["started"]
        return took

    @cached_property
    def total_ns(self) -> Ns:
        """How long each attempt's life was, its acknowledgement included."""
        known = [np.where(self.at[n] == MISSING, np.iinfo(np.int64).max, self.at[n])
                 for n in ("scheduled", "sent", "received", "started")]  # fmt: skip
        last: Ns = np.maximum(self.at["completed"], self.at["acked"])
        first: Ns = np.minimum.reduce(known)
        return last - first

    def typical(self, row: int, of: Literal["execution", "total"]) -> tuple[float, str] | None:
        """Return the median of all attempts at the same task, and whose it is.

        With few of them it is the median of the whole cell; None where that has few as well.
        """
        median, peers = self.median(of, int(self.task[row]))
        if peers >= FEWEST_PEERS:
            return median, f"the median of {peers:,} of the same task"
        median, peers = self.median(of, None)
        return (
            (median, f"the median of all {peers:,} in its cell") if peers >= FEWEST_PEERS else None
        )

    def _median(self, of: str, task: int | None) -> tuple[float, int]:
        values = self.execution_ns if of == "execution" else self.total_ns
        chosen = values if task is None else values[self.task == task]
        return float(np.median(chosen)), len(chosen)

    def entered(self, row: int) -> int:
        """Return when an attempt began to wait in the broker, on nobody's purpose."""
        return int(self._entered[row])

    @cached_property
    def _entered(self) -> Ns:
        early = self.at["received"] < self.at["due"]
        ready: Ns = np.maximum(self.at["sent"], self.at["due"])
        return np.where(early, self.at["sent"], ready)

    @cached_property
    def redelivered(self) -> NDArray[np.bool_]:
        """Which attempts are further deliveries of a message that was received before."""
        some = self.attempts[(self.at["sent"] != MISSING)
                             & self.attempts["sent_ns"].duplicated(keep=False)]  # fmt: skip
        again = some.sort_values("received_ns").duplicated(["task_id", "sent_ns"])
        found = np.zeros(len(self.attempts), dtype=np.bool_)
        found[again.index[again]] = True
        return found

    def _slots(self, instance: int) -> int:
        """Return how many attempts an instance executed at once, at most."""
        return self.executing_on(instance).most_at_once() or 1

    def processes(self, instance: int) -> int:
        """Return in how many processes an instance executed."""
        return len(np.unique(self.worker[self.instance == instance]))

    def _intervals(self, rows: NDArray[np.bool_], starts: Ns, ends: Ns) -> Intervals:
        chosen = np.flatnonzero(rows & (starts != MISSING) & (ends != MISSING))
        return Intervals(chosen, starts[chosen], ends[chosen])

    def _executing(self, worker: int) -> Intervals:
        return self._intervals(self.worker == worker, self.at["started"], self.at["completed"])

    def _executing_on(self, instance: int) -> Intervals:
        return self._intervals(self.instance == instance, self.at["started"], self.at["completed"])

    def _held(self, instance: int) -> Intervals:
        received = self.at["received"]
        begin = np.where(received == MISSING, MISSING, np.maximum(received, self.at["due"]))
        return self._intervals(self.instance == instance, begin, self.at["started"])

    def _waiting(self, queue: int) -> Intervals:
        received = self.at["received"]
        left = np.where(received == MISSING, self.at["started"], received)
        sent = (self.at["sent"] != MISSING) & ~self.redelivered
        return self._intervals((self.queue == queue) & sent, self._entered, left)

    def _events(self, instance: int) -> Ns:
        """Return all that an instance is known to have done: received, begun, ended, settled."""
        mine = self.instance == instance
        names = ("received", "started", "completed", "acked")
        instants = np.concatenate([self.at[name][mine] for name in names])
        return np.sort(instants[instants != MISSING])

    def _serving(self, queue: int) -> list[int]:
        return [int(i) for i in np.unique(self.instance[self.queue == queue])]

    def _consumed(self, instance: int) -> list[int]:
        return [int(q) for q in np.unique(self.queue[self.instance == instance])]


def _codes(column: Any) -> NDArray[np.int64]:
    return np.asarray(pd.factorize(column)[0], dtype=np.int64)

"""The hand-over point between tasks and telemetry: appending costs tens of nanoseconds."""

import os
from collections.abc import Callable

from instrumentation.records import Record
from instrumentation.spool import Spool


class Recorder:
    """Collects records of this process, and of the children it forks, until they are drained.

    `append` is a list's own append here and the spool's in a forked child: neither blocks, takes a
    lock or raises into the task.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._spool = Spool()
        self.append: Callable[[Record], None] = self._records.append
        os.register_at_fork(after_in_child=self._write_to_parent)

    def _write_to_parent(self) -> None:
        self.append = self._spool.append

    def __len__(self) -> int:
        return len(self._records)

    def drain(self) -> list[Record]:
        """Take all records so far, this process's first.

        The order matters: a child writes its DONE before the parent can append the ACKED for it,
        so reading the parent's list first and the spool second never sees an ACKED alone.
        """
        count = len(self._records)
        records = self._records[:count]
        del self._records[:count]
        return records + self._spool.drain()

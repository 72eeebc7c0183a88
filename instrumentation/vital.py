"""Which spans survive when a receiver cannot take them all: failures, and the slowest tasks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from instrumentation import finished
from instrumentation.attempt import Attempt
from instrumentation.backlog import Finished
from instrumentation.done_rows import DoneRows
from instrumentation.finished import Batch, Stages
from instrumentation.records import SUCCESS, Record
from instrumentation.rows import Rows
from instrumentation.sent_rows import SentRows

_SLOWEST = 20  # of each drain, which is a second or two


def split(records: Sequence[Finished]) -> tuple[list[Finished], list[Finished]]:
    """Split SENT records and attempts into those that must survive and the others."""
    attempts = [record for record in records if isinstance(record, Attempt)]
    tables = [record for record in records if isinstance(record, DoneRows)]
    slow, *slow_rows = _slowest([finished.read(attempts), *(rows.batch() for rows in tables)])
    slowest = {id(attempt) for attempt, is_slow in zip(attempts, slow, strict=True) if is_slow}
    vital: list[Finished] = []
    others: list[Finished] = []
    for record in records:
        if isinstance(record, SentRows):
            others.append(record)
        elif not isinstance(record, Rows):
            (vital if id(record) in slowest or _failed(record) else others).append(record)
    for rows, are_slow in zip(tables, slow_rows, strict=True):
        vital += rows.where(are_slow).attempts()
        others.append(rows.where(~are_slow))
    return vital, others


def _failed(record: Record | Attempt) -> bool:
    if isinstance(record, Attempt):
        return record.outcome != SUCCESS
    return record[-1] is not None


def _slowest(batches: Sequence[Batch]) -> list[NDArray[np.bool_]]:
    """Tell of each attempt of each batch whether it is among those that took longest."""
    times = [_end_to_end(batch.stages) for batch in batches]
    every = np.concatenate(times)
    slow = np.zeros(len(every), dtype=np.bool_)
    slow[np.argsort(-every, kind="stable")[:_SLOWEST]] = True
    return np.split(slow, np.cumsum([len(some) for some in times])[:-1])


def _end_to_end(at: Stages) -> NDArray[np.int64]:
    began = at.wanted()
    for later in (at.received, at.started):
        began = np.where(began > 0, began, later)
    return at.completed - began

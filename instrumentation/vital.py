"""Which spans survive when a receiver cannot take them all: failures, and the slowest tasks."""

from collections.abc import Sequence

import numpy as np

from instrumentation import finished
from instrumentation.attempt import Attempt
from instrumentation.backlog import Finished
from instrumentation.records import SUCCESS

_SLOWEST = 20  # of each drain, which is a second or two


def split(records: Sequence[Finished]) -> tuple[list[Finished], list[Finished]]:
    """Split SENT records and attempts into those that must survive and the others."""
    slowest = _slowest([record for record in records if isinstance(record, Attempt)])
    vital: list[Finished] = []
    others: list[Finished] = []
    for record in records:
        (vital if id(record) in slowest or _failed(record) else others).append(record)
    return vital, others


def _failed(record: Finished) -> bool:
    if isinstance(record, Attempt):
        return record.outcome != SUCCESS
    return record[-1] is not None


def _slowest(attempts: Sequence[Attempt]) -> set[int]:
    """Return the identities of those that took longest from end to end."""
    at = finished.read(attempts).stages
    began = at.wanted()
    for later in (at.received, at.started):
        began = np.where(began > 0, began, later)
    order = np.argsort(began - at.completed, kind="stable")
    return {id(attempts[index]) for index in order[:_SLOWEST].tolist()}

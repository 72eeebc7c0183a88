"""Finished attempts as columns: what the hot path left unread is read here, a batch at a time."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instrumentation.carrier import read_contexts, read_instants
from instrumentation.ids import new_span_ids
from instrumentation.records import DONE, Record

type Instants = NDArray[np.int64]
type Labels = tuple[str, ...]
#: (DONE, task, queue, outcome, task_id, attempt, trace_id, span_id, sender_span_id, flags, pid,
#:  error, scheduled, sent, due, received, started, completed, acked): all that its span says.
type Row = tuple[Any, ...]

_NONE: Instants = np.empty(0, dtype=np.int64)


class Stages(NamedTuple):
    """The instants of some attempts, one array each, in Unix nanoseconds; 0 means unknown."""

    scheduled: Instants
    sent: Instants
    due: Instants
    received: Instants
    started: Instants
    completed: Instants
    acked: Instants
    #: 1 where the start is counted already.
    counted: Instants


class Finished(NamedTuple):
    """A batch of finished attempts, as metrics need them."""

    #: Task, queue and outcome of each.
    labels: Sequence[Labels]
    stages: Stages
    #: Messages whose context could not be read, or only in part.
    unreadable: int

    def by_labels(self) -> Iterator[tuple[Labels, Stages]]:
        """Yield the instants of the attempts of each task, queue and outcome."""
        for labels, members in _grouped(self.labels):
            yield labels, Stages(*(column[members] for column in self.stages))


def read(records: Sequence[Record]) -> Finished:
    """Read what metrics need of DONE records."""
    if not records:
        return Finished([], Stages(*[_NONE] * len(Stages._fields)), 0)
    (_, tasks, queues, outcomes, _, _, carriers, _, _,
     received, started, completed, acked, _, counted) = _columns(records)  # fmt: skip
    instants, unreadable = read_instants(carriers)
    times = (received, started, completed, acked, counted)
    arrays = (np.array(column, dtype=np.int64) for column in times)
    labels = list(zip(tasks, queues, outcomes, strict=True))
    return Finished(labels, Stages(*instants, *arrays), unreadable)


def rows(records: Sequence[Record]) -> Iterator[Row]:
    """Read what spans need of DONE records: all of it, at twice the cost."""
    if not records:
        return iter(())
    (_, tasks, queues, outcomes, task_ids, numbers, carriers, span_ids, pids,
     received, started, completed, acked, errors, _) = _columns(records)  # fmt: skip
    contexts, (instants, _) = read_contexts(carriers), read_instants(carriers)
    return zip(
        repeat(DONE), tasks, queues, outcomes, task_ids, numbers, contexts.trace_ids,
        _complete(span_ids), contexts.senders, contexts.flags, pids, errors,
        *instants.tolist(), received, started, completed, acked, strict=False,
    )  # fmt: skip


def _columns(records: Sequence[Record]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*records, strict=True))


def _complete(span_ids: Sequence[str]) -> Sequence[str]:
    """Make the ids that nobody asked for while the task ran."""
    made = new_span_ids(len(span_ids))
    if not any(span_ids):
        return made
    return [known or new for known, new in zip(span_ids, made, strict=True)]


def _grouped(labels: Sequence[Labels]) -> Iterator[tuple[Labels, Any]]:
    """Yield each different label set, and an index that selects its members from an array."""
    different = set(labels)
    if len(different) == 1:  # as is usual, and quicker
        yield labels[0], slice(None)
        return
    numbers = {each: number for number, each in enumerate(different)}
    codes = np.array([numbers[each] for each in labels], dtype=np.int64)
    for each, number in numbers.items():
        yield each, codes == number

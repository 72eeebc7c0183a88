"""Finished attempts as columns: what the hot path left unread is read here, a batch at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instrumentation.attempt import Attempt
from instrumentation.carrier import read_contexts, read_instants
from instrumentation.ids import new_span_ids
from instrumentation.records import DONE

type Instants = NDArray[np.int64]
type Labels = tuple[str, ...]
#: (DONE, task, queue, outcome, task_id, attempt, trace_id, span_id, sender_span_id, flags, pid,
#:  error, scheduled, sent, due, received, started, completed, acked): all that its span says.
type Row = tuple[Any, ...]


class Stages(NamedTuple):
    """The instants of some attempts, one array each, in Unix nanoseconds; 0 means unknown."""

    scheduled: Instants
    sent: Instants
    due: Instants
    received: Instants
    started: Instants
    completed: Instants
    acked: Instants
    #: Where the start is counted already.
    counted: NDArray[np.bool_]


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


def read(attempts: Sequence[Attempt]) -> Finished:
    """Read what metrics need of attempts that have ended."""
    carried, unreadable = read_instants([a.carrier for a in attempts])
    scheduled, sent, due = carried
    stages = Stages(
        scheduled,
        sent,
        due,
        received=_instants([a.received for a in attempts]),
        started=_instants([a.started for a in attempts]),
        completed=_instants([a.completed for a in attempts]),
        acked=_instants([a.acked for a in attempts]),
        counted=np.array([a.counted for a in attempts], dtype=bool),
    )
    return Finished([(a.task, a.queue, a.outcome) for a in attempts], stages, unreadable)


def _instants(column: Sequence[int]) -> Instants:
    return np.array(column, dtype=np.int64)


def rows(attempts: Sequence[Attempt]) -> Iterator[Row]:
    """Read what spans need of attempts that have ended: all of it."""
    carriers = [a.carrier for a in attempts]
    if not carriers:
        return
    contexts, (instants, _) = read_contexts(carriers), read_instants(carriers)
    parts = zip(
        attempts, contexts.trace_ids, _complete([a.span_id for a in attempts]),
        contexts.senders, contexts.flags, *instants.tolist(), strict=True,
    )  # fmt: skip
    for a, trace_id, span_id, sender, flags, scheduled, sent, due in parts:
        yield (DONE, a.task, a.queue, a.outcome, a.task_id, a.number, trace_id, span_id, sender,
               flags, a.pid, a.error, scheduled, sent, due, a.received, a.started, a.completed,
               a.acked)  # fmt: skip


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

"""Finished attempts as columns: what the hot path left unread is read here, a batch at a time."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instrumentation.attempt import Attempt
from instrumentation.carrier import read_contexts, read_instants
from instrumentation.ids import new_span_ids
from instrumentation.records import DONE, RETRY

_LABELS = ("task", "queue", "outcome")

type Instants = NDArray[np.int64]
type Labels = tuple[str, ...]
#: Of each of many things, which of some groups it belongs to: the place of that.
type Codes = NDArray[np.int64]
#: (DONE, task, queue, outcome, task_id, attempt, trace_id, span_id, sender_span_id, flags, pid,
#:  error, scheduled, sent, due, received, started, completed, acked): all that its span says.
type Facts = tuple[Any, ...]


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

    def wanted(self) -> Instants:
        """Return when each was wanted: as scheduled, else when it was due, or sent."""
        return np.where(self.scheduled > 0, self.scheduled, np.maximum(self.sent, self.due))


class Batch(NamedTuple):
    """A batch of finished attempts, as metrics need them."""

    #: Each different task, queue and outcome.
    labels: Sequence[Labels]
    #: Which of them are each attempt's own.
    codes: Codes
    stages: Stages
    #: Messages whose context could not be read, or only in part.
    unreadable: int
    #: What the message carried of the one in a place.
    carrier_of: Callable[[int], str]

    def wanted(self) -> Instants:
        """Return from when each one's end-to-end latency counts; 0 where it goes on by a retry."""
        ends = np.array([outcome != RETRY for *_, outcome in self.labels], dtype=np.bool_)
        return np.where(ends[self.codes], self.stages.wanted(), 0)

    def tasks(self) -> list[Labels]:
        """Return task and queue of each of the labels; some may be the same."""
        return [each[:2] for each in self.labels]


def read(attempts: Sequence[Attempt]) -> Batch:
    """Read what metrics need of attempts that have ended."""
    (scheduled, sent, due), unreadable = read_instants([a.carrier for a in attempts])
    stages = Stages(
        scheduled,
        sent,
        due,
        received=instants(attempts, "received"),
        started=instants(attempts, "started"),
        completed=instants(attempts, "completed"),
        acked=instants(attempts, "acked"),
        counted=np.fromiter(map(attrgetter("counted"), attempts), bool, len(attempts)),
    )
    labels, codes = _labels(attempts)
    return Batch(labels, codes, stages, unreadable, lambda place: attempts[place].carrier)


def instants(attempts: Sequence[Attempt], name: str) -> Instants:
    """Return one instant of each attempt."""
    return np.fromiter(map(attrgetter(name), attempts), np.int64, len(attempts))


def facts(attempts: Sequence[Attempt]) -> Iterator[Facts]:
    """Read what spans need of attempts that have ended: all of it."""
    carriers = [a.carrier for a in attempts]
    if not carriers:
        return
    contexts, (carried, _) = read_contexts(carriers), read_instants(carriers)
    parts = zip(
        attempts, contexts.trace_ids, span_ids(attempts),
        contexts.senders, contexts.flags, *carried.tolist(), strict=True,
    )  # fmt: skip
    for a, trace_id, span_id, sender, flags, scheduled, sent, due in parts:
        yield (DONE, a.task, a.queue, a.outcome, a.task_id, a.number, trace_id, span_id, sender,
               flags, a.pid, a.error, scheduled, sent, due, a.received, a.started, a.completed,
               a.acked)  # fmt: skip


def span_ids(attempts: Sequence[Attempt]) -> Sequence[str]:
    """Return the ids of their spans, and make those that nobody asked for while the task ran."""
    known, made = [a.span_id for a in attempts], new_span_ids(len(attempts))
    return [one or new for one, new in zip(known, made, strict=True)] if any(known) else made


def _labels(attempts: Sequence[Attempt]) -> tuple[list[Labels], Codes]:
    """Return each different label set, and which is each attempt's own."""
    labels = list(map(attrgetter(*_LABELS), attempts))
    numbers = {each: number for number, each in enumerate(dict.fromkeys(labels))}
    return list(numbers), np.fromiter(map(numbers.__getitem__, labels), np.int64, len(labels))

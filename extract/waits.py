"""Waits that other tasks explain: behind a backlog, or stuck behind a prefetched long task."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from extract.causes import FULL, LONG_SECONDS, STUCK, Case, Cause, cause, many, write
from extract.intervals import Intervals, Overlaps
from extract.life import Segment
from extract.standstill import LONG

_NS: Final = 1e9
_NAMED: Final = 3


def backlog(case: Case) -> Iterator[Cause]:
    """Behind a backlog: as many in its queue as its workers take at once, or these were full."""
    queued, said = _queued(case)
    in_hand, said_in_hand = _in_hand(case)
    yield from cause("behind a backlog", queued + in_hand, *said, *said_in_hand)


def _queued(case: Case) -> tuple[int, tuple[str, ...]]:
    wait, around = case.life.of("broker_wait"), case.around
    if not wait.ns or around.redelivered[case.row]:
        return 0, ()
    entered, waiting = around.entered(case.row), around.waiting(case.queue)
    serving = around.serving(case.queue)
    slots = sum(around.slots(i) for i in serving)
    depth, taken = waiting.count(entered), waiting.ended(*wait.span)
    busy = sum(around.executing_on(i).busy_ns(*wait.span) for i in serving) / wait.ns
    if depth < slots and busy < FULL * slots:
        return 0, ()
    sampled = case.samples.queue_depth(case.cell, _queue_name(case), wait.start_ns)
    return wait.ns - case.paused(wait), (
        case.took(wait, "Waiting in the broker"),
        f"When it was sent, {many(depth, 'task')} lay in its queue.",
        f"Until it was received, its workers executed {busy:.3g} of {slots:,} at once.",
        f"They received {taken:,} others meanwhile, {taken / (wait.ns / _NS):,.4g} a second.",
        f"Prometheus had sampled a depth of {sampled:,.0f}." if sampled is not None else "",
    )


def _in_hand(case: Case) -> tuple[int, tuple[str, ...]]:
    wait, around = case.life.of("prefetch_wait"), case.around
    slots = around.slots(case.instance)
    others = len(around.executing_on(case.instance).within(*wait.span)) if wait.ns else 0
    if others < slots or _blocked(case)[0] >= STUCK * wait.ns:
        return 0, ()
    return wait.ns - case.paused(wait), (
        case.took(wait, "Waiting in its worker's hands"),
        f"Its worker executed {many(others, 'other')} meanwhile, {slots:,} at once.",
    )


def stuck(case: Case) -> Iterator[Cause]:
    """Stuck behind a prefetched long task: long ones held its process for half of the wait."""
    wait = case.life.of("prefetch_wait")
    blocked, long = _blocked(case)
    if wait.ns and blocked >= STUCK * wait.ns:
        explains = min(blocked, wait.ns) - case.idle(wait)
        yield from cause("stuck behind a prefetched long task", explains,
                         case.took(wait, "Waiting in its worker's hands"),
                         f"{blocked / wait.ns:.0%} of that its process was executing "
                         f"{_named(case, long)}.")  # fmt: skip


def _blocked(case: Case) -> tuple[int, Overlaps]:
    """Return for how long long tasks had what would have executed it, and which they were."""
    wait, around = case.life.of("prefetch_wait"), case.around
    index = around.executing(case.worker)
    slots = index.most_at_once()
    if not len(index.within(*wait.span)):  # a process that began after it, or had nothing to do
        index, slots = around.executing_on(case.instance), around.slots(case.instance)
    long = _long(case, index, wait)
    return int(long.overlap_ns.sum() / max(slots, 1)), long


def _long(case: Case, index: Intervals, wait: Segment) -> Overlaps:
    found, took = index.within(*wait.span), case.around.execution_ns
    typical = case.around.typical(case.row, "execution")
    least = max(LONG * (typical[0] if typical else took[case.row]), LONG_SECONDS * _NS)
    return found.where((took[found.rows] >= least) & (found.rows != case.row))


def _named(case: Case, some: Overlaps) -> str:
    attempts, took = case.around.attempts, case.around.execution_ns
    first = np.argsort(-some.overlap_ns, kind="stable")[:_NAMED]
    names = [f"{attempts['task'].iloc[row]} {attempts['task_id'].iloc[row]} "
             f"({write(float(took[row]))})" for row in some.rows[first]]  # fmt: skip
    more = len(some) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _queue_name(case: Case) -> str:
    return str(case.around.attempts["queue"].iloc[case.row])

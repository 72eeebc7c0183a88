"""The rules, one for each cause: what it explains of an attempt's life, and the evidence."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from extract.causes import (
    BUSY_CORES,
    FULL,
    IDLE_CORES,
    LATE_SECONDS,
    LONG_SECONDS,
    STUCK,
    Case,
    Cause,
    Rule,
    cause,
    many,
    write,
)
from extract.intervals import Intervals, Overlaps
from extract.life import Segment
from extract.standstill import LONG, Standstill

_NS: Final = 1e9
_NAMED: Final = 3
_WITH_WORKER: Final = ("broker_wait", "wait", "prefetch_wait", "execution", "ack")


def late(case: Case) -> Iterator[Cause]:
    """Generator late: sent 10 ms or more after the schedule wanted it."""
    lag = case.life.of("schedule_lag")
    if lag.ns >= LATE_SECONDS * _NS:
        yield from cause("generator late", lag.ns,
                         f"It was sent {write(lag.ns)} after its schedule wanted it.")  # fmt: skip


def retried(case: Case) -> Iterator[Cause]:
    """Retried: what lies before this attempt was sent."""
    before = case.life.of("earlier_attempts")
    number = int(case.around.attempts["attempt"].iloc[case.row])
    yield from cause("retried", before.ns,
                     f"This is attempt {number}; it was sent {write(before.ns)} after the task "
                     "was first wanted.")  # fmt: skip


def delayed(case: Case) -> Iterator[Cause]:
    """Waited on purpose: the delay that it was sent with."""
    delay = case.life.of("delay")
    yield from cause("waited on purpose", delay.ns,
                     f"It was sent with a delay of {write(delay.ns)}.")  # fmt: skip


def again(case: Case) -> Iterator[Cause]:
    """Delivered again: the broker wait of a message that was received before."""
    if case.around.redelivered[case.row]:
        wait = case.life.of("broker_wait")
        yield from cause("delivered again", wait.ns,
                         f"Another delivery of the same message was received before; this one came "
                         f"{write(wait.ns)} after it was sent.")  # fmt: skip


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


def itself(case: Case) -> Iterator[Cause]:
    """Slow itself: executed three times as long as is typical of its task, or longer."""
    execution = case.life.of("execution")
    typical = case.around.typical(case.row, "execution")
    active = execution.ns - case.idle(execution)
    if typical is None:
        beside = "There are too few others to say whether that is long."
        yield from cause("slow itself", active, case.took(execution, "Executing it"), beside)
    elif active >= LONG * typical[0]:
        times = f"{execution.ns / typical[0]:,.3g} times" if typical[0] else "more than"
        yield from cause("slow itself", active - typical[0], case.took(execution, "Executing it"),
                         f"That is {times} {typical[1]}, {write(typical[0])}.",
                         _cpu(case, execution.span))  # fmt: skip


def settling(case: Case) -> Iterator[Cause]:
    """Slow to acknowledge: it took three times as long as is typical of its cell, or longer."""
    ack, at = case.life.of("ack"), case.around.at
    known = (at["acked"] - at["completed"])[at["acked"] > 0]
    typical = float(np.median(known)) if len(known) else 0.0
    if ack.ns >= LONG * typical:
        yield from cause("slow to acknowledge", ack.ns - case.idle(ack),
                         case.took(ack, "Acknowledging it"),
                         f"The median of its cell is {write(typical)}.")  # fmt: skip


def paused(case: Case) -> Iterator[Cause]:
    """Worker paused or starved: its worker stood still over its waits or its execution."""
    hit = [s for s in case.life.segments if s.stage in _WITH_WORKER and case.paused(s)]
    total = sum(case.paused(s) for s in hit)
    if total:
        during = " and ".join(s.stage.replace("_", " ") for s in hit)
        longest = max(case.pauses, key=lambda p: p.end_ns - p.start_ns)
        yield from cause("worker paused or starved", total,
                         f"Its worker stood still for {write(total)} of its {during}.",
                         _sign(longest), _others(longest),
                         _cpu(case, (longest.start_ns, longest.end_ns)))  # fmt: skip


def _sign(pause: Standstill) -> str:
    what = "received, began, ended and acknowledged nothing"
    for_long = f"For {write(pause.end_ns - pause.start_ns)} it {what}"
    if pause.sign == "frozen":
        return f"{for_long}, while {pause.executing:,} tasks executed far longer than they do."
    return (f"{for_long}, executing {pause.executing:,} of {pause.slots:,} at once, with "
            f"{pause.held:,} in hand and {pause.waiting:,} in its queue.")  # fmt: skip


def _others(pause: Standstill) -> str:
    if pause.instances == 1:
        return ""
    return f"{pause.silent} of {pause.instances} workers of the cell did nothing all the while."


def _cpu(case: Case, span: tuple[int, int]) -> str:
    cores = case.samples.worker_cpu_cores(case.cell, *span)
    if cores is None:
        return ""
    said = f"The workers used {cores:.2f} cores meanwhile"
    if cores <= IDLE_CORES:
        return f"{said}: they were stopped, waited, or got no CPU."
    return f"{said}: they were busy." if cores >= BUSY_CORES else f"{said}."


def _queue_name(case: Case) -> str:
    return str(case.around.attempts["queue"].iloc[case.row])


RULES: tuple[Rule, ...] = (
    late, retried, delayed, again, backlog, stuck, itself, paused, settling,
)  # fmt: skip

"""The rules, one for each cause: what it explains of an attempt's life, and the evidence.

The two that look at what else its worker did are in `waits`.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from extract.causes import BUSY_CORES, IDLE_CORES, LATE_SECONDS, Case, Cause, Rule, cause, write
from extract.standstill import LONG, Standstill
from extract.waits import backlog, stuck

_NS: Final = 1e9
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


RULES: tuple[Rule, ...] = (
    late, retried, delayed, again, backlog, stuck, itself, paused, settling,
)  # fmt: skip

"""When a worker had something to do, could have done it, and did nothing: a pause, from outside.

Two signs of it. *Idle*: fewer attempts executed than the worker can execute at once, another was in
its hands or in its queue, and for 200 ms it received, began, ended and acknowledged nothing.
*Frozen*: two attempts or more were executing, every one three times as long as is typical of its
task or longer; nothing happened for half of the shortest of them; all ended soon afterwards; and no
other attempt of the cell took as long. That they were just long is possible, and named as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from extract.intervals import Overlaps, silences
from extract.surroundings import Surroundings

#: What a worker may well do nothing for: looking into an empty queue now and then, say.
LEAST_SECONDS: Final = 0.2
#: How many times the typical execution is long.
LONG: Final = 3.0
_LEAST_NS: Final = int(LEAST_SECONDS * 1e9)
_SHARE: Final = 0.5
_SEVERAL: Final = 2
_SOON: Final = 2.0
_SOON_NS: Final = 50_000_000  # for a process that is woken late


@dataclass(frozen=True, slots=True)
class Standstill:
    """When it was, which sign there was of it, and what the worker had to do meanwhile."""

    sign: Literal["idle", "frozen"]
    start_ns: int
    end_ns: int
    executing: int
    slots: int
    held: int
    waiting: int
    #: How many instances serve the cell, and how many of them did nothing all the while.
    instances: int
    silent: int


def standstills(cell: Surroundings, instance: int, start: int, end: int) -> list[Standstill]:
    """Return the standstills of one instance that reach into `start` to `end`."""
    gaps = silences(cell.events(instance), start, end, _LEAST_NS)
    return [found for gap in gaps for found in _judge(cell, instance, *gap)]


def _judge(cell: Surroundings, instance: int, start: int, end: int) -> Iterator[Standstill]:
    executing = cell.executing_on(instance).within(start, end)
    held = _startable(cell, instance, start, end)
    waiting = [_long_enough(cell.waiting(q).within(start, end)) for q in cell.consumed(instance)]
    begins = [int(b) for some in (held, *waiting) for b in some.starts]
    free = len(executing) < cell.slots(instance)
    if free and begins:
        start = max(start, min(begins))
    elif not _frozen(cell, executing, start, end):
        return
    if end - start >= _LEAST_NS:
        yield Standstill(
            "idle" if free and begins else "frozen", start, end, len(executing),
            cell.slots(instance), len(held), sum(len(some) for some in waiting),
            *_others(cell, start, end),
        )  # fmt: skip


def _long_enough(some: Overlaps) -> Overlaps:
    return some.where(some.overlap_ns >= _LEAST_NS)


def _startable(cell: Surroundings, instance: int, start: int, end: int) -> Overlaps:
    """Return what was in hand, and whose own process executed nothing that it had to wait for."""
    held = _long_enough(cell.held(instance).within(start, end))
    could = [not len(cell.executing(int(cell.worker[row])).within(start, end)) for row in held.rows]
    alone = cell.processes(instance) == 1  # it executes several at once, and had room for more
    return held if alone else held.where(np.array(could, dtype=np.bool_))


def _frozen(cell: Surroundings, executing: Overlaps, start: int, end: int) -> bool:
    if len(executing) < _SEVERAL:
        return False
    took = cell.execution_ns[executing.rows]
    shortest = _SHARE * int(took.min())
    typical = [cell.typical(int(row), "execution") for row in executing.rows]
    ended = cell.at["completed"][executing.rows]
    together = all(
        t is not None and ns >= LONG * t[0] and at <= end + _SOON_NS + _SOON * t[0]
        for ns, at, t in zip(took, ended, typical, strict=True)
    )
    meanwhile = (cell.at["started"] < end) & (cell.at["completed"] > start)
    usual = bool(((cell.execution_ns >= shortest) & ~meanwhile).any())
    return together and end - start >= shortest and not usual


def _others(cell: Surroundings, start: int, end: int) -> tuple[int, int]:
    instances = np.unique(cell.instance)
    gaps = (silences(cell.events(int(i)), start, end, end - start) for i in instances)
    return len(instances), sum(bool(found) for found in gaps)

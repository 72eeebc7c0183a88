"""Spans wait while there is load, but not for ever and not without bound."""

from collections.abc import Sequence

import numpy as np
import pytest

from instrumentation import backlog as module
from instrumentation import done_rows
from instrumentation.backlog import Backlog
from instrumentation.done_rows import DoneRows
from instrumentation.records import STARTED, Record

BURST = module._CALM + 1
BOUND = module._MOST_WAITING


def records(count: int) -> list[Record]:
    return [(STARTED, "t", "q", number) for number in range(count)]


def test_a_calm_moment_writes_and_a_burst_waits() -> None:
    written: list[Record] = []
    backlog = Backlog(lambda some: (written.extend(some), 0)[1])

    def after(count: int, *, final: bool = False) -> int:
        backlog.add(records(count))
        backlog.write(final=final)
        return len(written)

    assert after(2) == 2
    assert after(BURST) == 2
    assert after(1) == 2 + BURST + 1
    assert after(BURST) == 2 + BURST + 1
    assert after(0, final=True) == 2 + BURST + 1 + BURST


def test_many_scrapes_between_two_looks_are_no_calm() -> None:
    written: list[Record] = []
    backlog = Backlog(lambda some: (written.extend(some), 0)[1])
    for _ in range(BURST):
        backlog.add(records(1))
    backlog.write(final=False)
    assert not written


def test_what_waits_is_bounded_and_the_oldest_goes_first() -> None:
    written: list[Record] = []
    backlog = Backlog(lambda some: (written.extend(some), 0)[1])
    backlog.add(records(BOUND))
    backlog.write(final=False)
    assert not written
    backlog.add(records(BURST))
    backlog.write(final=False)
    assert written == records(BOUND)[:BURST]
    backlog.write(final=True)
    assert written == records(BOUND) + records(BURST)


def test_rows_wait_and_go_in_the_same_way() -> None:
    written: list[int] = []

    def write(some: Sequence[object]) -> int:
        written.extend(number for rows in some for number in rows.table["number"].tolist())  # type: ignore[attr-defined]
        return 0

    def rows(begin: int, count: int) -> DoneRows:
        table = np.zeros(count, done_rows._FIELDS)
        table["number"] = np.arange(begin, begin + count)
        return DoneRows(table, [("t", "q")], np.zeros(count, np.int64))

    backlog = Backlog(write)
    backlog.add([], rows(0, BOUND))
    backlog.add([], rows(BOUND, BURST))
    backlog.write(final=False)
    assert written == list(range(BURST))
    backlog.write(final=True)
    assert written == list(range(BOUND + BURST))


def test_rows_that_cannot_be_written_are_counted_one_by_one() -> None:
    def fail(_some: Sequence[object]) -> int:
        raise RuntimeError

    backlog = Backlog(fail)
    table = np.zeros(7, done_rows._FIELDS)
    backlog.add([], DoneRows(table, [("t", "q")], np.zeros(7, np.int64)))
    assert backlog.write(final=True) == 7


@pytest.mark.parametrize("broken", [False, True])
def test_drops_are_told_and_a_break_drops_all(broken: bool) -> None:  # noqa: FBT001
    def drop(some: Sequence[Record]) -> int:
        if broken:
            raise RuntimeError
        return len(some)

    backlog = Backlog(drop)
    backlog.add(records(3))
    assert backlog.write(final=False) == 3
    assert backlog.write(final=False) == 0

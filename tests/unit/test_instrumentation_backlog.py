"""Spans wait while there is load, but not for ever and not without bound."""

from collections.abc import Sequence

from instrumentation import backlog as module
from instrumentation.backlog import Backlog
from instrumentation.records import STARTED, Record

BURST = module._CALM + 1
BOUND = module._MOST_WAITING


def records(count: int) -> list[Record]:
    return [(STARTED, "t", "q", number) for number in range(count)]


def test_a_calm_drain_writes_and_a_burst_waits() -> None:
    written: list[Record] = []
    backlog = Backlog(lambda some: (written.extend(some), 0)[1])
    backlog.add(records(2), final=False)
    assert len(written) == 2
    backlog.add(records(BURST), final=False)
    assert len(written) == 2
    backlog.add(records(1), final=False)
    assert len(written) == 2 + BURST + 1
    backlog.add(records(BURST), final=False)
    backlog.add([], final=True)
    assert len(written) == 2 + BURST + 1 + BURST


def test_what_waits_is_bounded_and_the_oldest_goes_first() -> None:
    written: list[Record] = []
    backlog = Backlog(lambda some: (written.extend(some), 0)[1])
    backlog.add(records(BOUND), final=False)
    assert not written
    backlog.add(records(BURST), final=False)
    assert written == records(BOUND)[:BURST]
    assert len(backlog._waiting) == BOUND


def test_drops_are_told_and_a_break_drops_all() -> None:
    def broken(_records: Sequence[Record]) -> int:
        raise RuntimeError

    assert Backlog(len).add(records(3), final=False) == 3
    assert Backlog(broken).add(records(3), final=False) == 3

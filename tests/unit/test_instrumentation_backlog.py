"""Spans wait for the thread that writes them: all of them, but not without bound."""

import threading
from collections.abc import Iterable

import pytest
from workers import parse_line

from instrumentation import backlog as module
from instrumentation.attempt import Attempt
from instrumentation.backlog import Backlog, Line
from instrumentation.carrier import pack
from instrumentation.records import FAILURE, SENT, SUCCESS, Record
from instrumentation.sinks import NullSink, QueuedSink

NOW = 1_800_000_000_000_000_000


class Kept:
    """A sink that keeps what it gets, and says that it dropped so many spans each time."""

    def __init__(self, dropped: int = 0) -> None:
        self.lines: list[Line] = []
        self._dropped = dropped

    def wanted(self) -> bool:
        return True

    def write(self, lines: Iterable[Line], *, vital: bool = False) -> int:
        if vital:
            assert not list(lines)
            return 0
        self.lines += lines
        return self._dropped

    def close(self) -> int:
        return 0

    def task_ids(self) -> list[str]:
        return [span.task_id for line, _ in self.lines for span in parse_line(line)]


class Full(QueuedSink):
    """A sink whose receiver takes nothing."""

    def __init__(self) -> None:
        super().__init__(close_after_seconds=0)
        self.first: list[Line] = []
        self.then: list[Line] = []

    def write(self, lines: Iterable[Line], *, vital: bool = False) -> int:
        (self.first if vital else self.then).extend(lines)
        return 0

    def deliver(self, line: str) -> None:
        raise AssertionError(line)


def done(number: int, outcome: str = SUCCESS) -> Attempt:
    one = Attempt()
    one.task, one.queue, one.task_id, one.outcome = "noop", "shop", str(number), outcome
    one.carrier = pack("", 0, NOW)
    one.received = one.started = one.acked = NOW
    one.completed = NOW + number
    return one


def sent(number: int) -> Record:
    return (SENT, "t", "q", str(number), f"00-{'a' * 32}-{'b' * 16}-00", "", 0, NOW, NOW, None)


def test_what_was_taken_is_written_when_it_is_asked_for() -> None:
    backlog = Backlog("celery", {}, sink := Kept())
    assert backlog.add([sent(1), done(2)]) == 0
    backlog.add([done(3)])
    assert not sink.lines
    backlog.write()
    assert sorted(sink.task_ids()) == ["1", "2", "3"]
    backlog.write()
    assert len(sink.task_ids()) == 3


def test_closing_writes_the_last() -> None:
    backlog = Backlog("celery", {}, sink := Kept())
    backlog.add([done(1)])
    assert backlog.close() == 0
    assert sink.task_ids() == ["1"]


def test_what_waits_is_bounded_and_what_comes_too_late_is_dropped_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 100)
    monkeypatch.setattr(module, "_AT_ONCE", 4)
    backlog = Backlog("celery", {}, sink := Kept())
    assert backlog.add([done(number) for number in range(6)]) == 2
    assert backlog.add([done(6)]) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "spans are being dropped: they are not written as fast as they come"
    ]
    backlog.write()
    assert sorted(sink.task_ids()) == ["0", "1", "2", "3"]
    assert backlog.add([done(7)]) == 0


class Breaking(Kept):
    def write(self, lines: Iterable[Line], *, vital: bool = False) -> int:
        raise OSError(lines, vital)


def test_a_sink_that_breaks_costs_spans_and_nothing_else() -> None:
    backlog = Backlog("celery", {}, Breaking())
    backlog.add([done(1), done(2)])
    backlog.write()
    assert backlog.add([]) == 2
    assert backlog.close() == 0


def test_nothing_is_lost_between_who_adds_and_who_writes() -> None:
    backlog = Backlog("celery", {}, sink := Kept())
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            backlog.write()

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(2_000):
        backlog.add([done(number)])
    over.set()
    writer.join()
    assert backlog.close() == 0
    assert sorted(map(int, sink.task_ids())) == list(range(2_000))
    assert backlog._waiting == 0


def test_what_the_sink_dropped_is_told_once() -> None:
    backlog = Backlog("celery", {}, Kept(dropped=7))
    backlog.write()
    assert backlog.add([]) == 7
    assert backlog.add([]) == 0
    assert backlog.close() == 7


def test_what_cannot_be_written_is_dropped_and_raises_nothing() -> None:
    backlog = Backlog("celery", {}, sink := Kept())
    assert backlog.add([("no", "such", "record")]) == 1
    assert backlog.add([done(1)]) == 0
    backlog.write()
    assert sink.task_ids() == ["1"]


def test_where_nobody_wants_spans_none_are_made() -> None:
    backlog = Backlog("celery", {}, NullSink())
    assert backlog.add([("no", "such", "record")]) == 0
    assert backlog.close() == 0


def test_failures_and_the_slowest_go_first_where_not_all_may_get_through() -> None:
    backlog = Backlog("celery", {}, sink := Full())
    backlog.add([done(number) for number in range(100)] + [done(0, FAILURE)])
    backlog.write()
    first = [span for line, _ in sink.first for span in parse_line(line) if span.task_id]
    assert {span.task_id for span in first} == {"0", *map(str, range(80, 100))}
    assert sum(count for _, count in sink.first + sink.then) == 101

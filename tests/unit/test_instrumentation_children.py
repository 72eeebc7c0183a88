"""Who tells of an attempt whose process was killed: the process, if it could, else its parent."""

import os
import subprocess
import sys
from enum import Enum, StrEnum
from typing import Any

import pytest

from instrumentation.attempt import Attempt, SpooledAttempt
from instrumentation.children import Children, is_running
from instrumentation.records import DONE, FAILURE, LOST, RETRY, REVOKED, SUCCESS, Record
from instrumentation.unknown import UNKNOWN, Names, plain

CHILD = 7
SECOND = 1_000_000_000


class Pool:
    """Children whose death the test decides about, and what they and their parent wrote."""

    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.now = 100 * SECOND
        self.children = Children(lambda pid: pid not in self.dead, lambda: self.now)

    def drain(self, *records: Any, final: bool = False) -> list[Attempt]:
        began, ended, lost = ([r for r in records if r[0] == kind] for kind in (1, DONE, LOST))
        self.children.look()
        return self.children.settle(
            began, list(map(Attempt.heard, ended)), list(map(Attempt.heard, lost)), final=final
        )


@pytest.fixture
def pool() -> Pool:
    return Pool()


def told(number: int = 1, task_id: str = "a", pid: int = CHILD) -> tuple[Record, Any]:
    """Return what a child writes of an attempt."""
    written: list[Any] = []
    attempt = SpooledAttempt(written.append)
    attempt.task_id, attempt.number, attempt.pid = task_id, number, pid
    attempt.start()
    attempt.complete()
    attempt.record()
    started, done = written
    return started, done


def lost(outcome: str = FAILURE, number: int = 1, task_id: str = "a") -> Record:
    """Return what the parent writes of it."""
    attempt = Attempt()
    attempt.task_id, attempt.number, attempt.outcome = task_id, number, outcome
    attempt.completed, attempt.pid = 100 * SECOND, CHILD
    return attempt.told(LOST)


def test_the_child_itself_knows_best(pool: Pool) -> None:
    started, done = told()
    pool.dead.add(CHILD)
    assert not pool.drain(started, done, lost())
    assert not pool.drain()
    assert not pool.drain(final=True)
    assert done[3] == SUCCESS


def test_also_if_it_said_so_only_after_its_parent_gave_it_up(pool: Pool) -> None:
    started, done = told()
    assert not pool.drain(started, lost())
    assert not pool.drain(), "it still runs, and may have something to say"
    pool.dead.add(CHILD)
    assert not pool.drain(done)
    assert not pool.drain(final=True)


def test_what_it_could_not_say_its_parent_says_once(pool: Pool) -> None:
    started, _ = told()
    pool.dead.add(CHILD)
    assert not pool.drain(started, lost(REVOKED)), "what it wrote last may not be read yet"
    (attempt,) = pool.drain()
    assert (attempt.outcome, attempt.pid) == (REVOKED, CHILD)
    assert attempt.started == started[3], "the start as the child saw it"
    assert attempt.counted
    assert not pool.drain(final=True)


def test_what_was_killed_before_it_began_counts_as_begun(pool: Pool) -> None:
    pool.dead.add(CHILD)
    pool.drain(*told(task_id="another"), lost())
    (attempt,) = pool.drain()
    assert attempt.started == attempt.completed == 100 * SECOND
    assert not attempt.counted


def test_an_earlier_attempt_is_not_taken_for_a_later_one(pool: Pool) -> None:
    again, _ = told()
    pool.dead.add(CHILD)
    pool.drain(*told(), again, lost())
    (attempt,) = pool.drain()
    assert attempt.started == again[3]


def test_nobody_waits_for_ever(pool: Pool) -> None:
    pool.drain(lost())
    pool.now += 9 * SECOND
    assert not pool.drain()
    pool.now += 2 * SECOND
    assert len(pool.drain()) == 1
    assert len(pool.drain(lost(), final=True)) == 1


@pytest.mark.parametrize("final", [False, True])
def test_where_nobody_says_anything_it_was_retried(pool: Pool, *, final: bool) -> None:
    started, _ = told()
    assert not pool.drain(started)
    pool.dead.add(CHILD)
    assert not pool.drain(), "its parent may still notice"
    pool.now += 0 if final else 11 * SECOND
    (attempt,) = pool.drain(final=final)
    assert (attempt.outcome, attempt.task_id, attempt.pid) == (RETRY, "a", CHILD)
    assert (attempt.started, attempt.counted) == (started[3], True)
    assert not pool.drain(final=True)


def test_a_child_may_have_several_under_way(pool: Pool) -> None:
    """A worker in a forked child runs tasks side by side."""
    (first, first_done), (second, second_done) = told(task_id="a"), told(task_id="b")
    assert not pool.drain(first, second)
    assert not pool.drain(second_done)
    assert not pool.drain(first_done)
    pool.dead.add(CHILD)
    pool.drain()
    pool.now += 11 * SECOND
    assert not pool.drain(final=True)


def test_all_that_it_had_under_way_is_told_where_it_was_killed(pool: Pool) -> None:
    pool.drain(told(task_id="a")[0], told(task_id="b")[0])
    pool.dead.add(CHILD)
    assert {a.task_id for a in pool.drain(final=True)} == {"a", "b"}


def test_what_this_process_itself_began_is_none_of_a_childs(pool: Pool) -> None:
    started, _ = told(pid=os.getpid())
    pool.drain(started)
    assert not pool.children._began
    assert not pool.drain(final=True)


def test_who_says_it_late_says_it_once(pool: Pool) -> None:
    started, _ = told()
    pool.drain(started)
    pool.dead.add(CHILD)
    pool.drain(lost())
    assert len(pool.drain()) == 1
    pool.now += 11 * SECOND
    assert not pool.drain()
    pool.drain(*told(pid=CHILD + 1))
    pool.dead.add(CHILD + 1)
    pool.now += 11 * SECOND
    assert not pool.drain(final=True)


def test_children_that_are_gone_are_forgotten(pool: Pool) -> None:
    pool.dead |= set(range(10_000))
    for pid in range(10_000):
        pool.drain(*told(pid=pid))
    assert len(pool.children._began) <= 2_000
    assert len(pool.children._ended) <= 2_000


def test_who_is_running() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert [is_running(pid) for pid in (os.getpid(), 1, process.pid, 0)] == [
        True,
        True,
        False,
        False,
    ]


def test_so_many_names_and_no_more() -> None:
    names = Names(2)
    assert [names(name) for name in ("a", "b", "c", "a", "", None, 7, "x" * 300)] == [
        "a", "b", UNKNOWN, "a", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
    ]  # fmt: skip


class Kind(StrEnum):
    PAY = "pay"


class Older(str, Enum):  # noqa: UP042 - what there was before
    PAY = "pay"


@pytest.mark.parametrize("name", ["pay", Kind.PAY, Older.PAY])
def test_a_name_is_plain_text(name: object) -> None:
    assert plain(name) == "pay"
    assert type(plain(name)) is str


def test_what_is_no_text_becomes_it() -> None:
    assert plain(5) == "5"

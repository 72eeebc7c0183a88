"""A process pool's children tell when their calls begin and end, whatever becomes of them."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from opentelemetry import trace
from workers import eventually

from instrumentation.pool_child import begin_now, timed_call
from instrumentation.pool_parent import Places

TRACE, SPAN = "a" * 32, "b" * 16
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


class Stubborn(Exception):
    """Loses its attributes on the way home, as some libraries' exceptions do."""

    def __init__(self, code: int) -> None:
        super().__init__(code)

    def __reduce__(self) -> Any:
        return Stubborn, self.args


def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def fails() -> None:
    time.sleep(0.05)
    raise Stubborn(7)


def returns_what_cannot_be_sent() -> Any:
    time.sleep(0.05)
    return lambda: None


def is_killed() -> None:
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


def prepares_first() -> int:
    time.sleep(0.05)
    prepared = time.time_ns()
    begin_now()
    return prepared


def tells_where() -> tuple[int, int, bool]:
    context = trace.get_current_span().get_span_context()
    return context.trace_id, context.span_id, bool(context.trace_flags.sampled)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")  # as AsyncTasQ's
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(os.getpid).result() > 0
        yield pool


def submit(pool: ProcessPoolExecutor, places: Places, call: Any, *args: Any) -> Future[Any]:
    return pool.submit(timed_call, places.where, places.take(), TRACEPARENT, call, *args)


def test_a_call_is_timed_and_its_result_is_its_own(pool: ProcessPoolExecutor) -> None:
    places, before = Places(), time.time_ns()
    assert submit(pool, places, sleeps, 0.05).result() == 0.05
    began, ended = places.read(0)
    assert before < began
    assert ended - began >= 0.05e9
    assert ended < time.time_ns()


def test_the_parent_knows_of_the_beginning_while_it_runs(pool: ProcessPoolExecutor) -> None:
    places = Places()
    future = submit(pool, places, sleeps, 0.5)
    assert eventually(lambda: places.read(0)[0], "it began")
    assert places.read(0)[1] == 0
    assert not future.done()
    future.result()
    assert places.read(0)[1] > 0


@pytest.mark.parametrize("call", [fails, returns_what_cannot_be_sent])
def test_it_is_timed_whatever_comes_back(call: Any, pool: ProcessPoolExecutor) -> None:
    places = Places()
    error = submit(pool, places, call).exception()
    assert error is not None
    if call is fails:
        assert (type(error), error.args) == (Stubborn, (7,))
    began, ended = places.read(0)
    assert 0.05e9 <= ended - began < 5e9


def test_a_child_that_was_killed_had_told_when_it_began() -> None:
    places = Places()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert isinstance(submit(pool, places, is_killed).exception(), BrokenProcessPool)
    began, ended = places.read(0)
    assert began > 0
    assert ended == 0


def test_preparation_is_no_execution(pool: ProcessPoolExecutor) -> None:
    places = Places()
    prepared = submit(pool, places, prepares_first).result()
    assert places.read(0)[0] >= prepared


def test_what_is_nobodys_attempt_writes_over_none(pool: ProcessPoolExecutor) -> None:
    """A task that runs another one's code calls what says when preparation ends."""
    places = Places()
    submit(pool, places, sleeps, 0.01).result()
    told = places.read(0)
    pool.submit(begin_now).result()
    assert places.read(0) == told


def test_the_tasks_span_is_the_current_one(pool: ProcessPoolExecutor) -> None:
    places = Places()
    found = submit(pool, places, tells_where).result()
    assert found == (int(TRACE, 16), int(SPAN, 16), True)
    assert pool.submit(tells_where).result() == (0, 0, False), "and not for what comes next"


def test_places_are_used_again_and_start_empty() -> None:
    places = Places()
    first, second = places.take(), places.take()
    assert (first, second) == (0, 1)
    with open(places.where[0], "r+b", buffering=0) as file:  # noqa: PTH123 - a path of the kernel's
        os.pwrite(file.fileno(), b"\1" * 16, first * 16)
    assert places.read(first)[0] > 0
    places.give_back(first)
    assert places.take() == first
    assert places.read(first) == (0, 0)


def test_a_place_that_cannot_be_told_costs_the_call_nothing(
    pool: ProcessPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    assert pool.submit(timed_call, ("/no/such/file", 0), 0, TRACEPARENT, sleeps, 0).result() == 0
    places = Places()
    places.complain()
    places.complain()
    (record,) = caplog.records
    assert "when process tasks begin is not known" in record.getMessage()

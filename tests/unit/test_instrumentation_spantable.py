"""Spans that are written many at a time say what single ones say, to the letter."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workers import parse_line

from instrumentation import spans, spantable
from instrumentation.attempt import Attempt
from instrumentation.carrier import begin_trace, pack
from instrumentation.done_rows import read_attempts
from instrumentation.propagation import sender_ids
from instrumentation.records import FAILURE, RETRY

NOW = 1_800_000_000_000_000_000


def attempts(count: int, change: Callable[[Attempt], None] = lambda _: None) -> list[Attempt]:
    random = Random(count)  # noqa: S311
    made = []
    for number in range(count):
        sent = NOW + random.randrange(10**12)
        one = Attempt()
        one.task, one.queue, one.outcome = "noop", "shop", "success"
        one.task_id, one.span_id = f"{number:036}", f"{random.getrandbits(64):016x}"
        one.carrier = pack(sender_ids(0.0)[0], sent - 1, sent)
        one.received, one.started, one.completed, one.acked = (sent + n * 10**6 for n in range(4))
        change(one)
        made.append(one)
    return made


def single(some: list[Attempt]) -> list[str]:
    """Return the lines of each span alone, which no table is made of."""
    return [line.decode() for one in some for line, _ in spans.lines([one], "celery", {})]


def spans_of(lines: list[str]) -> list[object]:
    return sorted((span for line in lines for span in parse_line(line)), key=lambda s: s.span_id)


def in_tables(some: list[Attempt]) -> int:
    rows, unlike = read_attempts(some)
    tables, others = spantable.fill_done(rows, lambda facts: spans._done(facts, "celery"))
    assert sum(map(len, tables)) + len(others) + len(unlike) == len(some)
    return sum(map(len, tables))


def without(name: str) -> Callable[[Attempt], None]:
    return lambda attempt: setattr(attempt, name, 0)


def unscheduled(attempt: Attempt) -> None:
    attempt.carrier = pack(sender_ids(0.0)[0], 0, NOW)


def began(attempt: Attempt) -> None:
    attempt.carrier = pack(begin_trace().traceparent(), 0, NOW)


@pytest.mark.parametrize(
    "change", [lambda _: None, without("received"), without("acked"), unscheduled, began]
)
def test_they_are_the_same(change: Callable[[Attempt], None]) -> None:
    some = attempts(700, change)
    assert in_tables(some) == 700
    lines = [line.decode() for line, _ in spans.lines(some, "celery", {})]
    assert spans_of(lines) == spans_of(single(some))
    assert max(map(len, map(parse_line, lines))) <= 100


@pytest.mark.parametrize("carrier", ["", pack("", 0, NOW), pack("", 0, 0)])
def test_what_came_without_context_begins_a_trace_each(carrier: str) -> None:
    some = attempts(700)
    for one in some:
        one.carrier = carrier
    assert in_tables(some) == 700
    lines = [line.decode() for line, _ in spans.lines(some, "celery", {})]
    found, alone = (
        sorted((span for line in of for span in parse_line(line)), key=lambda span: span.span_id)
        for of in (lines, single(some))
    )
    assert {span.parent_id for span in found} == {""}
    assert len({span.trace_id for span in found}) == 700
    assert [replace(span, trace_id="") for span in found] == [
        replace(span, trace_id="") for span in alone
    ]


def test_traces_begin_only_where_none_came() -> None:
    some = attempts(700)
    for one in some[::2]:
        one.carrier = ""
    came = {one.carrier[3:35] for one in some[1::2]}
    lines = [line.decode() for line, _ in spans.lines(some, "celery", {})]
    found = [span for line in lines for span in parse_line(line)]
    assert {span.trace_id for span in found if span.parent_id} == came
    assert len({span.trace_id for span in found}) == 700


def test_the_processes_of_a_pool_share_a_table() -> None:
    some = attempts(700)
    for number, one in enumerate(some):
        one.pid = 4000 + number % 70 if number % 7 else 12_345
    assert in_tables(some) == 700
    lines = [line.decode() for line, _ in spans.lines(some, "celery", {})]
    assert spans_of(lines) == spans_of(single(some))


def sampled(attempt: Attempt) -> None:
    attempt.carrier = pack(sender_ids(1.0)[0], 0, NOW)


def delayed(attempt: Attempt) -> None:
    attempt.carrier = pack(sender_ids(0.0)[0], 0, NOW, NOW + 1)


def failed(attempt: Attempt) -> None:
    attempt.outcome, attempt.error = FAILURE, ("E", "m", "s")


def retried(attempt: Attempt) -> None:
    attempt.outcome = RETRY


def early(attempt: Attempt) -> None:
    attempt.started = 7


def quoted(attempt: Attempt) -> None:
    attempt.task_id = attempt.task_id.replace("0", '"')


def placeholder(attempt: Attempt) -> None:
    attempt.task = "t" * 32


def absent_instant(attempt: Attempt) -> None:
    unscheduled(attempt)
    attempt.queue = "q9000000000000000001"


def no_id(attempt: Attempt) -> None:
    attempt.task_id = ""


@pytest.mark.parametrize(
    "change",
    [sampled, delayed, failed, retried, early, quoted, placeholder, absent_instant, no_id],
)
def test_what_is_unlike_the_others_is_written_alone(change: Callable[[Attempt], None]) -> None:
    assert in_tables(attempts(200, change)) == 0


KINDS = [lambda _: None, unscheduled, sampled, delayed, failed, retried, early, quoted]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(range(len(KINDS))), min_size=60, max_size=300))
def test_any_mixture(kinds: list[int]) -> None:
    some = attempts(len(kinds))
    for one, kind in zip(some, kinds, strict=True):
        KINDS[kind](one)
        one.task = f"task{kind % 3}"
    mixed = spans_of([line.decode() for line, _ in spans.lines(some, "celery", {})])
    alone = spans_of(single(some))
    own = {one.span_id for one in some}  # the ids of waits are made as they are written
    assert [s for s in mixed if s.span_id in own] == [s for s in alone if s.span_id in own]
    assert len(mixed) == len(alone)


def test_another_message_is_written_alone() -> None:
    some = attempts(200)
    some[7].carrier = "another's"
    assert in_tables(some) == 199
    assert in_tables(attempts(10)) == 0

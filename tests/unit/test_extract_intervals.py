"""The index answers as plain counting does, whatever the intervals."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from extract.intervals import Intervals, overlap, silences

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=25)


def index(pairs: list[tuple[int, int]]) -> tuple[Intervals, list[tuple[int, int]]]:
    spans = [(start, start + length) for start, length in pairs]
    columns = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return Intervals(np.arange(len(spans)), columns[:, 0], columns[:, 1]), spans


@given(PAIRS, st.integers(-1, 45))
def test_count_is_how_many_had_begun_and_not_ended(pairs: list[tuple[int, int]], at: int) -> None:
    intervals, spans = index(pairs)
    assert intervals.count(at) == sum(start < at < end for start, end in spans)


@given(PAIRS, st.integers(-1, 45), st.integers(1, 20))
def test_within_finds_all_that_lie_over(pairs: list[tuple[int, int]], at: int, ms: int) -> None:
    intervals, spans = index(pairs)
    found = intervals.within(at, at + ms)
    expected = {i: overlap(s, (at, at + ms)) for i, s in enumerate(spans)}
    assert dict(zip(found.rows.tolist(), found.overlap_ns.tolist(), strict=True)) == {
        i: ns for i, ns in expected.items() if ns}  # fmt: skip


@given(PAIRS)
def test_most_at_once(pairs: list[tuple[int, int]]) -> None:
    intervals, spans = index(pairs)
    halves = [half / 2 for half in range(90)]
    assert intervals.most_at_once() == max(
        sum(start < at < end for start, end in spans) for at in halves)  # fmt: skip


@given(PAIRS, st.integers(-1, 40), st.integers(1, 20))
def test_ended_between(pairs: list[tuple[int, int]], at: int, ms: int) -> None:
    intervals, spans = index(pairs)
    assert intervals.ended(at, at + ms) == sum(at < b < at + ms for a, b in spans if b > a)


def test_silences_reach_beyond_the_question_and_are_long_enough() -> None:
    instants = np.array([0, 10, 20, 50, 55, 90], dtype=np.int64)
    assert silences(instants, 25, 60, 30) == [(20, 50), (55, 90)]
    assert silences(instants, 25, 60, 31) == [(55, 90)]
    assert silences(instants, 51, 54, 1) == [(50, 55)]
    assert silences(instants, -5, 3, 5) == [(0, 10)]
    assert silences(instants, 91, 99, 1) == []
    assert silences(instants[:0], 0, 9, 1) == []

"""Histograms against a plain count; the bucket layout against its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from instrumentation.buckets import BOUNDS_SECONDS, LABELS, bucket_around
from instrumentation.histogram import Histogram

NAMES = ("task", "queue")
intervals = st.lists(
    st.one_of(
        st.integers(-(2**62), 2**62),
        st.sampled_from(BOUNDS_SECONDS).flatmap(
            lambda bound: st.integers(-2, 2).map(lambda off: round(bound * 1e9) + off)
        ),
    ),
    min_size=1,
    max_size=40,
)
labels = st.text(st.characters(codec="utf-8"), max_size=10)


def test_the_layout_is_geometric_from_100_microseconds_to_20_minutes() -> None:
    assert BOUNDS_SECONDS[0] == 100e-6
    assert 18 * 60 < BOUNDS_SECONDS[-1] < 20 * 60 + 60
    ratios = np.diff(np.log2(BOUNDS_SECONDS))
    assert ratios == pytest.approx(1 / 8, abs=2e-5)
    assert len(set(LABELS)) == len(LABELS) == 189


@given(st.lists(intervals, min_size=1, max_size=4), labels, labels)
def test_against_a_plain_count(batches: list[list[int]], task: str, queue: str) -> None:
    histogram = Histogram("h_seconds", "Help.", NAMES)
    negative = sum(
        histogram.observe([(task, queue)], np.array(b, np.int64), np.zeros(len(b), np.int64))
        for b in batches
    )
    everything = [value for batch in batches for value in batch]
    assert negative == sum(value < 0 for value in everything)
    (family,) = text_string_to_metric_families("\n".join(histogram.lines()) + "\n")
    assert family.type == "histogram"
    buckets = [s for s in family.samples if s.name == "h_seconds_bucket"]
    for sample in buckets:
        assert (sample.labels["task"], sample.labels["queue"]) == (task, queue)
        limit = float(sample.labels["le"]) * 1e9
        limit = limit if math.isinf(limit) else round(limit)
        assert sample.value == sum(value <= limit for value in everything)
    assert len(buckets) == 190
    by_name = {s.name: s.value for s in family.samples if not s.name.endswith("_bucket")}
    assert by_name == {
        "h_seconds_count": len(everything),
        "h_seconds_sum": sum(everything) / 10**9,
    }


@given(st.lists(st.tuples(st.sampled_from("abc"), intervals), min_size=1, max_size=6))
def test_several_series_at_once_are_as_each_alone(parts: list[tuple[str, list[int]]]) -> None:
    together, alone = (Histogram("h_seconds", "Help.", NAMES[:1]) for _ in range(2))
    tasks = ["a", "b", "c", "never"]
    values = np.array([value for _, some in parts for value in some], np.int64)
    codes = np.array([tasks.index(task) for task, some in parts for _ in some], np.int64)
    negative = together.observe([(task,) for task in tasks], values, codes)
    for task, some in parts:
        alone.observe([(task,)], np.array(some, np.int64), np.zeros(len(some), np.int64))
    assert negative == (values < 0).sum()
    assert sorted(together.lines()) == sorted(alone.lines())


@given(st.floats(0, 1e6))
def test_the_bucket_around_a_value_contains_it(seconds: float) -> None:
    lower, upper = bucket_around(seconds)
    assert lower < seconds <= upper or (seconds == 0 and lower == 0)
    assert lower == 0 or math.isinf(upper) or upper / lower == pytest.approx(2 ** (1 / 8), rel=1e-4)

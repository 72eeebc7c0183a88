"""Ids are random, well formed, and sampled as often as wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from instrumentation.carrier import parse_traceparent
from instrumentation.ids import new_roots, new_span_ids

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_sampled_share_is_the_ratio() -> None:
    sampled = {
        ratio: sum(header.endswith("01") for header in new_roots(ratio, 1000))
        for ratio in (0, 0.5, 1)
    }
    assert sampled[0] == 0
    assert 300 < sampled[0.5] < 700
    assert sampled[1] == 1000


@given(st.integers(0, 600))
def test_span_ids_are_as_many_as_wanted(count: int) -> None:
    ids = new_span_ids(count)
    assert len(set(ids)) == len(ids) == count
    assert all(parse_traceparent(f"00-{TRACE}-{span}-00") for span in ids)


@pytest.mark.parametrize("ratio", [0.01, 0.3, 1.0])
def test_the_sdk_would_sample_the_same_traces(ratio: float) -> None:
    sampler = TraceIdRatioBased(ratio)
    for header in new_roots(ratio, 500):
        _, trace_id, _, flags = header.split("-")
        decision = sampler.should_sample(None, int(trace_id, 16), "a").decision
        assert decision.is_sampled() is (flags == "01")

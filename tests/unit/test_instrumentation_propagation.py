"""What travels in a message: strict in what it believes, and nothing it reads can raise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from instrumentation import propagation
from instrumentation.propagation import SpanIds, instant, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_reads_what_w3c_writes() -> None:
    assert parse_traceparent(GOOD) == SpanIds(TRACE, SPAN, sampled=True)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-00") == SpanIds(TRACE, SPAN, sampled=False)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-03") == SpanIds(TRACE, SPAN, sampled=True)
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-later") == SpanIds(TRACE, SPAN, sampled=True)
    assert SpanIds(TRACE, SPAN, sampled=True).traceparent() == GOOD


@pytest.mark.parametrize(
    "header",
    [
        None, 7, b"x", ["a"], "", "00", GOOD + "\n", GOOD + "-x", GOOD + "0", " " + GOOD,
        GOOD.upper(), f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE[:-1]}_-{SPAN}-01", f"00-+{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}- 1", f"00-\uff11{TRACE[1:]}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01x",
    ],
)  # fmt: skip
def test_believes_nothing_else(header: object) -> None:
    assert parse_traceparent(header) is None


@given(st.text("0123456789abcdef-f", max_size=60))
def test_agrees_with_the_sdk(header: str) -> None:
    theirs = trace.get_current_span(
        TraceContextTextMapPropagator().extract({"traceparent": header}, context.Context())
    ).get_span_context()
    ours = parse_traceparent(header)
    assert (ours is not None) == theirs.is_valid


@pytest.mark.parametrize("value", [None, "soon", 1.5, True, -1, 0, 2**63, 10**30, [1], {}])
def test_no_instant_is_zero(value: object) -> None:
    assert instant({"key": value}, "key") == 0
    assert instant({}, "key") == 0


def test_instants_in_reach_are_kept() -> None:
    assert instant({"key": 2**63 - 1}, "key") == 2**63 - 1


def test_a_schedule_holds_inside_its_block_only() -> None:
    with propagation.scheduled_at(np.int64(5)):  # type: ignore[arg-type]
        assert propagation.scheduled_instant() == 5
        assert type(propagation.scheduled_instant()) is int
    assert propagation.scheduled_instant() == 0


def test_a_task_is_the_current_span_and_then_is_not() -> None:
    ids = SpanIds(TRACE, SPAN, sampled=False)
    token = propagation.enter_task(ids)
    current = trace.get_current_span().get_span_context()
    header, parent = propagation.sender_ids(1.0)
    sent = parse_traceparent(header)
    assert sent is not None
    assert (f"{current.trace_id:032x}", f"{current.span_id:016x}") == (TRACE, SPAN)
    assert (sent.trace_id, parent, sent.sampled) == (TRACE, SPAN, False)
    propagation.leave_task(token)
    assert not trace.get_current_span().get_span_context().is_valid
    assert propagation.sender_ids(0)[1] == ""


def test_sending_inside_a_live_span_continues_it() -> None:
    live = SpanContext(
        int(TRACE, 16), int(SPAN, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(live)))
    try:
        header, parent = propagation.sender_ids(0)
    finally:
        context.detach(token)
    ids = parse_traceparent(header)
    assert ids is not None
    assert (ids.trace_id, ids.sampled, parent) == (TRACE, True, SPAN)
    assert ids.span_id != SPAN


def test_the_sampled_share_is_the_ratio() -> None:
    sampled = {
        ratio: sum(header.endswith("01") for header in propagation.new_roots(ratio, 1000))
        for ratio in (0, 0.5, 1)
    }
    assert sampled[0] == 0
    assert 300 < sampled[0.5] < 700
    assert sampled[1] == 1000


def test_roots_are_well_formed_and_never_repeat() -> None:
    headers = [propagation.sender_ids(0.5)[0] for _ in range(1000)]
    assert all(parse_traceparent(header) for header in headers)
    assert len(set(headers)) == 1000


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_what_is_packed_is_unpacked(scheduled: int, sent: int) -> None:
    carrier = propagation.unpack(propagation.pack(GOOD, scheduled, sent))
    assert carrier == {
        propagation.TRACEPARENT: GOOD,
        propagation.SCHEDULED: scheduled,
        propagation.SENT: sent,
    }


@given(st.one_of(st.text("0123456789;-ab"), st.integers(), st.binary(), st.none()))
def test_unpacking_anything_never_raises(packed: object) -> None:
    carrier = propagation.unpack(packed)
    assert carrier is None or set(carrier) == {
        propagation.TRACEPARENT, propagation.SCHEDULED, propagation.SENT,
    }  # fmt: skip

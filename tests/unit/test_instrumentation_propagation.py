"""Which trace a message continues, and which task is the current one."""

import uuid

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from instrumentation import propagation
from instrumentation.carrier import parse_traceparent
from instrumentation.ids import SpanIds

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_schedule_holds_inside_its_block_only() -> None:
    with propagation.scheduled_at(np.int64(5)):  # type: ignore[arg-type]
        assert propagation.scheduled_instant() == 5
        assert type(propagation.scheduled_instant()) is int
    assert propagation.scheduled_instant() == 0


class Running:
    """A task that runs."""

    def ids(self) -> SpanIds:
        return SpanIds(TRACE, SPAN, sampled=False)


def test_a_task_is_the_current_span_and_then_is_not() -> None:
    token = context.attach(propagation.task_context())
    running = propagation.current_task.set(Running())
    try:
        current = trace.get_current_span().get_span_context()
        header, parent = propagation.sender_ids(1.0)
    finally:
        propagation.current_task.reset(running)
    sent = parse_traceparent(header)
    assert sent is not None
    assert (f"{current.trace_id:032x}", f"{current.span_id:016x}") == (TRACE, SPAN)
    assert (sent.trace_id, parent, sent.sampled) == (TRACE, SPAN, False)
    assert not trace.get_current_span().get_span_context().is_valid
    assert propagation.sender_ids(0)[1] == ""
    context.detach(token)


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


def test_roots_are_well_formed_and_never_repeat() -> None:
    headers = [propagation.sender_ids(0.5)[0] for _ in range(1000)]
    assert all(parse_traceparent(header) for header in headers)
    assert len(set(headers)) == 1000


@given(st.uuids(version=4), st.sampled_from([0.0, 0.3, 1.0]))
def test_all_members_of_a_group_share_a_trace(group: uuid.UUID, ratio: float) -> None:
    headers = [propagation.sender_ids(ratio, str(group)) for _ in range(3)]
    ids = [parse_traceparent(header) for header, _ in headers]
    assert {(one.trace_id, one.sampled) for one in ids if one} == {
        (group.hex, int(group.hex[-14:], 16) / 2**56 < ratio)
    }
    assert len({one.span_id for one in ids if one}) == 3
    assert {parent for _, parent in headers} == {""}


@given(st.text(min_size=1))
def test_a_group_may_be_called_anything(group: str) -> None:
    first, second = (propagation.group_root(group, 0.5) for _ in range(2))
    assert parse_traceparent(first)
    assert parse_traceparent(second)
    assert (first[:36], first[-2:]) == (second[:36], second[-2:])


def test_the_sampled_share_of_groups_is_the_ratio() -> None:
    headers = [propagation.group_root(str(uuid.uuid4()), 0.5) for _ in range(1000)]
    assert 300 < sum(header.endswith("01") for header in headers) < 700

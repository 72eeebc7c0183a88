"""What travels in a message: strict in what it believes, and nothing it reads can raise."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from instrumentation import propagation
from instrumentation.propagation import SpanIds, parse_traceparent

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


instants = st.integers(0, 9 * 10**18 - 1)
headers = st.sampled_from([GOOD, GOOD[:-2] + "00"])


@given(st.lists(st.tuples(headers, instants, instants, instants), min_size=1, max_size=5))
def test_what_is_packed_is_unpacked(messages: list[tuple[str, int, int, int]]) -> None:
    carried = propagation.unpack([propagation.pack(*message) for message in messages])
    assert list(carried.flags) == [header[-2:] for header, *_ in messages]
    assert (set(carried.trace_ids), set(carried.senders)) == ({TRACE}, {SPAN})
    times = zip(carried.scheduled, carried.sent, carried.due, strict=True)
    assert list(times) == [tuple(times) for _, *times in messages]
    assert carried.unreadable == 0


@pytest.mark.parametrize(
    ("carrier", "times", "unreadable"),
    [
        ("", (0, 0, 0), 0),  # nobody said anything
        (GOOD, (0, 0, 0), 0),  # another instrumentation's header
        (f"{GOOD};7;8", (7, 8, 0), 0),
        (";0;5;0", (0, 5, 0), 0),
        (f"{GOOD};7;8;9;10", (7, 8, 9), 1),
        (f"{GOOD};-7;8;9", (0, 8, 9), 1),
        (f"{GOOD};7;{10**30};9", (7, 0, 9), 1),
        (f"{GOOD};7;8;\uff19", (7, 8, 0), 1),
        (f"{GOOD};7;8;9\n", (7, 8, 0), 1),
        ("junk", (0, 0, 0), 1),
        (f"00-{'0' * 32}-{SPAN}-01;1;2;3", (1, 2, 3), 1),
    ],
)
@pytest.mark.parametrize("others", [[], [f"{GOOD};1;2;3"]])
def test_what_others_sent_is_read_as_far_as_it_goes(
    carrier: str, times: tuple[int, ...], unreadable: int, others: list[str]
) -> None:
    carried = propagation.unpack([*others, carrier])
    assert (carried.scheduled[-1], carried.sent[-1], carried.due[-1]) == times
    assert carried.unreadable == unreadable
    good = carrier.startswith(GOOD)
    assert (carried.trace_ids[-1] == TRACE) == (carried.senders[-1] == SPAN) == good
    assert carried.flags[-1] == ("01" if good else "00")
    assert list(carried.trace_ids[:-1]) == [TRACE] * len(others)


@given(st.lists(st.text("0123456789abcdef;-\n x"), min_size=1, max_size=4))
def test_unpacking_anything_gives_ids_that_a_backend_takes(carriers: list[str]) -> None:
    carried = propagation.unpack(carriers)
    assert len(carried.trace_ids) == len(carriers)
    for trace_id, sender, flags in zip(*carried[:3], strict=True):
        assert parse_traceparent(f"00-{trace_id}-{sender or SPAN}-{flags}")


@given(st.integers(0, 600))
def test_span_ids_are_as_many_as_wanted(count: int) -> None:
    ids = propagation.new_span_ids(count)
    assert len(set(ids)) == len(ids) == count
    assert all(parse_traceparent(f"00-{TRACE}-{span}-00") for span in ids)


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

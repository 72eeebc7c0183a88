"""What a message carries: strict in what it believes, and nothing it reads can raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from instrumentation.carrier import pack, parse_traceparent, read_contexts, read_instants
from instrumentation.ids import SpanIds

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


instants = st.integers(0, 9 * 10**18 - 1)
headers = st.sampled_from([GOOD, GOOD[:-2] + "00"])


@given(st.lists(st.tuples(headers, instants, instants, instants), min_size=1, max_size=5))
def test_what_is_packed_is_read(messages: list[tuple[str, int, int, int]]) -> None:
    carriers = [pack(*message) for message in messages]
    contexts, (times, unreadable) = read_contexts(carriers), read_instants(carriers)
    assert list(contexts.flags) == [header[-2:] for header, *_ in messages]
    assert (set(contexts.trace_ids), set(contexts.senders)) == ({TRACE}, {SPAN})
    assert times.T.tolist() == [times for _, *times in messages]
    assert unreadable == 0


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
    carriers = [*others, carrier]
    contexts, (instants, count) = read_contexts(carriers), read_instants(carriers)
    assert tuple(instants[:, -1]) == times
    assert count == unreadable
    good = carrier.startswith(GOOD)
    assert (contexts.trace_ids[-1] == TRACE) == (contexts.senders[-1] == SPAN) == good
    assert contexts.flags[-1] == ("01" if good else "00")
    assert list(contexts.trace_ids[:-1]) == [TRACE] * len(others)


@given(st.lists(st.text("0123456789abcdef;-\n x"), min_size=1, max_size=4))
def test_unpacking_anything_gives_ids_that_a_backend_takes(carriers: list[str]) -> None:
    contexts, (instants, _) = read_contexts(carriers), read_instants(carriers)
    assert len(contexts.trace_ids) == len(carriers) == instants.shape[1]
    for trace_id, sender, flags in zip(*contexts, strict=True):
        assert parse_traceparent(f"00-{trace_id}-{sender or SPAN}-{flags}")


def test_a_carrier_in_a_carrier_is_one() -> None:
    """Two lines are no two messages: what a message says must not move the others'."""
    one = pack(f"00-{'a' * 32}-{'b' * 16}-00", 1, 2)
    instants, wrong = read_instants([f"{one}\n{one}", one])
    assert instants.shape == (3, 2)
    assert instants[:, 1].tolist() == [1, 2, 0]
    assert wrong == 1
    assert len(read_contexts([f"{one}\n{one}"]).trace_ids) == 1

"""What becomes a row comes back as it was, and what cannot be one is kept as it is."""

import re
import sys
import threading
import weakref
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workers import parse_line

from instrumentation import done_rows, finished, sent_rows, spans
from instrumentation.attempt import Attempt
from instrumentation.carrier import NO_SENDER, begin_trace, pack
from instrumentation.propagation import sender_ids
from instrumentation.recorder import Recorder
from instrumentation.records import ACKED, DONE, SENT, Record

NOW = 1_800_000_000_000_000_000
ID = "0123abcd-4567-89ef-0123-456789abcdef"
HEADER = f"00-{'a' * 32}-{'b' * 16}-00"
BEGUN = begin_trace().traceparent()

instants = st.sampled_from([0, 7, NOW, NOW + 5, -3, 2**63 - 1])
texts = st.sampled_from(
    ["", "t", "x" * 35 + "\0", 'quo"ted', "ü" * 36, ID, ID.replace("0", '"'), "t" * 32]
)
carriers = st.one_of(
    texts,
    st.builds(pack, st.just(""), instants.map(abs), instants.map(abs), instants.map(abs)),
    st.just(pack(BEGUN, 0, NOW)),
    st.builds(pack, st.just(HEADER), instants.map(abs), instants.map(abs), instants.map(abs)),
    st.just(pack(HEADER.replace("-00", "-01"), 0, NOW)),
    st.just(pack(HEADER.replace("a", "0"), 0, NOW)),
)
errors = st.sampled_from([None, ("ValueError", "no", "stack")])


def drained(recorder: Recorder) -> tuple[list[tuple[Any, ...]], list[Record]]:
    """Return what attempts tell, and what was sent, however each was kept."""
    found = recorder.drain()
    done, unlike = done_rows.read(found.done_rows, recorder.done_kinds)
    sent, alone = sent_rows.read(found.sent_rows, recorder.sent_kinds)
    attempts = [*done.attempts(), *unlike, *found.ended]
    return [one.told() for one in attempts], [*sent.records(), *alone, *found.records]


@given(
    st.lists(
        st.tuples(
            texts, texts, st.sampled_from(["success", "failure", "retry"]), texts,
            st.integers(1, 3), carriers, st.sampled_from(["", "c" * 16]),
            instants, instants, instants, instants, errors,
        )
    )
)  # fmt: skip
def test_attempts_come_back(told: list[Any]) -> None:
    recorder, expected = Recorder(), []
    for (task, queue, outcome, task_id, number, carrier, span_id,
         received, started, completed, acked, error) in told:  # fmt: skip
        one = recorder.attempt()
        one.task, one.queue, one.outcome, one.task_id = task, queue, outcome, task_id
        one.number, one.carrier, one.span_id = number, carrier, span_id
        one.received, one.started, one.completed, one.acked = received, started, completed, acked
        one.error = error
        one.record()
        one.record()
        expected.append(one.told())
    found, sent = drained(recorder)
    assert sorted(map(unbegun, found)) == sorted(map(unbegun, expected))
    assert {one[6] for one in found if BEGUN in one[6]} == {
        one[6] for one in expected if BEGUN in one[6]
    }
    assert not sent
    assert len(recorder) == 0


def unbegun(told: tuple[Any, ...]) -> str:
    """Write what an attempt tells, but for a trace that began with it, perhaps in its row."""
    carrier = told[6] or pack("", 0, 0)
    return repr((*told[:6], re.sub("^00-[0-9a-f]{32}-0{16}-00;", ";", carrier), *told[7:]))


@given(
    st.lists(
        st.tuples(
            st.just(SENT), texts, texts, texts,
            st.sampled_from([HEADER, HEADER[:-1] + "1", sender_ids(0.0)[0]]),
            st.sampled_from(["", "d" * 16]), instants, instants, instants, errors,
        )
    )
)  # fmt: skip
def test_what_was_sent_comes_back(records: list[Record]) -> None:
    recorder = Recorder()
    for record in records:
        recorder.sent(record)
    attempts, found = drained(recorder)
    assert sorted(map(repr, found)) == sorted(map(repr, records))
    assert not attempts


def sent(number: int, scheduled: int = 0) -> Record:
    task, at = f"task{number % 3}", NOW + number
    return (SENT, task, "q", f"{number:036}", sender_ids(0.0)[0], "", scheduled, at, at + 9, None)


def spans_of(items: list[Any]) -> list[object]:
    lines = [line.decode() for line, _ in spans.lines(items, "celery", {})]
    return sorted((span for line in lines for span in parse_line(line)), key=lambda s: s.span_id)


def test_the_spans_of_senders_are_the_same_in_rows() -> None:
    records = [sent(number, NOW * (number % 2)) for number in range(1000)]
    records += [(*sent(1)[:3], "t" * 36, *sent(1)[4:])]
    recorder = Recorder()
    for record in records:
        recorder.sent(record)
    rows, alone = sent_rows.read(recorder.drain().sent_rows, recorder.sent_kinds)
    assert (len(rows), alone) == (1001, [])
    assert spans_of([rows]) == spans_of(records)


def test_a_start_is_counted_once_whoever_is_first() -> None:
    """One thread drains while another ends attempts: the drain counts it or the end, never both."""
    recorder, count = Recorder(), 20_000
    counted = 0

    def work() -> None:
        for _ in range(count):
            one = recorder.attempt()
            one.task, one.queue, one.task_id, one.carrier = "t", "q", ID, pack(HEADER, 0, NOW)
            one.start()
            one.complete()
            one.record()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    ended = 0
    while worker.is_alive() or len(recorder):
        found = recorder.drain()
        rows, unlike = done_rows.read(found.done_rows, recorder.done_kinds)
        assert [*unlike, *found.ended] == []
        ended += len(rows)
        counted += len(found.records) + int((~rows.table["counted"]).sum())
    assert (ended, counted) == (count, count)


def test_threads_that_make_rows_at_a_time_take_each_attempt_once() -> None:
    recorder, count, threads = Recorder(), 5_000, 4

    def work() -> None:
        for number in range(count):
            one = recorder.attempt()
            one.task, one.queue, one.task_id, one.carrier = "t", "q", ID, pack(HEADER, 0, NOW)
            one.number = number + 1
            one.complete()
            one.record()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(recorder) == count * threads
    found, _ = drained(recorder)
    numbers = sorted(attempt[5] for attempt in found)
    assert numbers == sorted(list(range(1, count + 1)) * threads)
    assert len(recorder) == 0


def test_a_carrier_is_the_same_as_text_and_as_bytes_of_the_message() -> None:
    usual = pack(HEADER, 0, NOW)
    for text in (usual, pack(HEADER, 5, NOW, NOW), "ü" * 115, "ü" + usual[1:]):
        recorder = Recorder()
        for carried in (text, text.encode("latin-1")):
            one = recorder.attempt()
            one.task, one.queue, one.task_id = "t", "q", ID
            if isinstance(carried, bytes):
                one.carrier_bytes = carried
            else:
                one.carrier = carried
            one.complete()
            one.completed = one.started = NOW
            one.record()
        (first, second), _ = drained(recorder)
        assert first == second
        assert first[6] == text


@pytest.mark.parametrize("step", ["_make_sent_rows", "_make_done_rows"])
@pytest.mark.parametrize("before", [True, False])
def test_an_acknowledgement_is_never_drained_before_the_end(
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    before: bool,  # noqa: FBT001
) -> None:
    recorder = Recorder()
    attempt, make = recorder.attempt(), getattr(recorder, step)

    def end() -> None:
        attempt.record()
        recorder.append((ACKED, "id", 1, NOW))

    def meanwhile() -> None:
        monkeypatch.setattr(recorder, step, make)
        for do in (end, make) if before else (make, end):
            do()

    monkeypatch.setattr(recorder, step, meanwhile)
    first, second = recorder.drain(), recorder.drain()
    assert len(first.records) <= len(first.ended)
    assert (first.ended + second.ended, len(first.records + second.records)) == ([attempt], 1)


def test_what_is_over_keeps_nothing_of_the_applications_context() -> None:
    class Session:
        pass

    session: ContextVar[Session] = ContextVar("session")
    recorder = Recorder()

    def run() -> weakref.ref[Session]:
        session.set(Session())
        attempt = recorder.attempt()
        attempt.carrier = pack(HEADER.replace("-00", "-01"), 0, NOW)
        attempt.enter()
        attempt.complete()
        attempt.record()
        return weakref.ref(session.get())

    context = copy_context()
    left = context.run(run)
    del context
    assert left() is None
    assert len(recorder) == 1


def test_memory_of_rows_is_given_back() -> None:
    recorder = Recorder()
    for _ in range(3):
        for number in range(2000):
            recorder.sent(sent(number))
        assert len(recorder) == 2000
        recorder.drain()
        assert sys.getsizeof(recorder._sent_rows) < 1000


def test_what_another_process_told_becomes_a_row_too() -> None:
    one = Attempt.heard((DONE, "t", "q", "success", ID, 2, pack(HEADER, 0, NOW), "", 77, NOW, NOW,
                         NOW, NOW, None, True))  # fmt: skip
    rows, others = done_rows.read_attempts([one])
    assert not others
    assert [row.told() for row in rows.attempts()] == [one.told()]


def test_a_trace_of_zeros_is_not_taken_for_none() -> None:
    for header in (HEADER.replace("a", "0"), NO_SENDER):
        zeros = pack(header, 0, NOW)
        one = Attempt.heard((DONE, "t", "q", "success", ID, 2, zeros, "", 77, NOW, NOW, NOW, NOW,
                             None, True))  # fmt: skip
        rows, (unlike,) = done_rows.read_attempts([one])
        assert (len(rows), unlike.carrier) == (0, zeros)
        ((*_, span),) = (spans_of([one]),)
        assert set(span.trace_id) != {"0"}
        assert finished.read([one]).unreadable == 1

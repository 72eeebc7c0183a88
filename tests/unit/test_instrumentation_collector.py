"""From records to series: exact counts, honest labels, and a page that Prometheus reads."""

import random
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workers import Scrape

from instrumentation import done_rows
from instrumentation.attempt import Attempt
from instrumentation.backlog import Finished, SpanSink
from instrumentation.carrier import pack
from instrumentation.collector import Collector
from instrumentation.done_rows import DoneRows
from instrumentation.recorder import Recorder
from instrumentation.records import (
    ACK_PENDING,
    ACKED,
    DONE,
    DROPPED,
    FAILURE,
    RETRY,
    REVOKED,
    SENT,
    STARTED,
    SUCCESS,
    Record,
)

PARENT = f"00-{'a' * 32}-{'b' * 16}-00"
MS, SECOND = 1_000_000, 1_000_000_000
NOW = 1_800_000_000 * SECOND


class Bench:
    """A collector with its recorder and the spans it wrote."""

    def __init__(self, write: SpanSink | None = None) -> None:
        self.recorder = Recorder()
        self.written: list[Finished] = []
        self.collector = Collector(self.recorder, write or self._write)

    def _write(self, records: Sequence[Finished]) -> int:
        self.written += records
        return 0

    @property
    def attempts(self) -> list[Attempt]:
        return [record for record in self.written if isinstance(record, Attempt)]

    def scrape(self, *records: Record) -> Scrape:
        for record in records:
            self.recorder.append(record)
        self.collector.drain()
        return Scrape(self.collector.exposition())


def done(  # noqa: PLR0913
    *instants: int, task_id: str = "1", outcome: str = SUCCESS, task: str = "t", number: int = 1,
    counted: bool = True, due: int = 0, parent: str = PARENT,
) -> Record:  # fmt: skip
    scheduled, sent, received, started, completed, acked = instants
    carrier = pack(parent, scheduled, sent, due)
    return (DONE, task, "q", outcome, task_id, number, carrier, "", 1, received, started, completed,
            acked, None, counted)  # fmt: skip


def sent(scheduled: int, at: int, accepted: int, *, ok: bool = True) -> Record:
    error = None if ok else ("E", "m", "s")
    return (SENT, "t", "q", "1", PARENT, "", scheduled, at, accepted, error)


def test_every_stage() -> None:
    instants = (NOW, NOW + MS, NOW + 3 * MS, NOW + 7 * MS, NOW + 15 * MS, NOW + 31 * MS)
    scrape = Bench().scrape(
        sent(NOW, NOW + MS, NOW + 2 * MS),
        sent(0, NOW, NOW + MS, ok=False),
        (STARTED, "t", "q", NOW + 7 * MS, 1, "id", 1),
        done(*instants),
    )
    sums = {"schedule_lag": 1, "publish_duration": 1, "broker_wait": 2, "prefetch_wait": 4,
            "execution": 8, "end_to_end": 15, "ack": 16}  # fmt: skip
    for stage, milliseconds in sums.items():
        series = f"taskqueue_{stage}_seconds"
        assert scrape.total(f"{series}_sum") == pytest.approx(milliseconds / 1000), stage
        assert scrape.total(f"{series}_count") == 1, stage
    assert scrape.total("taskqueue_tasks_sent_total") == 1
    assert scrape.total("taskqueue_publish_failures_total") == 1
    assert scrape.total("taskqueue_tasks_started_total") == 1
    assert scrape.total("taskqueue_first_start_timestamp_seconds") == 1_800_000_000.007
    assert scrape.total("taskqueue_last_completion_timestamp_seconds") == 1_800_000_000.015


def test_the_first_that_was_sent_is_so_in_rows_and_beside_them() -> None:
    bench = Bench()
    row = (SENT, "t", "q", "0" * 36, PARENT, "", 0, NOW, NOW + MS, None)
    bench.recorder.sent(row)
    later = NOW + SECOND // 2
    scrape = bench.scrape((SENT, "t", "q", "1", PARENT, "", 0, later, later + MS, None))
    assert scrape.total("taskqueue_first_sent_timestamp_seconds", task="t") == NOW / SECOND
    assert scrape.total("taskqueue_tasks_sent_total", task="t") == 2


def test_nothing_waits_in_a_process_that_has_nothing_to_do() -> None:
    bench = Bench()
    for _ in range(100):
        bench.collector.drain()
    assert not bench.collector._backlog._waiting


def test_rows_and_objects_make_the_same_page() -> None:
    """Every instant of its own, several tasks: what is read from rows is what objects say."""
    rows, objects = Bench(), Bench()
    for number in range(300):
        step = MS * (1 + number % 9)
        at = [NOW + number * SECOND // 100 + place * place * step for place in range(6)]
        parent = f"00-{number + 1:032x}-{'b' * 16}-00"
        told = done(*at, task_id=f"{number:036}", task=f"t{number % 3}", counted=False,
                    parent=parent)  # fmt: skip
        objects.recorder.append(told)
        one = Attempt.heard(told)
        one.recorded, one._hand_over = False, rows.recorder._new_ended.append
        rows.recorder._uncounted.add(one)
        one.record()
    rows.recorder._make_rows()
    assert len(rows.recorder._done_rows) == 300 * done_rows.SIZE
    page, other = (b.collector.exposition(openmetrics=True) for b in (rows, objects))
    assert sorted(page.splitlines()) == sorted(other.splitlines())
    assert "trace_id" in page


def test_many_tasks_at_once_make_the_same_page_as_one_after_the_other() -> None:
    together, one_by_one = Bench(), Bench()
    chance = random.Random(5)  # noqa: S311
    for number in range(400):
        at = [NOW + number * 10 * MS + place * chance.randrange(MS) for place in range(6)]
        at = [ns * (place == 4 or chance.random() < 0.8) for place, ns in enumerate(at)]
        task, counted = f"t{chance.randrange(4)}", number % 7 == 0
        told = [done(
            *at, task_id=str(number), task=task, counted=counted,
            outcome=chance.choice((SUCCESS, RETRY, FAILURE)), due=at[0] + MS * (number % 5 == 0),
            parent=f"00-{number + 1:032x}-{'b' * 16}-00",
        )]  # fmt: skip
        if counted and at[3]:
            told.append((STARTED, task, "q", at[3], 1, str(number), 1))
        for record in told:
            together.recorder.append(record)
            one_by_one.recorder.append(record)
        one_by_one.collector.drain()
    together.collector.drain()
    page, other = (b.collector.exposition(openmetrics=True) for b in (together, one_by_one))
    assert sorted(page.splitlines()) == sorted(other.splitlines())
    assert "trace_id" in page


def test_the_exemplar_of_a_task_without_sender_leads_to_its_span() -> None:
    bench = Bench()
    one = bench.recorder.attempt()
    one.task, one.queue, one.task_id = "t", "q", "0" * 36
    one.start()
    one.complete()
    one.record()
    page = bench.collector.exposition(openmetrics=True)
    bench.collector.drain()
    (rows,) = bench.written
    assert isinstance(rows, DoneRows)
    (attempt,) = rows.attempts()
    assert attempt.carrier[3:35] in page


def test_what_never_ran_is_not_taken_for_the_end_of_what_runs() -> None:
    bench = Bench()
    bench.scrape((STARTED, "t", "q", NOW, 1, "runs", 1))
    bench.scrape(done(0, NOW, NOW, 0, NOW, 0, task_id="never", outcome=REVOKED))
    scrape = bench.scrape((STARTED, "t", "q", NOW + 2 * SECOND, 1, "later", 1))
    assert scrape.total("taskqueue_first_start_timestamp_seconds") == NOW / SECOND


def test_end_to_end_counts_from_sent_without_a_schedule_and_never_for_a_retry() -> None:
    scrape = Bench().scrape(
        done(0, NOW, NOW + MS, NOW + MS, NOW + 2 * MS, 0),
        done(0, NOW, NOW + MS, NOW + MS, NOW + 2 * MS, 0, outcome=RETRY),
        done(0, 0, NOW + MS, NOW + MS, NOW + 2 * MS, 0, outcome=FAILURE),
    )
    assert scrape.total("taskqueue_end_to_end_seconds_count") == 1
    assert scrape.total("taskqueue_end_to_end_seconds_sum") == pytest.approx(0.002)
    assert scrape.total("taskqueue_broker_wait_seconds_count") == 2
    for outcome in (SUCCESS, RETRY, FAILURE):
        assert scrape.total("taskqueue_execution_seconds_count", outcome=outcome) == 1


def test_negative_intervals_are_counted_and_said() -> None:
    scrape = Bench().scrape(done(0, NOW, NOW - MS, NOW, NOW + MS, 0))
    assert scrape.total("taskqueue_clock_anomalies_total", stage="broker_wait") == 1
    assert scrape.total("taskqueue_clock_anomalies_total") == 1
    assert scrape.total("taskqueue_broker_wait_seconds_count") == 1
    assert scrape.total("taskqueue_broker_wait_seconds_sum") == pytest.approx(-0.001)


def test_clocks_that_are_decades_apart_do_not_overflow() -> None:
    far = 9 * 10**18 - 1
    scrape = Bench().scrape(*(done(0, far, NOW, NOW, NOW, 0, task_id=str(n)) for n in range(9)))
    assert scrape.total("taskqueue_broker_wait_seconds_sum") == 9 * (NOW - far) / 1e9


def test_an_acknowledgement_completes_its_attempt() -> None:
    bench = Bench()
    pending = (NOW, NOW, NOW, NOW, NOW + MS, ACK_PENDING)
    assert bench.scrape(done(*pending)).total("taskqueue_execution_seconds_count") == 1
    assert not bench.written
    scrape = bench.scrape(
        (ACKED, "other", 1, NOW),
        (ACKED, "1", 2, NOW),
        (ACKED, "1", 1, NOW + 3 * MS),
        done(*pending, task_id="2"),
        (ACKED, "2", 1, 0),  # rejected
    )
    assert scrape.total("taskqueue_ack_seconds_count") == 1
    assert scrape.total("taskqueue_ack_seconds_sum") == pytest.approx(0.002)
    assert {(a.task_id, a.acked) for a in bench.attempts} == {("1", NOW + 3 * MS), ("2", 0)}


def test_what_was_never_acknowledged_is_written_all_the_same() -> None:
    bench = Bench()
    pending = (NOW, NOW, NOW, NOW, NOW + MS, ACK_PENDING)
    bench.scrape(done(*pending))
    bench.scrape(done(*pending))  # delivered again
    assert [attempt.acked for attempt in bench.attempts] == [0]
    bench.collector.drain(final=True)
    assert [attempt.acked for attempt in bench.attempts] == [0, 0]


def test_the_first_start_is_that_of_the_present_work() -> None:
    bench = Bench()
    gauge = "taskqueue_first_start_timestamp_seconds"

    def run(second: int) -> float:
        at = NOW + second * SECOND
        return bench.scrape(
            (STARTED, "t", "q", at, 1, "id", 1), done(at, at, at, at, at + MS, 0)
        ).total(gauge) - 1_800_000_000  # fmt: skip

    assert [run(0), run(0), run(5), run(6), run(20)] == [0, 0, 5, 5, 20]
    # A long task that still runs is work too: what starts beside it does not begin anew.
    bench.scrape((STARTED, "t", "q", NOW + 30 * SECOND, 1, "id", 1))
    assert run(40) == 30


def test_starts_are_counted_once_whoever_says_so() -> None:
    at = (NOW, NOW, NOW, NOW, NOW + MS, 0)
    scrape = Bench().scrape(
        (STARTED, "t", "q", NOW, 1, "id", 1),
        done(*at),
        done(*at, counted=False),
        done(*at, task="u"),
    )
    assert scrape.total("taskqueue_tasks_started_total", task="t") == 2
    assert scrape.total("taskqueue_tasks_started_total") == 2


def test_waiting_on_purpose_is_no_queue_wait() -> None:
    held = (0, NOW, NOW + MS, NOW + 12 * MS, NOW + 20 * MS, 0)  # received before it was due
    late = (0, NOW, NOW + 11 * MS, NOW + 12 * MS, NOW + 20 * MS, 0)
    for instants, broker_wait, prefetch_wait in ((held, 1, 2), (late, 1, 1)):
        scrape = Bench().scrape(done(*instants, due=NOW + 10 * MS))
        sums = {"delay": 10, "broker_wait": broker_wait, "prefetch_wait": prefetch_wait,
                "execution": 8, "end_to_end": 10}  # fmt: skip
        for stage, milliseconds in sums.items():
            total = scrape.total(f"taskqueue_{stage}_seconds_sum")
            assert total == pytest.approx(milliseconds / 1000), stage


def test_what_never_ran_has_an_end_but_no_start() -> None:
    bench = Bench()
    scrape = bench.scrape(
        done(0, NOW, NOW + MS, 0, NOW + 2 * MS, 0, outcome=REVOKED, counted=False)
    )
    assert scrape.total("taskqueue_end_to_end_seconds_count", outcome=REVOKED) == 1
    assert scrape.total("taskqueue_execution_seconds_count") == 0
    assert scrape.total("taskqueue_prefetch_wait_seconds_count") == 0
    assert scrape.total("taskqueue_tasks_started_total") == 0
    at = NOW + 5 * SECOND
    scrape = bench.scrape(done(at, at, at, at, at + MS, 0, counted=False))
    assert scrape.total("taskqueue_first_start_timestamp_seconds") == 1_800_000_005


def test_context_that_cannot_be_read_is_counted_and_costs_no_task() -> None:
    record = done(0, 0, NOW, NOW, NOW + MS, 0)
    poisoned = (*record[:6], "junk;\x00", *record[7:])
    scrape = Bench().scrape(record, poisoned)
    assert scrape.total("taskqueue_contexts_unreadable_total") == 1
    assert scrape.total("taskqueue_execution_seconds_count") == 2


def test_losses_show() -> None:
    scrape = Bench(len).scrape((DROPPED, 3), done(0, 0, 0, NOW, NOW, 0), sent(0, NOW, NOW))
    assert scrape.total("taskqueue_records_dropped_total") == 3
    assert scrape.total("taskqueue_spans_dropped_total") == 2


def test_a_sink_that_breaks_costs_spans_and_nothing_else() -> None:
    def broken(_records: Sequence[Record]) -> int:
        raise RuntimeError

    scrape = Bench(broken).scrape(done(0, 0, 0, NOW, NOW, 0))
    assert scrape.total("taskqueue_spans_dropped_total") == 1
    assert scrape.total("taskqueue_execution_seconds_count") == 1


def test_a_scrape_does_not_wait_for_spans() -> None:
    bench = Bench()
    bench.recorder.append(done(0, NOW, NOW, NOW, NOW + MS, 0))
    page = bench.collector.exposition()
    assert Scrape(page).total("taskqueue_execution_seconds_count") == 1
    assert not bench.written
    bench.collector.drain()
    assert len(bench.written) == 1


@given(st.text(max_size=15), st.text(max_size=15))
def test_any_names_make_a_page_that_parses(task: str, queue: str) -> None:
    bench = Bench()
    bench.recorder.append((STARTED, task, queue, NOW, 1, "id", 1))
    page = bench.collector.exposition().encode("utf-8", "replace").decode()
    (sample,) = [s for s in Scrape(page).samples if s.name == "taskqueue_tasks_started_total"]
    expected = {"task": task, "queue": queue}
    assert sample.labels == {
        key: text.encode("utf-8", "replace").decode() for key, text in expected.items()
    }


def test_promtool_finds_nothing_to_complain_about() -> None:
    bench = Bench()
    bench.scrape(sent(NOW, NOW, NOW), done(NOW, NOW, NOW, NOW, NOW, NOW))
    found = subprocess.run(
        ["promtool", "check", "metrics"],  # noqa: S607
        input=bench.collector.exposition().encode(),
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")

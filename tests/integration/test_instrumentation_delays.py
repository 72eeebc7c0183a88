"""Waiting on purpose is not queue wait: both frameworks keep the two apart, in every queue."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_redis import running_redis
from senders import Sender, instrumented_sender, uninstrumented_sender
from workers import PRODUCER, Scrape, Span, Worker, read_spans, running_worker

SECOND = 1_000_000_000
QUEUES = ("shop", "q\"'\\й")


@dataclass
class Setting:
    """A framework's sender and worker."""

    framework: str
    sender: Sender
    worker: Worker
    traces: Path


@pytest.fixture(scope="module", params=["celery", "asynctasq"])
def setting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setting]:
    directory = tmp_path_factory.mktemp(request.param)
    later = {"ASYNCTASQ_TASK_DEFAULTS_RETRY_DELAY": "1"}
    with (
        running_redis(directory) as server,
        instrumented_sender(request.param, server.url, directory / "traces") as sender,
        running_worker(directory, server.url, request.param, environ=later) as worker,
    ):
        yield Setting(request.param, sender, worker, directory / "traces")


def stage(before: Scrape, after: Scrape, name: str, task: str) -> tuple[float, float]:
    """Return by how much a stage's count and sum grew."""
    series = f"taskqueue_{name}_seconds"
    counts, sums = (
        after.total(f"{series}_{part}", task=task) - before.total(f"{series}_{part}", task=task)
        for part in ("count", "sum")
    )
    return counts, sums


def assert_apart(before: Scrape, after: Scrape, task: str, waiting: Span) -> None:
    """One of the task's attempts waited for a second on purpose: that is no part of its waits."""
    assert waiting.at("due") - waiting.at("sent") == pytest.approx(SECOND, abs=SECOND / 2)
    assert waiting.start_ns >= waiting.at("due") - SECOND // 1000, "it did wait"
    assert stage(before, after, "delay", task) == (
        1, pytest.approx((waiting.at("due") - waiting.at("sent")) / SECOND),
    )  # fmt: skip


def queue_wait(span: Span) -> int:
    """Return for how long a task waited that was to run at once when it was due."""
    due = span.facts.get("taskqueue.due_unix_nano", 0)
    if span.at("received") < due:  # Celery's worker holds it until then
        return span.at("received") - span.at("sent") + span.start_ns - due
    return span.start_ns - max(span.at("sent"), due)


def test_a_delay_is_no_wait(setting: Setting) -> None:
    before = setting.worker.scrape()
    task_id = setting.sender.send("ok", delay=1)
    (span,) = setting.worker.attempts([task_id], 1)
    after = setting.worker.scrape()
    assert_apart(before, after, "ok", span)
    waits = sum(stage(before, after, s, "ok")[1] for s in ("broker_wait", "prefetch_wait"))
    assert waits == pytest.approx(queue_wait(span) / SECOND)
    assert stage(before, after, "end_to_end", "ok")[1] == pytest.approx(
        (span.end_ns - span.at("due")) / SECOND
    )


def test_a_countdown_of_a_sender_without_instrumentation_is_no_prefetch_wait(
    setting: Setting,
) -> None:
    """Celery's messages say when they are due; AsyncTasQ's do not, and wait in the broker."""
    before = setting.worker.scrape()
    plain = uninstrumented_sender(setting.framework, setting.sender.url)
    (span,) = setting.worker.attempts([plain.send("ok", delay=2)], 1)
    after = setting.worker.scrape()
    assert stage(before, after, "prefetch_wait", "ok")[1] < 1
    if setting.framework == "celery":
        assert stage(before, after, "end_to_end", "ok")[1] < 1
        assert span.start_ns >= span.at("due")


def test_the_pause_before_a_retry_is_a_delay(setting: Setting) -> None:
    before = setting.worker.scrape()
    task_id = setting.sender.send("later")
    first, second = setting.worker.attempts([task_id], 2)
    after = setting.worker.scrape()
    setting.sender.flush()
    sendings = [
        s for s in read_spans(setting.traces) if s.kind == PRODUCER and s.task_id == task_id
    ]
    sending, resending = sorted(sendings, key=lambda s: s.start_ns)

    assert "taskqueue.due_unix_nano" not in first.facts
    assert_apart(before, after, "later", second)
    assert second.at("sent") == resending.start_ns
    assert len({s.trace_id for s in (sending, first, resending, second)}) == 1
    assert [s.facts["taskqueue.attempt"] for s in (first, second)] == [1, 2]
    waits = sum(stage(before, after, s, "later")[1] for s in ("broker_wait", "prefetch_wait"))
    assert waits == pytest.approx((queue_wait(first) + queue_wait(second)) / SECOND)
    # From the first sending to the final outcome, the pause included: that is what the user waits.
    assert second.at("scheduled") == sending.start_ns
    assert stage(before, after, "end_to_end", "later") == (
        1, pytest.approx((second.end_ns - sending.start_ns) / SECOND),
    )  # fmt: skip


def test_each_task_is_counted_in_its_own_queue(setting: Setting) -> None:
    before = setting.worker.scrape()
    ids = [setting.sender.send("early", queue=queue) for queue in QUEUES for _ in range(3)]
    spans = setting.worker.attempts(ids, 6)
    after = setting.worker.scrape()
    by_id = {span.task_id: span for span in spans}
    for queue, members in zip(QUEUES, (ids[:3], ids[3:]), strict=True):
        assert {by_id[i].facts["messaging.destination.name"] for i in members} == {queue}
        for series in (
            "tasks_started_total",
            "end_to_end_seconds_count",
            "broker_wait_seconds_count",
        ):
            name = f"taskqueue_{series}"
            labels = {"task": "early", "queue": queue}
            assert after.total(name, **labels) - before.total(name, **labels) == 3
        sent = Scrape(setting.sender.flush())
        assert sent.total("taskqueue_tasks_sent_total", task="early", queue=queue) == 3

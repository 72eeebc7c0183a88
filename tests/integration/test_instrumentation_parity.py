"""Both adapters tell the same story of the same work, in the same words."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_redis import running_redis
from senders import instrumented_sender
from workers import Scrape, Span, eventually, read_spans, running_worker

from instrumentation.buckets import BOUNDS_SECONDS

FRAMEWORKS = ("celery", "asynctasq")
ASIDE = "q\"'\\й"
#: Task, queue, delay in seconds, and how many attempts it takes, those that it sends included.
WORKLOAD = (
    ("ok", "shop", 0, 1),
    ("ok", ASIDE, 0, 1),
    ("ok", "shop", 1, 1),
    ("fail", "shop", 0, 1),
    ("fail", ASIDE, 0, 1),
    ("later", "shop", 0, 2),
    ("too_long", "shop", 0, 1),
    ("parent", ASIDE, 0, 2),
    ("inner", "shop", 0, 1),
    ("in_thread", "shop", 0, 1),
    ("in_process", "shop", 0, 1),
    ("process_fails", "shop", 0, 1),
)
ATTEMPTS = sum(attempts for *_, attempts in WORKLOAD)
ENDED = "taskqueue_execution_seconds_count"
#: AsyncTasQ acknowledges late, always, and has one pause for all retries: Celery must do likewise
#: here. Nothing else is particular to a side.
ENVIRON = {"SAMPLE_LATE": "1", "ASYNCTASQ_TASK_DEFAULTS_RETRY_DELAY": "1"}
EXPECTED = {
    "sender": {
        "taskqueue_tasks_sent_total",
        "taskqueue_publish_duration_seconds",
        "taskqueue_first_sent_timestamp_seconds",
        "taskqueue_last_accepted_timestamp_seconds",
    },
    "worker": {
        *(f"taskqueue_{stage}_seconds" for stage in (
            "delay", "broker_wait", "prefetch_wait", "execution", "end_to_end", "ack",
            "publish_duration",
        )),
        "taskqueue_tasks_started_total",
        "taskqueue_clock_anomalies_total",
        "taskqueue_first_start_timestamp_seconds",
        "taskqueue_last_completion_timestamp_seconds",
    },
}  # fmt: skip


@dataclass
class Story:
    """What one framework's worker and sender told."""

    worker: Scrape
    sender: Scrape
    spans: list[Span]


def tell(framework: str, directory: Path) -> Story:
    with ExitStack() as stack:
        server = stack.enter_context(running_redis(directory))
        sender = stack.enter_context(
            instrumented_sender(framework, server.url, directory / "traces")
        )
        sender.telemetry.sample_ratio = 1.0
        worker = stack.enter_context(
            running_worker(directory, server.url, framework, environ=ENVIRON)
        )
        for task, queue, delay, _ in WORKLOAD:
            sender.send(task, queue=queue, delay=delay)
        acknowledged = "taskqueue_ack_seconds_count"
        eventually(lambda: worker.scrape().total(acknowledged) == ATTEMPTS, "all attempts")
        texts = sender.flush(), worker.scrape().text
        assert worker.stop() == 0
        return Story(Scrape(texts[1]), Scrape(texts[0]), read_spans(worker.traces))


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> list[Story]:
    return [tell(framework, tmp_path_factory.mktemp(framework)) for framework in FRAMEWORKS]


@pytest.mark.parametrize("role", ["worker", "sender"])
def test_same_metrics_labels_and_buckets(stories: list[Story], role: str) -> None:
    def series(story: Story) -> set[tuple[str, str, frozenset[tuple[str, str]]]]:
        scrape: Scrape = getattr(story, role)
        return {
            (family.type, sample.name, frozenset(sample.labels.items()))
            for family in scrape.families.values()
            for sample in family.samples
        }

    celery, asynctasq = (series(story) for story in stories)
    assert celery == asynctasq
    assert {name.removesuffix("_bucket") for _, name, _ in celery} >= EXPECTED[role]


@pytest.mark.parametrize("role", ["worker", "sender"])
def test_same_counts(stories: list[Story], role: str) -> None:
    def counts(story: Story) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        scrape: Scrape = getattr(story, role)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for sample in scrape.samples
            if sample.name.endswith(("_count", "_total"))
        }

    celery, asynctasq = (counts(story) for story in stories)
    assert celery == asynctasq
    for story in stories:
        assert story.sender.total("taskqueue_tasks_sent_total") == len(WORKLOAD)
        assert story.worker.total("taskqueue_tasks_started_total") == ATTEMPTS
        outcomes = {o: story.worker.total(ENDED, outcome=o) for o in ("failure", "retry")}
        assert outcomes == {"failure": 4, "retry": 1}
        assert story.worker.total("taskqueue_delay_seconds_count") == 2


def test_one_bucket_layout(stories: list[Story]) -> None:
    for story in stories:
        bounds = {s.labels["le"] for s in story.worker.samples if s.name.endswith("_bucket")}
        assert sorted(map(float, bounds)) == [*BOUNDS_SECONDS, float("inf")]


def test_same_spans_with_the_same_attributes(stories: list[Story]) -> None:
    def shapes(story: Story) -> set[tuple[str, int, int, frozenset[str], frozenset[str]]]:
        return {
            (s.name, s.kind, s.status, frozenset(s.facts), frozenset(s.error)) for s in story.spans
        }

    celery, asynctasq = (shapes(story) for story in stories)
    assert celery == asynctasq
    numbers = [Counter((s.name, s.kind) for s in story.spans) for story in stories]
    assert numbers[0] == numbers[1]
    assert {name for name, *_ in celery} >= {"send shop", "process fail", "run fail", "acknowledge"}


def test_each_side_names_its_system(stories: list[Story]) -> None:
    for framework, story in zip(FRAMEWORKS, stories, strict=True):
        systems = {s.facts["messaging.system"] for s in story.spans if s.kind > 1}
        assert systems == {framework}

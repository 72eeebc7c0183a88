"""Both adapters tell the same story of the same work, in the same words."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_redis import running_redis
from senders import instrumented_sender
from workers import Scrape, Span, read_spans, running_worker

from instrumentation.buckets import BOUNDS_SECONDS

FRAMEWORKS = ("celery", "asynctasq")
WORKLOAD = {"ok": 1, "fail": 1, "flaky": 2, "parent": 1}
#: AsyncTasQ acknowledges late, always: so must Celery here. Nothing else is particular to a side.
LATE = {"SAMPLE_LATE": "1"}
EXPECTED = {
    "sender": {
        "taskqueue_tasks_sent_total",
        "taskqueue_publish_duration_seconds",
        "taskqueue_first_sent_timestamp_seconds",
        "taskqueue_last_accepted_timestamp_seconds",
    },
    "worker": {
        *(f"taskqueue_{stage}_seconds" for stage in (
            "broker_wait", "prefetch_wait", "execution", "end_to_end", "ack", "publish_duration",
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
        worker = stack.enter_context(running_worker(directory, server.url, framework, environ=LATE))
        ids = [sender.send(task) for task in WORKLOAD]
        worker.attempts(ids, sum(WORKLOAD.values()))
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
            # Whether a task that another one sent has run already is a matter of time.
            if (sample.labels.get("task"), role) != ("ok", "worker")
        }

    celery, asynctasq = (series(story) for story in stories)
    assert celery == asynctasq
    assert {name.removesuffix("_bucket") for _, name, _ in celery} >= EXPECTED[role]


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
    assert {name for name, *_ in celery} >= {"send shop", "process fail", "run fail", "acknowledge"}


def test_each_side_names_its_system(stories: list[Story]) -> None:
    for framework, story in zip(FRAMEWORKS, stories, strict=True):
        systems = {s.facts["messaging.system"] for s in story.spans if s.kind > 1}
        assert systems == {framework}

"""The generator as it runs: every kind of arrivals, for both frameworks, on a real Redis."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import redis
import requests
from pipeline import eventually
from real_redis import RedisServer, running_redis
from workers import PRODUCER, Scrape, Span, read_spans

from compose.command import WorkerSettings, python
from compose.frameworks import framework
from loadgen.schedule import ArrivalSpec, offsets_ns

FRAMEWORKS = ("asynctasq", "celery")
IN_FLIGHT = 3
KINDS = {
    "asap": (300, {}),
    "constant": (40, {"rate": 100.0}),
    "poisson": (40, {"rate": 100.0}),
    "ramp": (40, {"rate_from": 50.0, "rate_to": 200.0}),
    "burst": (45, {"burst_size": 15, "burst_interval_seconds": 0.15}),
}
SEED = 11


@dataclass
class Generator:
    process: subprocess.Popen[bytes]
    directory: Path

    def send(self, count: int, kind: str, numbers: dict[str, float]) -> dict[str, object]:
        assert self.process.stdin
        assert self.process.stdout
        phase = {"count": count, "arrivals": kind, "numbers": numbers, "seed": SEED,
                 "parts": [{"weight": 1, "arguments": {}}]}  # fmt: skip
        self.process.stdin.write(json.dumps(phase).encode() + b"\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))

    def scrape(self) -> Scrape:
        (target,) = eventually(
            lambda: list((self.directory / "targets").glob("generator-*.json")), "the target"
        )
        (address,) = json.loads(target.read_text())[0]["targets"]
        return Scrape(requests.get(f"http://{address}/metrics", timeout=5).text)

    def spans(self) -> list[Span]:
        return [s for s in read_spans(self.directory / "traces") if s.kind == PRODUCER]


@contextmanager
def generator(
    name: str, url: str, directory: Path, *, instrumented: bool = True
) -> Iterator[Generator]:
    module = framework(name)
    for folder in ("targets", "traces"):
        (directory / folder).mkdir(parents=True)
    plan = {"framework": name, "tasks": [f"{module.TASKS}:noop"], "queue": "q",
            "in_flight": IN_FLIGHT, "instrumented": instrumented}  # fmt: skip
    settings = WorkerSettings(settings={}, concurrency=1, queue="q", redis_url=url)
    environ = {
        **os.environ, **module.client_environment(settings), "OTEL_SERVICE_NAME": "generator",
        "TASKQUEUE_TARGETS_DIR": str(directory / "targets"),
        "TASKQUEUE_TRACES_DIR": str(directory / "traces"),
    }  # fmt: skip
    with subprocess.Popen(
        python("loadgen", json.dumps(plan)), env=environ, cwd=directory,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr,
    ) as process:  # fmt: skip
        try:
            yield Generator(process, directory)
        finally:
            process.kill()


@dataclass(frozen=True)
class Sent:
    """What a generator did in each kind of phase."""

    answers: dict[str, dict[str, object]]
    began_ns: dict[str, int]
    spans: dict[str, list[Span]]
    first_scrape: Scrape
    last_scrape: Scrape
    queue_length: int


@pytest.fixture(scope="module", params=FRAMEWORKS)
def sent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Send one phase of each kind through one generator."""
    place = tmp_path_factory.mktemp("loadgen")
    answers, began, ended = {}, {}, {}
    with running_redis(place) as server, generator(request.param, server.url, place / "g") as g:
        scrapes = []
        for kind, (count, numbers) in KINDS.items():
            began[kind] = time.time_ns()
            answers[kind] = g.send(count, kind, numbers)
            ended[kind] = time.time_ns()
            scrapes.append(g.scrape())
        assert g.process.stdin
        g.process.stdin.close()
        assert g.process.wait(20) == 0
        spans = {
            kind: sorted((s for s in g.spans() if began[kind] <= s.start_ns <= ended[kind]),
                         key=lambda s: s.start_ns)
            for kind in KINDS
        }  # fmt: skip
        database, key = (0, "queue:q") if request.param == "asynctasq" else (1, "q")
        with redis.Redis.from_url(server.url, db=database) as client:
            length = int(client.llen(key))  # type: ignore[arg-type]
    return Sent(answers, began, spans, scrapes[0], scrapes[-1], length)


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_as_asked_are_sent(sent: Sent, kind: str) -> None:
    count = KINDS[kind][0]
    assert sent.answers[kind] == {"sent": count, "failed": 0, "error": ""}
    assert len(sent.spans[kind]) == count
    assert len({span.task_id for span in sent.spans[kind]}) == count


def test_they_are_all_in_the_queue(sent: Sent) -> None:
    total = sum(count for count, _ in KINDS.values())
    assert sent.queue_length == total
    assert sent.last_scrape.total("taskqueue_tasks_sent_total") == total


def test_lag_is_known_where_there_is_a_schedule(sent: Sent) -> None:
    assert sent.first_scrape.total("taskqueue_schedule_lag_seconds_count") == 0
    scheduled = sum(count for kind, (count, _) in KINDS.items() if kind != "asap")
    assert sent.last_scrape.total("taskqueue_schedule_lag_seconds_count") == scheduled
    assert not any("taskqueue.scheduled_unix_nano" in s.facts for s in sent.spans["asap"])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "asap"])
def test_tasks_are_due_exactly_as_scheduled(sent: Sent, kind: str) -> None:
    count, numbers = KINDS[kind]
    offsets = offsets_ns(ArrivalSpec(kind, numbers), count, SEED)
    assert offsets is not None
    due = np.array(sorted(span.at("scheduled") for span in sent.spans[kind]))
    (start,) = set((due - offsets).tolist())
    assert 0 < start - sent.began_ns[kind] < 1e9
    # Never early: that would be a negative lag, and look like a clock that is wrong.
    assert all(span.start_ns >= span.at("scheduled") for span in sent.spans[kind])
    assert sent.last_scrape.total("taskqueue_clock_anomalies_total") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_publishes_under_way_are_bounded(sent: Sent, kind: str) -> None:
    assert 1 <= overlap(sent.spans[kind]) <= IN_FLIGHT


def overlap(spans: list[Span]) -> int:
    """Count how many spans are open at once, at most."""
    events = [(s.start_ns, 1) for s in spans] + [(s.end_ns, -1) for s in spans]
    depths = np.cumsum([step for _, step in sorted(events)])
    return int(depths.max())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_publishes_that_fail_are_counted_and_do_not_end_it(
    name: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    with generator(name, redis_server.url, tmp_path / "g") as g:
        assert g.send(2, "asap", {})["sent"] == 2
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("maxmemory", 1)
        answer = g.send(4, "asap", {})
        assert (answer["sent"], answer["failed"]) == (0, 4)
        assert "maxmemory" in str(answer["error"])
        scrape = g.scrape()
        assert scrape.total("taskqueue_publish_failures_total") == 4
        assert scrape.total("taskqueue_tasks_sent_total") == 2

        def failed() -> list[Span]:
            return [span for span in g.spans() if span.status == 2]

        eventually(lambda: len(failed()) >= 4, "four spans: they are written after a scrape")
        assert len(failed()) == 4
        assert all(span.error["exception.type"] for span in failed())


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("instrumented", [True, False])
def test_only_messages_of_an_instrumented_client_carry_context(
    redis_server: RedisServer,
    tmp_path: Path,
    name: str,
    instrumented: bool,  # noqa: FBT001
) -> None:
    url = redis_server.url
    with generator(name, url, tmp_path / "sender", instrumented=instrumented) as sender:
        assert sender.send(3, "asap", {}) == {"sent": 3, "failed": 0, "error": ""}
    found = framework(name).backlog("q")
    messages = redis.Redis.from_url(url, db=found.database).lrange(found.waiting, 0, -1)
    assert len(messages) == 3
    assert {b"taskqueue" in message for message in messages} == {instrumented}

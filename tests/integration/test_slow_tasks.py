"""Slow tasks on real workers, each made slow in a known way: the data must tell which."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import redis
from real_redis import RedisServer, running_redis
from senders import Sender, instrumented_sender
from workers import Worker, eventually, running_worker

from extract.slow import Slow, choose, explain
from extract.traces import read_traces

MUST_SHOW_SECONDS = 0.6
PAUSE_SECONDS = 1.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Stage:
    """A worker, a sender and the gates of their tasks."""

    def __init__(self, worker: Worker, sender: Sender, url: str) -> None:
        self.worker, self.sender = worker, sender
        self.gates: redis.Redis[Any] = redis.Redis.from_url(f"{url}/3", decode_responses=True)
        self.broker: redis.Redis[Any] = redis.Redis.from_url(f"{url}/1")
        self.sent: list[str] = []
        self.gates.flushdb()
        self.gates.set("naps", 1)  # so that flaky_auto naps for 20 ms, and never fails

    def send(self, task: str, *arguments: str) -> str:
        self.sent.append(self.sender.send(task, *arguments))
        return self.sent[-1]

    def naps(self, count: int) -> list[str]:
        return [self.send("flaky_auto", "naps") for _ in range(count)]

    def napped(self, count: int) -> None:
        eventually(lambda: int(self.gates.get("naps") or 0) > count, f"{count} naps")

    def hold(self, gate: str, seconds: float) -> None:
        """Let a gated task run for as long as must show, and then end."""
        eventually(lambda: self.gates.get(f"{gate}:running"), "the task runs")
        eventually(lambda: self.broker.llen("shop") == 0, "the others were received")
        time.sleep(seconds)
        self.gates.set(f"{gate}:open", 1)

    def tasks(self) -> pd.DataFrame:
        self.worker.attempts(self.sent, len(self.sent))
        attempts, _ = read_traces(self.worker.traces)
        return attempts[attempts["task_id"].isin(self.sent)].reset_index(drop=True)

    def why(self, task_id: str) -> Slow:
        tasks = self.tasks()
        (slow,) = explain(tasks, choose(tasks, 1, task_id=task_id))
        return slow


@contextmanager
def stage(directory: Path, url: str, framework: str, *options: str) -> Iterator[Stage]:
    with (
        instrumented_sender(framework, url, directory / "sent") as sender,
        running_worker(directory, url, framework, *options) as worker,
    ):
        yield Stage(worker, sender, url)


def celery(processes: int) -> tuple[str, ...]:
    # What is prefetched waits in the parent, which gives it to a child that is free: the default.
    return ("--pool", "prefork", "--concurrency", str(processes), "--prefetch-multiplier", "4")


def shown(slow: Slow) -> str:
    return f"{slow.cause}\n{slow.second}\n{slow.life}"


def test_a_burst_is_a_backlog(server: RedisServer, tmp_path: Path) -> None:
    with stage(tmp_path, server.url, "celery", *celery(2)) as it:
        slow = it.why(it.naps(60)[-1])
    assert slow.cause.kind == "behind a backlog", shown(slow)
    assert slow.queue_depth is not None
    assert slow.queue_depth > 10


def test_short_tasks_wait_behind_a_prefetched_long_one(server: RedisServer, tmp_path: Path) -> None:
    with stage(tmp_path, server.url, "celery", *celery(1)) as it:
        it.naps(10)
        it.napped(10)
        long = it.send("gated", "long")
        (short, *_) = it.naps(3)
        it.hold("long", MUST_SHOW_SECONDS)
        slow = it.why(short)
    assert slow.cause.kind == "stuck behind a prefetched long task", shown(slow)
    assert long in " ".join(slow.cause.evidence)
    assert long in [other.task_id for other in slow.executing.longest]


def test_a_task_that_takes_long_is_slow_itself(server: RedisServer, tmp_path: Path) -> None:
    with stage(tmp_path, server.url, "celery", *celery(2)) as it:
        it.naps(10)
        it.napped(10)
        long = it.send("gated", "itself")
        it.hold("itself", MUST_SHOW_SECONDS)
        slow = it.why(long)
    assert slow.cause.kind == "slow itself", shown(slow)


@pytest.mark.parametrize("whole_group", [True, False], ids=["with its children", "parent alone"])
def test_a_stopped_worker_is_paused(
    server: RedisServer, tmp_path: Path, *, whole_group: bool
) -> None:
    with stage(tmp_path, server.url, "celery", *celery(2)) as it:
        it.naps(20)
        it.napped(5)
        _stop_for_a_while(it.worker, whole_group=whole_group)
        it.napped(20)
        tasks = it.tasks()
        (slow,) = explain(tasks, choose(tasks, 1))
    assert slow.cause.kind == "worker paused or starved", shown(slow)


def test_a_stopped_event_loop_is_paused(server: RedisServer, tmp_path: Path) -> None:
    with stage(tmp_path, server.url, "asynctasq") as it:
        for _ in range(10):
            it.send("ok")
        it.worker.attempts(it.sent, 10)
        os.kill(it.worker.process.pid, signal.SIGSTOP)
        late = it.send("ok")
        time.sleep(PAUSE_SECONDS)
        os.kill(it.worker.process.pid, signal.SIGCONT)
        slow = it.why(late)
    assert slow.cause.kind == "worker paused or starved", shown(slow)


def _stop_for_a_while(worker: Worker, *, whole_group: bool) -> None:
    kill = os.killpg if whole_group else os.kill
    kill(worker.process.pid, signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    kill(worker.process.pid, signal.SIGCONT)

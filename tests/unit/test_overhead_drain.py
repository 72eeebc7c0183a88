"""Timing from outside: the queue as Redis has it, and the CPU time of a tree of processes."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis
from pipeline import eventually
from real_redis import RedisServer

from compose.errors import ServiceError
from compose.frameworks import framework
from extract.overhead import CPU, THROUGHPUT, figures
from taskscope import drain as drains
from taskscope.cputime import tree_cpu_seconds
from taskscope.drain import Queue, drain
from taskscope.scenario import FRAMEWORKS

BURN = "import time\nwhile time.process_time() < 0.2: pass\n"


def client(server: RedisServer, name: str) -> redis.Redis:
    return redis.Redis(port=server.port, db=framework(name).backlog("q").database)


def fill(server: RedisServer, name: str, tasks: int) -> None:
    client(server, name).rpush(framework(name).backlog("q").waiting, *map(str, range(tasks)))


@contextmanager
def worked_off(server: RedisServer, name: str, pause: float = 0.002) -> Iterator[None]:
    """Take tasks off the queue, and acknowledge each a moment later, as long as the block lasts."""
    found = framework(name).backlog("q")
    taken = found.commands[1][1]
    stop = threading.Event()

    def work() -> None:
        with client(server, name) as connection:
            while not stop.is_set():
                if (task := connection.lpop(found.waiting)) is None:
                    time.sleep(pause)
                    continue
                if found.commands[1][0] == "HLEN":
                    connection.hset(taken, task, task)
                else:
                    connection.rpush(taken, task)
                time.sleep(pause)
                connection.delete(taken)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_parked_tasks_are_out_of_sight_until_they_are_released(
    redis_server: RedisServer, name: str
) -> None:
    fill(redis_server, name, 7)
    queue = Queue(name, "q", redis_server.url)
    assert queue.look() == 7
    assert queue.park() == 7
    assert queue.look() == 0
    queue.release()
    assert queue.look() == 7
    queue.close()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_task_that_is_being_done_is_not_done_yet(redis_server: RedisServer, name: str) -> None:
    fill(redis_server, name, 2)
    command, key = framework(name).backlog("q").commands[1]
    if command == "HLEN":
        client(redis_server, name).hset(key, "tag", "task")
    else:
        client(redis_server, name).rpush(key, "task")
    queue = Queue(name, "q", redis_server.url)
    assert queue.look() == 3
    queue.close()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_drain_is_watched_to_its_end(
    redis_server: RedisServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(drains, "IDLE_SECONDS", 0.1)
    fill(redis_server, name, 300)
    queue = Queue(name, "q", redis_server.url)
    queue.park()
    with worked_off(redis_server, name):
        marks = drain(queue, psutil.Process().pid, 300, lambda: None)
    assert marks.released.backlog == 300
    assert 285 >= marks.steady.backlog > marks.last.backlog > 0
    assert (marks.drained.backlog, queue.look()) == (0, 0)
    assert marks.released.seconds < marks.steady.seconds < marks.last.seconds
    assert marks.last.seconds < marks.drained.seconds < marks.settled.seconds < marks.idle.seconds
    found = figures(marks, 300)
    assert 0 < found[THROUGHPUT][0] <= 500  # the worker sleeps 2 ms for each
    assert found["cpu_per_task_until_drained"][0] > 0
    assert CPU in found
    queue.close()


def test_one_empty_look_is_no_end(redis_server: RedisServer) -> None:
    queue = Queue("celery", "q", redis_server.url)
    answers = iter([5, 0, 3, 0, 0, 9])
    queue.look = lambda: next(answers)  # type: ignore[method-assign]
    looks = queue.wait_empty(lambda: None)
    assert [look.backlog for look in looks] == [5, 0, 3, 0]
    queue.close()


def test_what_is_done_at_once_cannot_be_timed(redis_server: RedisServer) -> None:
    fill(redis_server, "celery", 3)
    queue = Queue("celery", "q", redis_server.url)
    queue.park()
    queue.wait_empty = lambda _: []  # type: ignore[method-assign]
    with pytest.raises(ServiceError, match="3 tasks were done too soon") as error:
        drain(queue, psutil.Process().pid, 3, lambda: None)
    assert "--tasks" in error.value.remedy
    queue.close()


def test_a_worker_that_does_nothing_is_not_waited_for_long(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains, "_STALL_SECONDS", 0.1)
    fill(redis_server, "celery", 3)
    queue = Queue("celery", "q", redis_server.url)
    with pytest.raises(ServiceError, match=r"acknowledged no task for 0\.1 s, and 3 are left"):
        queue.wait_empty(lambda: None)
    queue.close()


def test_published_messages_are_counted(redis_server: RedisServer) -> None:
    queue = Queue("celery", "q", redis_server.url)
    assert queue.messages() == 0
    client(redis_server, "celery").publish("c", "m")
    assert queue.messages() == 1
    queue.close()


def test_a_trees_cpu_counts_children_alive_and_reaped(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    late = f"{BURN}import pathlib; pathlib.Path({str(alive)!r}).touch(); time.sleep(60)"
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.run([sys.executable, '-c', {BURN!r}])\n"
        f"subprocess.Popen([sys.executable, '-c', {late!r}])\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        eventually(alive.exists, "both children have burnt their share")
        assert tree_cpu_seconds(parent.pid) >= 0.39  # the reaped one counts in ticks
        assert tree_cpu_seconds(parent.pid) < 5
    finally:
        for child in psutil.Process(parent.pid).children(recursive=True):
            child.kill()
        parent.kill()
        parent.wait()
    assert tree_cpu_seconds(parent.pid) == 0

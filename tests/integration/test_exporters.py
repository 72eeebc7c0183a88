"""``python -m exporters`` as it runs: real broker, both frameworks' messages, real scrapes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import requests
from asynctasq import AsyncTask, Dispatcher
from asynctasq.drivers.redis_driver import RedisDriver
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families
from real_redis import RedisServer

from compose.ports import free_port

DEADLINE_SECONDS = 60.0
HOUR = 3600


class Scrape:
    """The samples of one scrape, by name and labels."""

    def __init__(self, text: str) -> None:
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._samples}

    def value(self, name: str, **labels: str) -> float:
        return self._samples[name, frozenset(labels.items())]

    def depth(self, queue: str) -> dict[str, float]:
        return {
            state: self.value("taskqueue_queue_depth", queue=queue, state=state)
            for state in ("ready", "delayed", "in_flight")
        }

    def success(self, source: str) -> float:
        return self.value("taskscope_exporter_read_success", source=source)

    def cpu(self, role: str) -> float:
        return sum(
            self.value("taskqueue_process_cpu_seconds_total", role=role, mode=mode)
            for mode in ("user", "system")
        )


def eventually[T](probe: Callable[[], T | None], what: str) -> T:
    """Return the first result that is not None, or fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if (result := probe()) is not None:
            return result
        time.sleep(0.02)
    raise TimeoutError(f"not in time: {what}")


@dataclass(frozen=True)
class Exporter:
    process: subprocess.Popen[bytes]
    port: int
    roles_file: Path
    stderr_file: Path

    def scrape(self) -> Scrape:
        response = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=DEADLINE_SECONDS)
        response.raise_for_status()
        return Scrape(response.text)

    def scrape_until(self, condition: Callable[[Scrape], bool], what: str) -> Scrape:
        def probe() -> Scrape | None:
            return scrape if condition(scrape := self.scrape()) else None

        return eventually(probe, what)

    def set_roles(self, **roles: list[int]) -> None:
        draft = self.roles_file.with_suffix(".new")
        draft.write_text(json.dumps(roles), encoding="utf-8")
        draft.replace(self.roles_file)

    def stderr(self) -> str:
        return self.stderr_file.read_text(encoding="utf-8")


def command(framework: str, port: int, roles_file: Path, *queues: str) -> list[str]:
    options = [option for queue in queues for option in ("--queue", queue)]
    place = ["--roles", str(roles_file), "--port", str(port)]
    return [sys.executable, "-m", "exporters", "--framework", framework, *options, *place]


@contextmanager
def running_exporter(
    directory: Path, url: str, framework: str, *queues: str, end: signal.Signals = signal.SIGTERM
) -> Iterator[Exporter]:
    roles_file, stderr_file, port = directory / "roles.json", directory / "stderr", free_port()
    roles_file.write_text("{}", encoding="utf-8")
    with stderr_file.open("wb") as stderr:
        process = subprocess.Popen(
            command(framework, port, roles_file, *queues),
            env={**os.environ, "TASKSCOPE_REDIS_URL": url},
            stderr=stderr,
        )
    exporter = Exporter(process, port, roles_file, stderr_file)
    try:
        eventually(lambda: _answers(exporter), "the exporter serves")
        yield exporter
        process.send_signal(end)
        assert process.wait(DEADLINE_SECONDS) == 0, exporter.stderr()
    finally:
        process.kill()
        process.wait()


def _answers(exporter: Exporter) -> bool | None:
    assert exporter.process.poll() is None, exporter.stderr()
    with suppress(requests.ConnectionError):
        return exporter.scrape() is not None
    return None


def test_celery_depths_are_exact(redis_server: RedisServer, tmp_path: Path) -> None:
    app = Celery(broker=f"{redis_server.url}/1", set_as_current=False)
    task = app.signature("shop.add", args=(1, 2))
    for _ in range(3):
        task.apply_async(queue="orders")
    task.apply_async(queue="orders", countdown=HOUR)
    with (
        running_exporter(tmp_path, redis_server.url, "celery", "orders", "mails") as exporter,
        app.connection_for_read() as connection,
    ):
        channel = connection.channel()
        # As a worker's consumer does: taken off the list, and put in `unacked`. Oldest first.
        taken = [channel.basic_get("orders") for _ in range(4)]
        for priority in (0, 3, 6, 9, 9):
            task.apply_async(queue="orders", priority=priority)
        task.apply_async(queue="mails")

        scrape = exporter.scrape()
        assert scrape.depth("orders") == {"ready": 5, "delayed": 1, "in_flight": 3}
        assert scrape.depth("mails") == {"ready": 1, "delayed": 0, "in_flight": 0}

        channel.basic_ack(taken[0].delivery_tag)
        channel.basic_ack(taken[3].delivery_tag)
        assert exporter.scrape().depth("orders") == {"ready": 5, "delayed": 0, "in_flight": 2}


class Noop(AsyncTask):
    async def execute(self) -> None:
        """Never run: no worker is there."""


async def dispatch_and_take(url: str) -> None:
    driver = RedisDriver(url=url)
    dispatcher = Dispatcher(driver)
    for delay in (0, 0, 0, HOUR, HOUR):
        await dispatcher.dispatch(Noop(), queue="orders", delay=delay)
    await driver.dequeue("orders")
    await dispatcher.dispatch(Noop(), queue="mails", delay=1)
    await driver.disconnect()


def test_asynctasq_depths_are_exact(redis_server: RedisServer, tmp_path: Path) -> None:
    asyncio.run(dispatch_and_take(redis_server.url))

    with running_exporter(
        tmp_path, redis_server.url, "asynctasq", "orders", "mails", "empty"
    ) as exporter:
        scrape = exporter.scrape()
        assert scrape.depth("orders") == {"ready": 2, "delayed": 2, "in_flight": 1}
        assert scrape.depth("empty") == {"ready": 0, "delayed": 0, "in_flight": 0}
        # Nobody moves the task out of the delayed set: it becomes ready because it is due.
        due = exporter.scrape_until(lambda s: s.depth("mails")["ready"] == 1, "the task is due")
        assert due.depth("mails") == {"ready": 1, "delayed": 0, "in_flight": 0}


def test_the_brokers_commands_less_the_exporters_are_those_of_others(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    def others(scrape: Scrape) -> float:
        own = scrape.value("taskqueue_exporter_broker_commands_total")
        assert own > 0
        return scrape.value("taskqueue_broker_commands_total") - own

    with redis.Redis(port=redis_server.port) as client:
        client.config_resetstat()
        with running_exporter(tmp_path, redis_server.url, "celery", "orders") as exporter:
            client.config_set("maxmemory", 64_000_000)
            first = exporter.scrape()
            for _ in range(5):
                client.ping()
            second = exporter.scrape()
            third = exporter.scrape()

    # Redis counts a command when it is done: the reset itself is the first.
    assert [others(scrape) for scrape in (first, second, third)] == [2, 7, 7]
    assert first.value("taskqueue_broker_memory_limit_bytes") == 64_000_000
    assert first.value("taskqueue_broker_connections") == 2


def test_a_stopped_broker_is_said_to_be_unread_and_its_metrics_are_absent(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with running_exporter(tmp_path, redis_server.url, "asynctasq", "orders") as exporter:
        assert "taskqueue_queue_depth" in exporter.scrape().names
        os.kill(redis_server.pid, signal.SIGKILL)

        scrape = exporter.scrape_until(lambda s: not s.success("broker"), "the read fails")

    absent = ("taskqueue_queue_depth", "taskqueue_broker_", "taskqueue_exporter_broker_")
    assert [name for name in scrape.names if name.startswith(absent)] == []
    successes = {name: scrape.success(name) for name in ("queues", "broker", "processes", "host")}
    assert successes == {"queues": 0, "broker": 0, "processes": 1, "host": 1}


def test_a_password_is_never_shown_and_a_failure_is_logged_once(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    # This broker has no password, so it refuses to be given one.
    url = f"redis://someone:hunter2@127.0.0.1:{redis_server.port}"

    with running_exporter(tmp_path, url, "celery", "orders") as exporter:
        assert [exporter.scrape().success("broker") for _ in range(3)] == [0, 0, 0]
        shown = exporter.stderr() + " ".join(psutil.Process(exporter.process.pid).cmdline())

    assert shown.count("broker: AuthenticationError") == 1
    assert "hunter2" not in shown
    assert "someone" not in shown


CHILD = """
import time
while time.process_time() < 0.5: pass
print("burnt", flush=True)
input()
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-S", "-c", sys.argv[1]], check=True)
print("reaped", flush=True)
sys.stdin.read()
"""


@contextmanager
def family() -> Iterator[subprocess.Popen[str]]:
    """A process whose child burns half a second of CPU, then ends when told to, and is reaped."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT, CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def expect(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout
    assert process.stdout.readline() == f"{line}\n"


# Kernel ticks are 10 ms, rounded down for each mode and process. The parent alone uses far less.
BURNT_SECONDS = 0.45
MEMORY = "taskqueue_process_memory_bytes"


def test_a_tree_is_measured_with_its_children(redis_server: RedisServer, tmp_path: Path) -> None:
    with (
        running_exporter(tmp_path, redis_server.url, "celery", "orders") as exporter,
        family() as process,
    ):
        exporter.set_roles(worker=[process.pid])
        expect(process, "burnt")
        scrape = exporter.scrape()
        parent = psutil.Process(process.pid)
        held = [one.memory_full_info() for one in (parent, *parent.children())]

    assert scrape.value("taskqueue_processes", role="worker") == 2
    assert scrape.cpu("worker") > BURNT_SECONDS
    own, resident = sum(one.uss for one in held), sum(one.rss for one in held)
    assert own < scrape.value(MEMORY, role="worker") < resident
    assert scrape.value("taskqueue_processes", role="monitoring") == 1


def test_cpu_of_a_child_that_ended_and_of_a_root_that_vanished_is_kept(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with (
        running_exporter(tmp_path, redis_server.url, "celery", "orders") as exporter,
        family() as process,
    ):
        assert process.stdin
        expect(process, "burnt")
        process.stdin.write("\n")
        process.stdin.flush()
        expect(process, "reaped")
        # Listed only now: the exporter never saw the child alive.
        exporter.set_roles(worker=[process.pid])
        reaped = exporter.scrape()
        process.kill()
        process.wait()
        vanished = exporter.scrape()

    assert reaped.value("taskqueue_processes", role="worker") == 1
    assert reaped.cpu("worker") > BURNT_SECONDS
    assert vanished.value("taskqueue_processes", role="worker") == 0
    assert vanished.value(MEMORY, role="worker") == 0
    assert vanished.cpu("worker") >= reaped.cpu("worker")


def test_the_roles_file_is_read_at_every_scrape(redis_server: RedisServer, tmp_path: Path) -> None:
    def roles(scrape: Scrape) -> dict[str, float]:
        shown = ("worker", "broker")
        return {role: scrape.value("taskqueue_processes", role=role) for role in shown}

    with running_exporter(tmp_path, redis_server.url, "celery", "orders") as exporter:
        exporter.set_roles(worker=[redis_server.pid], broker=[])
        assert roles(exporter.scrape()) == {"worker": 1, "broker": 0}
        exporter.set_roles(broker=[redis_server.pid])
        assert roles(exporter.scrape()) == {"worker": 0, "broker": 1}

        exporter.roles_file.write_text("{", encoding="utf-8")
        broken = exporter.scrape()
        assert broken.success("processes") == 0
        assert "taskqueue_processes" not in broken.names
        assert broken.success("queues") == 1


def run_to_its_end(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def test_a_busy_port_is_one_clear_line(redis_server: RedisServer, tmp_path: Path) -> None:
    ended = run_to_its_end(
        *command("celery", redis_server.port, tmp_path / "roles.json", "orders"),
        TASKSCOPE_REDIS_URL=redis_server.url,
    )

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert f"port {redis_server.port}" in line
    assert "--port" in line


@pytest.mark.parametrize(
    ("url", "complaint"), [("", "is not set"), ("http://:pass/word@broker", "not a redis://")]
)
def test_a_missing_or_unusable_url_is_a_usage_error(
    tmp_path: Path, url: str, complaint: str
) -> None:
    ended = run_to_its_end(
        *command("celery", free_port(), tmp_path / "roles.json", "orders"), TASKSCOPE_REDIS_URL=url
    )

    assert ended.returncode == 2
    assert f"TASKSCOPE_REDIS_URL{' ' if not url else ': '}{complaint}" in ended.stderr
    assert "pass" not in ended.stderr


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_zero_and_in_silence(
    redis_server: RedisServer, tmp_path: Path, end: signal.Signals
) -> None:
    options: dict[str, Any] = {"end": end}
    with running_exporter(tmp_path, redis_server.url, "celery", "orders", **options) as exporter:
        pass

    assert exporter.process.returncode == 0
    assert exporter.stderr() == ""

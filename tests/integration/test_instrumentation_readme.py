"""The README's examples, run as they stand: plain projects on a real Redis."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from real_redis import RedisServer, running_redis
from workers import DEADLINE_SECONDS, TESTS, Scrape, environment, eventually

from compose.ports import free_port

README = (TESTS.parent / "instrumentation" / "README.md").read_text()
STARTED = "taskqueue_tasks_started_total"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Project:
    """A section's files and commands, with its addresses exchanged for those of the test."""

    def __init__(self, section: str, directory: Path, server: RedisServer) -> None:
        self.port = free_port()
        self.directory = directory
        (text,) = re.findall(rf"^## {section}.*?\n(.*?)(?=^## )", README, re.MULTILINE | re.DOTALL)
        text = text.replace("localhost:6379", f"127.0.0.1:{server.port}")
        text = text.replace("9464", str(self.port))
        for name, code in re.findall(r"`(\w+\.py)`:?\n\n```python\n(.*?)```", text, re.DOTALL):
            (directory / name).write_text(code)
        self.serve, self.send = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        self.environ = environment(directory, "") | {"PYTHONPATH": ""}
        del self.environ["TASKQUEUE_TARGETS_DIR"], self.environ["ASYNCTASQ_REDIS_URL"]

    @contextmanager
    def worker(self) -> Iterator[None]:
        log = self.directory / "log"
        with log.open("wb") as file:
            process = self._run(self.serve, file)
        try:
            eventually(lambda: bool(self.scrape()) or process.poll() is not None, "metrics")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()

    def _run(self, command: str, file: object) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # the README's commands are for a shell
            ["/bin/sh", "-ec", command],
            cwd=self.directory,
            env=self.environ,
            stdout=file,  # type: ignore[call-overload]
            stderr=file,
            start_new_session=True,
        )

    def run_sending(self) -> None:
        sending, look = self.send.strip().rsplit("\n", 1)
        assert look.endswith(f":{self.port}/metrics")
        with (self.directory / "sent").open("wb") as file:
            code = self._run(sending, file).wait(DEADLINE_SECONDS)
        assert code == 0, (self.directory / "sent").read_text()

    def scrape(self) -> Scrape | None:
        with suppress(requests.ConnectionError):
            return Scrape(requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text)
        return None

    def total(self, name: str, **labels: str) -> float:
        scrape = self.scrape()
        return scrape.total(name, **labels) if scrape else 0


@pytest.mark.parametrize(("section", "task"), [("Celery", "shop.greet"), ("AsyncTasQ", "greet")])
def test_the_example_shows_its_task(
    section: str, task: str, server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "traces").mkdir()
    project = Project(section, tmp_path, server)
    with project.worker():
        project.run_sending()
        eventually(lambda: project.total(STARTED, task=task) == 1, "the task was started")
        wait = "taskqueue_broker_wait_seconds_count"
        eventually(lambda: project.total(wait, task=task) == 1, "its message said when it was sent")
        # Sender and worker each write a file: what the one sent, the other continued.
        traces = tmp_path / "traces"
        eventually(lambda: len(list(traces.iterdir())) == 2, "the spans of both")
    assert "Hello Ada" in (tmp_path / "log").read_text()

"""A worker that lives long: memory over a million tasks, and how quickly it answers scrapes.

    python -m benchmarks.long_life FRAMEWORK [TASKS] [--scraped]

A real worker with our instrumentation runs no-op tasks of ten types as fast as it can. Its memory
is shown after each tenth, with nobody scraping unless told otherwise; then, still under full load,
it is scraped 30 times, and each scrape is timed.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
import requests

from benchmarks import ten_types
from benchmarks.feeding import feed, publisher
from benchmarks.publishing import running_redis
from compose.command import Command, WorkerSettings
from compose.frameworks import framework
from compose.ports import free_port
from compose.process import Process
from taskscope.drain import Queue

_MODULE = ten_types.__name__
#: How a worker comes to know the tasks: AsyncTasQ imports a module when its first task comes.
_IMPORTS = {"celery": ("--include", _MODULE), "asynctasq": ()}
_SCRAPES = 30


def main(name: str, tasks: int, *, scraped: bool) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as scratch, running_redis(Path(scratch)) as url:
        settings = WorkerSettings({}, concurrency=10, queue="taskscope", redis_url=url)
        environ = framework(name).client_environment(settings)
        queue = Queue(name, "taskscope", url)
        with (
            _worker(name, settings, Path(scratch)) as (worker, metrics),
            publisher(name, _MODULE, ten_types.NAMES, environ) as sender,
        ):
            how = "scraped each second" if scraped else "not scraped"
            _say(f"{name}, {tasks:,} tasks, {how}")
            tenth, begin, last_scrape = 0, time.monotonic(), 0.0
            for done in feed(sender, queue, tasks):
                if scraped and time.monotonic() - last_scrape > 1:
                    _scrape(metrics)
                    last_scrape = time.monotonic()
                if done >= tasks * tenth / 10:
                    seconds = time.monotonic() - begin
                    _say(f"{done:>10,} tasks {seconds:6.0f} s  {_megabytes(worker):7.1f} MB")
                    tenth += 1
            times = []
            for _ in feed(sender, queue, 10_000_000):
                times.append(_scrape(metrics))
                if len(times) == _SCRAPES:
                    break
                time.sleep(0.5)
            _say(f"scrape under full load: median {median(times) * 1e3:.1f} ms, "
                  f"longest {max(times) * 1e3:.1f} ms")  # fmt: skip


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def _worker(
    name: str, settings: WorkerSettings, directory: Path
) -> Iterator[tuple[psutil.Process, str]]:
    port = free_port()
    command = framework(name).worker(settings)
    telemetry = {
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        "TASKQUEUE_TRACES_DIR": str(directory),
    }
    command = Command(command.argv + _IMPORTS[name], {**command.environ, **telemetry})
    url = f"http://127.0.0.1:{port}/metrics"
    process = Process("worker", command, directory / "worker.log", dict(os.environ))
    try:
        process.wait_ready(lambda: _answers(url), 30)
        yield psutil.Process(process.pid), url
    finally:
        process.stop(20)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _scrape(url: str) -> float:
    begin = time.perf_counter()
    requests.get(url, timeout=5).raise_for_status()
    return time.perf_counter() - begin


def _megabytes(process: psutil.Process) -> float:
    """Return what the process tree holds for itself: pages shared with others count by share."""
    tree = [process, *process.children(recursive=True)]
    return sum(one.memory_full_info().pss for one in tree) / 1e6


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--scraped"]
    if not arguments or arguments[0] not in _IMPORTS:
        sys.exit(__doc__)
    count = int(arguments[1]) if len(arguments) > 1 else 1_000_000
    main(arguments[0], count, scraped="--scraped" in sys.argv)

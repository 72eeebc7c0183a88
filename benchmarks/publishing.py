"""How fast the load generator publishes, against each framework's bare client.

    python -m benchmarks.publishing [PAIRS]

Interleaved pairs on a Redis of its own: the bare client in one process, with as many publishes in
flight, then the generator with its telemetry and a scrape each second. The medians of the pairwise
ratios are what counts.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import redis
import requests

from compose import services
from compose.command import WorkerSettings
from compose.frameworks import framework
from compose.ports import free_port
from compose.process import Process

_TASKS = {"celery": 6_000, "asynctasq": 30_000}
_WARMUP = 300
_IN_FLIGHT = 50

_BARE = {
    "celery": """
import threading
from tasks.celery import noop
def publish(count):
    turns = iter(range(count))
    def send():
        for _ in turns: noop.apply_async(queue="taskscope")
    threads = [threading.Thread(target=send) for _ in range({senders})]
    [t.start() for t in threads]; [t.join() for t in threads]
""",
    "asynctasq": """
import asyncio, uvloop
from tasks.asynctasq import noop
runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
def publish(count):
    turns = iter(range(count))
    async def send():
        for _ in turns: await noop().on_queue("taskscope").dispatch()
    async def main():
        await asyncio.gather(*[send() for _ in range({senders})])
    runner.run(main())
""",
}
_TIMED = """
import time
publish({warmup}); begin = time.perf_counter(); publish({count})
print({count} / (time.perf_counter() - begin))
"""


@contextmanager
def running_redis(directory: Path) -> Iterator[str]:
    """Run a Redis; yields its URL."""
    port = free_port()
    process = Process("redis", services.redis_server(port, directory), directory / "redis.log")
    try:
        client = redis.Redis(port=port)
        process.wait_ready(lambda: _pings(client), 10)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.stop(5)


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def bare(name: str, environ: dict[str, str], senders: int) -> float:
    """Return the tasks/s of the framework's own client with nothing around it."""
    code = _BARE[name].format(senders=senders)
    code += _TIMED.format(warmup=_WARMUP, count=_TASKS[name])
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def generator(name: str, environ: dict[str, str], directory: Path) -> float:
    """Return the tasks/s of the load generator, scraped each second meanwhile."""
    port = free_port()
    telemetry = {
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        "TASKQUEUE_TRACES_DIR": str(directory),
    }
    plan = {"framework": name, "tasks": [f"tasks.{name}:noop"], "queue": "taskscope",
            "in_flight": _IN_FLIGHT}  # fmt: skip
    command = services.generator(plan, telemetry)
    process = Process("loadgen", command, directory / "loadgen.log", environ, piped=True)
    stop = threading.Event()
    threading.Thread(target=_scrape, args=(port, stop), daemon=True).start()
    try:
        _phase(process, _WARMUP)
        begin = time.perf_counter()
        _phase(process, _TASKS[name])
        return _TASKS[name] / (time.perf_counter() - begin)
    finally:
        stop.set()
        process.stdin.close()
        process.stop(10)


def _scrape(port: int, stop: threading.Event) -> None:
    while not stop.wait(1):
        try:
            requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5)
        except requests.RequestException:
            continue


def _phase(process: Process, count: int) -> None:
    phase = {"count": count, "arrivals": "asap", "numbers": {}, "seed": 1,
             "parts": [{"weight": 1, "arguments": {}}]}  # fmt: skip
    process.stdin.write(json.dumps(phase).encode() + b"\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if answer["sent"] != count:
        raise SystemExit(f"{answer['failed']} publishes failed: {answer['error']}")


def main(pairs: int) -> None:
    """Print each side's median and the median of the ratios."""
    with tempfile.TemporaryDirectory() as scratch, running_redis(Path(scratch)) as url:
        for name in _TASKS:
            settings = WorkerSettings({}, concurrency=1, queue="taskscope", redis_url=url)
            environ = {**os.environ, **framework(name).client_environment(settings)}
            senders = 1 if name == "celery" else _IN_FLIGHT
            results = []
            for _ in range(pairs):
                redis.Redis.from_url(url).flushall()
                results.append((bare(name, environ, senders),
                                generator(name, environ, Path(scratch))))  # fmt: skip
            ratios = [g / b for b, g in results]
            sys.stdout.write(
                f"{name}: bare {median(b for b, _ in results):,.0f}/s, generator "
                f"{median(g for _, g in results):,.0f}/s, ratio {median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f}, {pairs} pairs)\n"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

"""Real workers for tests: started instrumented, scraped, and read back from their traces."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from prometheus_client.parser import text_string_to_metric_families

TESTS = Path(__file__).parent
DEADLINE_SECONDS = 60.0
_IDS = ("traceId", "spanId", "parentSpanId")
PRODUCER, CONSUMER, INTERNAL = 4, 5, 1
ERROR = 2


def eventually[T](look: Callable[[], T], what: str) -> T:
    """Poll until `look` returns something true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, f"never seen: {what}; last: {seen!r}"
        time.sleep(0.02)
    return seen


@dataclass(frozen=True)
class Span:
    """A span as OTLP has it; ids in hex."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    facts: dict[str, Any]
    error: dict[str, Any]
    status: int

    @property
    def task_id(self) -> str:
        return str(self.facts.get("messaging.message.id", ""))

    def at(self, instant: str) -> int:
        return int(self.facts[f"taskqueue.{instant}_unix_nano"])


def parse_line(line: str) -> list[Span]:
    """Parse a line as strictly as OTLP allows: an unknown field or a wrong type is an error."""
    return spans_of(json_format.ParseDict(_with_base64_ids(json.loads(line)), TracesData()))


def spans_of(data: TracesData) -> list[Span]:
    """Return the spans of one OTLP message."""
    return [
        _span(span)
        for resource in data.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def read_spans(directory: Path) -> list[Span]:
    """Read all trace files of a folder; a line without an end is being written now."""
    lines = [line for f in sorted(directory.glob("*.jsonl")) for line in f.open(encoding="utf-8")]
    return [span for line in lines if line.endswith("\n") for span in parse_line(line)]


def _with_base64_ids(node: Any) -> Any:
    """OTLP's JSON has ids in hex, where protobuf's own mapping has base64."""
    if isinstance(node, list):
        return [_with_base64_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: b64encode(bytes.fromhex(value)).decode() if key in _IDS else _with_base64_ids(value)
        for key, value in node.items()
    }


def _span(span: Any) -> Span:
    assert len(span.trace_id) == 16
    assert len(span.span_id) == 8
    assert len(span.parent_span_id) in {0, 8}
    assert any(span.trace_id)
    assert any(span.span_id)
    errors = [event for event in span.events if event.name == "exception"]
    return Span(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _facts(span.attributes),
        _facts(errors[0].attributes) if errors else {},
        span.status.code,
    )


def _facts(attributes: Iterable[Any]) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {f.name: f for f in text_string_to_metric_families(text)}
        self.samples = [s for f in self.families.values() for s in f.samples]

    def total(self, name: str, **labels: str) -> float:
        """Sum the samples of a name whose labels include these."""
        wanted = labels.items()
        return sum(s.value for s in self.samples if s.name == name and wanted <= s.labels.items())


@dataclass
class Worker:
    """A running worker, and where its telemetry is."""

    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def traces(self) -> Path:
        return self.directory / "traces"

    @property
    def targets(self) -> list[Path]:
        return list((self.directory / "targets").glob("*.json"))

    @property
    def address(self) -> str:
        return str(json.loads(self.targets[0].read_text())[0]["targets"][0])

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def scrape(self) -> Scrape:
        return Scrape(requests.get(f"http://{self.address}/metrics", timeout=5).text)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log()
        with suppress(IndexError, requests.ConnectionError):
            return bool(self.scrape().text)
        return False

    def attempts(self, task_ids: Iterable[str], count: int) -> list[Span]:
        """Wait for `count` attempts at these tasks, as the trace files tell, in order of start."""
        wanted = set(task_ids)

        def seen() -> list[Span] | None:
            self.scrape()
            spans = [s for s in read_spans(self.traces) if s.kind == CONSUMER]
            spans = [s for s in spans if s.task_id in wanted]
            return spans if len(spans) >= count else None

        try:
            spans = eventually(seen, f"{count} attempts")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from error
        assert len(spans) == count
        return sorted(spans, key=lambda span: span.start_ns)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)


CELERY = ("-A", "sample_celery", "worker", "-Q", "shop,q\"'\\й", "--loglevel", "WARNING",
          "--without-gossip", "--without-mingle", "--without-heartbeat")  # fmt: skip
ASYNCTASQ = ("worker", "--queues", "shop,q\"'\\й", "--concurrency", "10")


@contextmanager
def running_worker(  # noqa: PLR0913
    directory: Path,
    url: str,
    framework: str,
    *options: str,
    environ: Mapping[str, str] | None = None,
    serves: bool = True,
    launcher: Sequence[str] = (sys.executable, "-m", "instrumentation"),
) -> Iterator[Worker]:
    """Run `python -m instrumentation <framework> …` until the block ends."""
    for name in ("traces", "targets"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    command = [*launcher, framework, *(CELERY if framework == "celery" else ASYNCTASQ), *options]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**environment(directory, url), **(environ or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    worker = Worker(process, directory)
    try:
        if serves:
            eventually(worker.answers, "the worker serves its metrics")
        yield worker
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def environment(directory: Path, url: str) -> dict[str, str]:
    """Return the variables of a process under test, with its telemetry below `directory`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TASKQUEUE_"))}
    return clean | {
        "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}",
        "SAMPLE_REDIS_URL": url,
        "ASYNCTASQ_REDIS_URL": url,
        # The worker's own option of this name does not reach its retries (AsyncTasQ 1.7.0).
        "ASYNCTASQ_TASK_DEFAULTS_RETRY_DELAY": "0",
        "PYTHONIOENCODING": "utf-8:replace",  # its log cannot print every message either
        "TASKQUEUE_TRACES_DIR": str(directory / "traces"),
        "TASKQUEUE_TARGETS_DIR": str(directory / "targets"),
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=a%20%22test%22",
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

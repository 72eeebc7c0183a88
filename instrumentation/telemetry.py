"""One process's telemetry, put together from the environment.

| variable | meaning | default |
|---|---|---|
| OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES | who the spans come from | the framework's name |
| OTEL_EXPORTER_PROMETHEUS_HOST, _PORT | where metrics are served | 127.0.0.1, a free port |
| OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS | spans go there, as OTLP/HTTP | unset |
| TASKQUEUE_TRACES_DIR | else into this folder, as OTLP/JSON lines | unset: no spans |
| OTEL_TRACES_EXPORTER | `none`: no spans | |
| OTEL_TRACES_SAMPLER_ARG | share of traces that run inside a live SDK span | 0.01 |
| TASKQUEUE_TARGETS_DIR | announce the metrics there for Prometheus' `file_sd` | unset |
| TASKQUEUE_TARGET_LABELS | JSON: labels of the announced target | {} |
"""

import atexit
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from instrumentation import spans
from instrumentation.collector import Collector
from instrumentation.recorder import Recorder
from instrumentation.records import Record
from instrumentation.server import Announcement, MetricsServer
from instrumentation.sinks import FileSink, HttpSink, LineSink, NullSink

_log = logging.getLogger(__name__)
_DRAIN_AFTER_SECONDS = 2.0
_DEFAULT_SAMPLE_RATIO = 0.01


class Telemetry:
    """Recorder, collector, metrics server and span sink of one process.

    `registry` holds further Prometheus metrics of the application to serve beside ours.
    """

    def __init__(
        self,
        system: str,
        environ: Mapping[str, str] = os.environ,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._environ = environ
        self.sample_ratio = self._read("OTEL_TRACES_SAMPLER_ARG", float, _DEFAULT_SAMPLE_RATIO)
        self.recorder = Recorder()
        self._system = system
        self._registry = registry
        self.service = environ.get("OTEL_SERVICE_NAME", system)
        self.instance = f"{socket.gethostname()}:{os.getpid()}"
        self.resource: dict[str, spans.Value] = {
            "service.name": self.service,
            "service.instance.id": self.instance,
            **spans.resource_attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
        }
        self._sink = _choose_sink(environ, f"{self.service}-{os.getpid()}.jsonl")
        self._collector = Collector(self.recorder, self._write_spans)
        self._server: MetricsServer | None = None
        self._announcement: Announcement | None = None
        self._stopping = threading.Event()

    def serve(self) -> None:
        """Open the metrics port, announce it, and see to it that the last records are written."""
        host = self._environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1")
        port = self._read("OTEL_EXPORTER_PROMETHEUS_PORT", int, 0)
        try:
            self._server = MetricsServer(self._exposition, host, port)
        except (OSError, OverflowError) as error:  # a port above 65535 is an OverflowError
            _log.error("task metrics are not served: cannot listen on %s:%d: %s", host, port, error)
        else:
            self._announce(self._server.address)
        threading.Thread(target=self._drain_forever, name="telemetry-drain", daemon=True).start()
        owner = os.getpid()
        atexit.register(lambda: self.close() if os.getpid() == owner else None)

    def close(self) -> None:
        """Take the target away and write the last records; calling it again does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._announcement:
            self._announcement.withdraw()
        if self._server:
            self._server.close()
        self._drain(final=True)
        if dropped := self._sink.close():
            _log.error("%d spans could not be sent before the end", dropped)

    def _announce(self, address: str) -> None:
        directory = self._environ.get("TASKQUEUE_TARGETS_DIR")
        if not directory:
            return
        labels = self._read("TASKQUEUE_TARGET_LABELS", _json_object, _json_object("{}"))
        path = Path(directory) / f"{self.service}-{os.getpid()}.json"
        try:
            self._announcement = Announcement.publish(path, address, labels)
        except OSError as error:
            _log.error("Prometheus is not told of %s: cannot write %s: %s", address, path, error)

    def _exposition(self) -> str:
        own = self._collector.exposition()
        return own + generate_latest(self._registry).decode() if self._registry else own

    def _drain_forever(self) -> None:
        """Keep memory flat when nobody scrapes."""
        while not self._stopping.wait(_DRAIN_AFTER_SECONDS):
            self._drain()

    def _drain(self, *, final: bool = False) -> None:
        """Drain whatever happens: a defect here must neither end the thread nor the process."""
        try:
            if final:
                self._collector.drain(final=True)
            else:
                self._collector.drain_if_neglected(int(_DRAIN_AFTER_SECONDS * 1e9))
        except Exception:  # noqa: BLE001 - that is the point
            _log.exception("task telemetry was lost")

    def _read[T](self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Read a variable; like OpenTelemetry, warn of a value that makes no sense and go on."""
        text = self._environ.get(name, "")
        try:
            return parse(text) if text else default
        except (TypeError, ValueError):
            _log.warning("%s is ignored: %r makes no sense", name, text)
            return default

    def _write_spans(self, records: Sequence[Record]) -> int:
        if isinstance(self._sink, NullSink):
            return 0
        return self._sink.write(spans.lines(records, self._system, self.resource))


def _json_object(text: str) -> dict[str, object]:
    return dict(json.loads(text))


def otlp_endpoint(environ: Mapping[str, str]) -> str | None:
    """Where spans go by OTLP/HTTP; None when they go to a file, or nowhere."""
    if endpoint := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return endpoint
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return endpoint.rstrip("/") + "/v1/traces" if endpoint else None


def _choose_sink(environ: Mapping[str, str], file_name: str) -> LineSink:
    if environ.get("OTEL_TRACES_EXPORTER") == "none":
        return NullSink()
    if endpoint := otlp_endpoint(environ):
        pairs = spans.resource_attributes(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
        return HttpSink(endpoint, {key: str(value) for key, value in pairs.items()})
    directory = environ.get("TASKQUEUE_TRACES_DIR")
    return FileSink(Path(directory) / file_name) if directory else NullSink()

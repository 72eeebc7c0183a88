"""One process's telemetry, put together from the environment. README.md lists the variables."""

import atexit
import json
import logging
import multiprocessing
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any

from opentelemetry.trace import TracerProvider
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_latest

from instrumentation import live, settings, spans, vital
from instrumentation.backlog import Finished
from instrumentation.collector import Collector
from instrumentation.destination import choose
from instrumentation.once import Once
from instrumentation.recorder import Recorder
from instrumentation.server import Announcement, MetricsServer
from instrumentation.settings import Environ, read
from instrumentation.sinks import Line, QueuedSink

_log = logging.getLogger(__name__)
_DRAIN_AFTER_SECONDS = 2.0
_NOT_IN_FILE_NAMES = re.compile(r"[/\\\0]")
#: What writes a registry, by whether it shall be OpenMetrics, which has an end mark.
_WRITERS: dict[bool, Any] = {False: generate_latest, True: open_latest}


class Telemetry:
    """Recorder, collector, metrics server and span sink of one process.

    `registry` holds further Prometheus metrics of the application to serve beside ours; spans go
    through `tracer_provider` where one is given. It belongs to the process that made it: what a
    forked child records is served and written by its parent, so in a child it does nothing.
    """

    def __init__(
        self,
        system: str,
        environ: Environ = os.environ,
        registry: CollectorRegistry | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        self._environ = environ
        self._owner = os.getpid()
        self.sample_ratio = settings.sample_ratio(environ)
        self.recorder = Recorder()
        self._system = system
        self._registry = registry
        self.resource = settings.resource(environ, system)
        self._sink = choose(environ, tracer_provider, f"{self._file_name()}.jsonl")
        self._collector = Collector(self.recorder, self._write_spans)
        self._server: MetricsServer | None = None
        self._announcement: Announcement | None = None
        self._busy = self._started = self._served = False
        self._complain = Once(_log.exception)
        self._complain_of_others = Once(_log.exception)
        self._serving: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._scraped = threading.Event()
        self._stopping = threading.Event()

    def _file_name(self) -> str:
        """Name this process, unlike any other system, process or host of the same service."""
        names = (self.resource["service.name"], self._system, socket.gethostname(), self._owner)
        return _NOT_IN_FILE_NAMES.sub("_", "-".join(dict.fromkeys(map(str, names))))

    def start(self, serving: Callable[[], None] = lambda: None) -> None:
        """Drain from now on, and write the last records at the end of the process.

        The metrics port opens by `serve`, or else once there is something to see: a process that
        only imports an instrumented application, as the children of process pools do, never has a
        port. `serving` is called when it opens.
        """
        with self._lock:
            if self._started or self._stopping.is_set():
                return
            self._started, self._serving = True, serving
        threading.Thread(target=self._drain_forever, name="telemetry-drain", daemon=True).start()
        atexit.register(self.close)
        # The children of multiprocessing call no atexit functions, and forget at their beginning
        # what finalizers a module that was imported before it made.
        util.register_after_fork(self, _close_with_process)
        if multiprocessing.parent_process() is not None:
            _close_with_process(self)

    def serve(self) -> None:
        """Start, open the metrics port and announce it; calling it again does nothing."""
        if self._forked():
            return
        self.start()
        with self._lock:
            if self._served or self._stopping.is_set():
                return
            self._served = True
            self._listen()
        self._serving()

    def keep_up(self) -> None:
        """Account for what was recorded so far: a worker calls it after each `BATCH` of tasks.

        In the thread that runs the tasks little has left the caches, little has grown old enough
        for the garbage collector, and the interpreter's lock need not change hands.
        """
        if self._forked():
            return
        try:
            self._collector.keep_up()
        except Exception:  # noqa: BLE001 - never the worker's trouble
            self._complain("task telemetry failed")

    def close_first(self) -> None:
        """Have `close` be the first of what is called at exit: what comes later may end it early.

        On SIGHUP, for example, a Celery worker replaces itself there by a new one.
        """
        if self._started and not self._stopping.is_set() and not self._forked():
            atexit.unregister(self.close)
            atexit.register(self.close)

    def close(self) -> None:
        """Take the target away and write the last records; calling it again does nothing."""
        if self._forked():
            return
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
        self._scraped.set()
        atexit.unregister(self.close)
        if self._announcement:
            self._announcement.withdraw()
        if self._server:
            self._server.close()
        self._drain(final=True)
        if dropped := self._sink.close():
            _log.error("%d spans could not be sent before the end", dropped)

    def _forked(self) -> bool:
        """Tell a forked child, whose copy of the lock may be held for ever."""
        return os.getpid() != self._owner

    def _listen(self) -> None:
        host = self._environ.get("OTEL_EXPORTER_PROMETHEUS_HOST") or "127.0.0.1"
        port = read(self._environ, "OTEL_EXPORTER_PROMETHEUS_PORT", int, 0)
        try:
            self._server = MetricsServer(self._exposition, host, port)
        except (OSError, OverflowError) as error:  # a port above 65535 is an OverflowError
            _log.error("task metrics are not served: cannot listen on %s:%d: %s", host, port, error)
        else:
            self._announce(self._server.address)

    def _announce(self, address: str) -> None:
        directory = self._environ.get("TASKQUEUE_TARGETS_DIR")
        if not directory:
            _log.info("task metrics are at http://%s/metrics", address)
            return
        labels = read(self._environ, "TASKQUEUE_TARGET_LABELS", _json_object, _json_object("{}"))
        path = Path(directory) / f"{self._file_name()}.json"
        try:
            self._announcement = Announcement.publish(path, address, labels)
        except OSError as error:
            _log.error("Prometheus is not told of %s: cannot write %s: %s", address, path, error)

    def _exposition(self, *, openmetrics: bool = False) -> str:
        own = self._collector.exposition(openmetrics=openmetrics)
        self._scraped.set()  # spans are written afterwards: Prometheus does not wait for them
        return own + self._others(_WRITERS[openmetrics])

    def _others(self, write: Callable[[CollectorRegistry], bytes]) -> str:
        """Write the application's own metrics; a defect there must not take ours along."""
        try:
            return write(self._registry or CollectorRegistry()).decode()
        except Exception:  # noqa: BLE001
            self._complain_of_others("the metrics of the application's registry are not served")
            return write(CollectorRegistry()).decode()

    def _drain_forever(self) -> None:
        """Write spans after each scrape, and keep memory flat when nobody scrapes."""
        while not self._stopping.is_set():
            self._scraped.wait(_DRAIN_AFTER_SECONDS)
            self._scraped.clear()
            self._drain()

    def _drain(self, *, final: bool = False) -> None:
        """Drain whatever happens: a defect here must neither end the thread nor the process."""
        try:
            self._collector.drain(final=final)
            live.flush()
            if self._busy and not final:
                self.serve()  # now there is something to see
        except Exception:  # noqa: BLE001 - that is the point
            self._complain("task telemetry failed")

    def _write_spans(self, records: Sequence[Finished]) -> int:
        self._busy |= bool(records)
        if not self._sink.wanted():
            records = ()
        if not isinstance(self._sink, QueuedSink):
            return self._sink.write(self._lines(records))
        survivors, others = vital.split(records)
        dropped = self._sink.write(self._lines(survivors), vital=True)
        return dropped + self._sink.write(self._lines(others))

    def _lines(self, records: Sequence[Finished]) -> Iterator[Line]:
        return spans.lines(records, self._system, self.resource)


def _close_with_process(telemetry: Telemetry) -> None:
    util.Finalize(None, telemetry.close, exitpriority=0)


def _json_object(text: str) -> dict[str, object]:
    return dict(json.loads(text))

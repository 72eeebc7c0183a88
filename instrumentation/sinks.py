"""Where span lines go: a file in OTLP's file format, or an OTLP endpoint over HTTP."""

import errno
import logging
import queue
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import requests

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 10
_MOST_QUEUED_LINES = 1_000


class LineSink(Protocol):
    """Takes OTLP/JSON lines, each with its number of spans; returns how many spans it dropped."""

    def write(self, lines: Iterable[tuple[str, int]]) -> int:
        """Write the lines; never raise."""

    def close(self) -> int:
        """Write what is still held; return how many spans were dropped since the last `write`."""


class NullSink:
    """Spans are not wanted (OTEL_TRACES_EXPORTER=none): nothing is written, nothing is lost."""

    def write(self, lines: Iterable[tuple[str, int]]) -> int:  # noqa: ARG002
        return 0

    def close(self) -> int:
        return 0


class FileSink:
    """Appends lines to one file, each with a single write, so that other appenders fit between."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        self._complained = False

    def write(self, lines: Iterable[tuple[str, int]]) -> int:
        dropped = 0
        for line, spans in lines:
            try:
                self._append(line.encode())
            except OSError as error:
                dropped += spans
                self._complain(error)
        return dropped

    def _append(self, line: bytes) -> None:
        # What a full disk cut short must not swallow the line that comes after it.
        data = b"\n" + line if self._torn else line
        with self._path.open("ab", buffering=0) as file:
            written = file.write(data) or 0
        self._torn = 0 < written < len(data) or (self._torn and not written)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written")

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            _log.error("spans are being dropped: cannot write %s: %s", self._path, error)
            self._complained = True

    def close(self) -> int:
        return 0


class HttpSink:
    """Posts lines as OTLP/HTTP JSON from its own thread; a bounded queue keeps a slow backend away.

    What does not fit in the queue, or is refused by the backend, is dropped and counted.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], close_after_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json", **headers}
        self._close_after_seconds = close_after_seconds
        self._queue: queue.Queue[tuple[str, int] | None] = queue.Queue(_MOST_QUEUED_LINES)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._dropped = 0
        self._complained = False
        self._thread = threading.Thread(target=self._post_all, name="otlp-sink", daemon=True)
        self._thread.start()

    def write(self, lines: Iterable[tuple[str, int]]) -> int:
        for line in lines:
            try:
                self._queue.put_nowait(line)
            except queue.Full:
                self._drop(line[1])
        return self._take_dropped()

    def close(self) -> int:
        """Give the backend a last chance, but not for ever; what is left over is dropped."""
        self._closing.set()
        with suppress(queue.Full):  # then the thread is not waiting, and sees that it should end
            self._queue.put_nowait(None)
        self._thread.join(self._close_after_seconds)
        while not self._queue.empty():
            if item := self._queue.get_nowait():
                self._drop(item[1])
        return self._take_dropped()

    def _drop(self, spans: int) -> None:
        with self._lock:
            self._dropped += spans

    def _take_dropped(self) -> int:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _post_all(self) -> None:
        with requests.Session() as session:
            while not (self._closing.is_set() and self._queue.empty()):
                item = self._queue.get()
                if item is None:
                    return
                self._post(session, *item)

    def _post(self, session: requests.Session, line: str, spans: int) -> None:
        try:
            session.post(
                self._url, data=line.encode(), headers=self._headers, timeout=_TIMEOUT_SECONDS
            ).raise_for_status()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next line gets its chance
            self._drop(spans)
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            _log.error(
                "spans are being dropped: the OTLP endpoint failed: %s", type(error).__name__
            )
            self._complained = True

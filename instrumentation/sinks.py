"""Where span lines go: a file in OTLP's file format, or what is fed from a thread of its own."""

import errno
import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from opentelemetry.instrumentation.utils import suppress_instrumentation

from instrumentation.once import Once

_log = logging.getLogger(__name__)
_CLOSE_AFTER_SECONDS = 10.0
_MOST_QUEUED_LINES = 1_000
_MOST_VITAL_LINES = 200  # some 20 MB, where nobody takes them for long
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 10.0


#: A line of OTLP/JSON, and how many spans it holds.
type Line = tuple[bytes, int]


class LineSink(Protocol):
    """Takes OTLP/JSON lines; returns how many spans it dropped."""

    def wanted(self) -> bool:
        """Tell whether anybody wants spans now: if not, none need to be made."""

    def write(self, lines: Iterable[Line]) -> int:
        """Write the lines; never raise."""

    def close(self) -> int:
        """Write what is still held; return how many spans were dropped since the last `write`."""


class NullSink:
    """Spans are not wanted: nothing is written, nothing is lost."""

    def wanted(self) -> bool:
        return False

    def write(self, lines: Iterable[Line]) -> int:  # noqa: ARG002
        return 0

    def close(self) -> int:
        return 0


class FileSink:
    """Appends lines to one file, each with a single write, so that other appenders fit between."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        self._complain = Once(_log.error)

    def wanted(self) -> bool:
        return True

    def write(self, lines: Iterable[Line]) -> int:
        dropped = 0
        for line, spans in lines:
            try:
                self._append(line)
            except OSError as error:
                dropped += spans
                self._complain("spans are being dropped: cannot write %s: %s", self._path, error)
        return dropped

    def _append(self, line: bytes) -> None:
        # What a full disk cut short must not swallow the line that comes after it.
        data = b"\n" + line if self._torn else line
        with self._path.open("ab", buffering=0) as file:
            written = file.write(data) or 0
        self._torn = 0 < written < len(data) or (self._torn and not written)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written")

    def close(self) -> int:
        return 0


class QueuedSink(ABC):
    """Delivers lines from its own thread; a bounded queue keeps a slow receiver away.

    What does not fit in the queue, or cannot be delivered, is dropped and counted. Vital lines go
    first, take the place of others, and are tried again for as long as that may help.
    """

    def __init__(self, close_after_seconds: float = _CLOSE_AFTER_SECONDS) -> None:
        self._close_after_seconds = close_after_seconds
        self._vital: deque[Line] = deque()
        self._others: deque[Line] = deque()
        self._closing = False
        self._changed = threading.Condition()
        self._dropped = 0
        self._complain = Once(_log.error)
        self._pause_seconds = _SHORTEST_PAUSE_SECONDS
        # Begun at once: Python starts no thread any more at the end of a process, where a short
        # one has its first spans.
        self._thread = threading.Thread(target=self._deliver_all, name="span-sink", daemon=True)
        self._thread.start()

    @abstractmethod
    def deliver(self, line: bytes) -> None:
        """Deliver one line, or raise."""

    def wanted(self) -> bool:
        return True

    def write(self, lines: Iterable[Line], *, vital: bool = False) -> int:
        for line in lines:
            with self._changed:
                self._keep(line, vital=vital)
                self._changed.notify()
        return self._take_dropped()

    def _keep(self, line: Line, *, vital: bool) -> None:
        full = len(self._vital) + len(self._others) >= _MOST_QUEUED_LINES
        if vital and full and self._others:
            self._dropped += self._others.popleft()[1]
        elif full or (vital and len(self._vital) >= _MOST_VITAL_LINES):
            self._dropped += line[1]
            return
        (self._vital if vital else self._others).append(line)

    def close(self) -> int:
        """Give the receiver a last chance, but not for ever; what is left over is dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self._close_after_seconds)
        with self._changed:
            self._drop(self._vital)
            self._drop(self._others)
        return self._take_dropped()

    def _drop(self, lines: deque[Line]) -> None:
        self._dropped += sum(spans for _, spans in lines)
        lines.clear()

    def _take_dropped(self) -> int:
        with self._changed:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _deliver_all(self) -> None:
        with suppress_instrumentation():  # how spans are sent makes no spans
            while following := self._next():
                self._try(*following)

    def _next(self) -> tuple[Line, bool] | None:
        """Wait for a line; return it, and whether it is vital. None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._vital or self._others or self._closing)
            if self._vital:
                return self._vital.popleft(), True
            return (self._others.popleft(), False) if self._others else None

    def _try(self, line: Line, vital: bool) -> None:  # noqa: FBT001
        try:
            self.deliver(line[0])
        except Exception as error:  # noqa: BLE001 - whatever it is, the next line gets its chance
            again = vital and self.may_recover(error)
            with self._changed:
                if again and not self._closing:
                    self._vital.appendleft(line)
                    self._drop(self._others)  # as a try of their own would have ended
                    self._changed.wait_for(lambda: self._closing, self._pause_seconds)
                    self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
                else:
                    self._dropped += line[1]
            self._complain("spans are being dropped: %s", self.explain(error))
        else:
            self._pause_seconds = _SHORTEST_PAUSE_SECONDS

    def may_recover(self, error: Exception) -> bool:  # noqa: ARG002
        """Tell whether the same line may be delivered later."""
        return False

    def explain(self, error: Exception) -> str:
        """Say what went wrong; never where, for an address may hold credentials."""
        return str(error)

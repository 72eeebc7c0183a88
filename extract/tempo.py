"""The traces of a run, fetched from Tempo into trace files: as if they had been written there.

Searched by session and fetched by id, over the HTTP API that Tempo 2.7 and later have. Nothing is
held in memory but ids, so a run may have a million traces.
"""

import base64
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from extract.manifest import CellRecord, Manifest
from extract.otlp import CONSUMER

FILE_NAME: Final = "tempo.jsonl"
_TIMEOUT_SECONDS: Final = 60
_THREADS: Final = 8
#: More search results than that are asked for in parts: Tempo gives the first so many, and no more.
_MOST_FOUND: Final = 5_000
_MARGIN_SECONDS: Final = 2  # search has a resolution of a second
_TRACE_MARGIN_SECONDS: Final = 3600
_DEEPEST: Final = 3  # a second is divided into up to 16³ parts
_DIGITS: Final = "0123456789abcdef"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_KINDS: Final = {f"SPAN_KIND_{name}": number for number, name in enumerate(
    ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))}  # fmt: skip
_CODES: Final = {f"STATUS_CODE_{name}": n for n, name in enumerate(("UNSET", "OK", "ERROR"))}
_ID_LENGTHS: Final = {"traceId": 32, "spanId": 16, "parentSpanId": 16}

type Document = dict[str, Any]
type Report = Callable[[str], None]


class TempoError(Exception):
    """Tempo answered, and the answer is no use."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long spans of a run that has just ended may take to be found."""

    recent_seconds: float = 120.0
    stall_seconds: float = 45.0
    poll_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many traces were fetched, and how many of them had no attempt at a task in them."""

    traces: int
    unfinished: int


@dataclass(frozen=True)
class Tempo:
    """A Tempo's HTTP API. requests.RequestException when it does not answer."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def session(self) -> requests.Session:
        """Return a client. A proxy from the environment is never asked for a loopback address."""
        session = requests.Session()
        session.trust_env = urlsplit(self.url).hostname not in _LOOPBACK
        session.headers.update(self.headers)
        retry = Retry(total=3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504))
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=_THREADS))
        return session

    def get(
        self, session: requests.Session, path: str, parameters: Mapping[str, str | int]
    ) -> Document | None:
        """Return an answer; None for 404. TempoError for one that is no JSON object, or refused."""
        answer = session.get(self.url.rstrip("/") + path, params=dict(parameters),
                             headers={"Accept": "application/json"},
                             timeout=_TIMEOUT_SECONDS)  # fmt: skip
        if answer.status_code == requests.codes.not_found:
            return None
        if not answer.ok:
            said = " ".join(answer.text.split())[:200]
            raise TempoError(f"HTTP {answer.status_code}: {said or answer.reason}")
        try:
            found: Document = msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise TempoError(f"its answer is no JSON object: {error}") from None
        return found


@dataclass(frozen=True, slots=True)
class _Window:
    """Where to search: from one Unix second to another, ids of messages that begin so."""

    start: int
    end: int
    prefix: str = ""

    def halves(self) -> Iterator["_Window"]:
        """Divide it: by time down to a second, then by the next digit of the message's id."""
        middle = (self.start + self.end) // 2
        if self.end - self.start > 1:
            yield _Window(self.start, middle)
            yield _Window(middle, self.end)
        else:
            for digit in _DIGITS:
                yield _Window(self.start, self.end, self.prefix + digit)

    def query(self, session: str) -> str:
        """Write the search in TraceQL. Sessions are hexadecimal: nothing in them needs quoting."""
        mine = f'resource.taskscope.session = "{session}"'
        if self.prefix:
            mine += f' && span.messaging.message.id =~ "{self.prefix}.*"'
        return f"{{ {mine} }}"


class _Waiting:
    """Whether it is worth waiting for more: the run ended lately, and more came lately."""

    def __init__(self, cells: Sequence[CellRecord], patience: Patience) -> None:
        self._ended = max((cell.end or 0.0 for cell in cells), default=0.0)
        self._patience = patience
        self._seen = -1
        self._grew = 0.0

    def saw(self, count: int) -> bool:
        """Take in how many there are by now; return whether to look again, after a moment."""
        if count > self._seen:
            self._seen, self._grew = count, time.monotonic()
        recent = time.time() - self._ended < self._patience.recent_seconds
        moving = time.monotonic() - self._grew < self._patience.stall_seconds
        if recent and moving:
            time.sleep(self._patience.poll_seconds)
            return True
        return False


def fetch(
    tempo: Tempo,
    manifest: Manifest,
    directory: Path,
    report: Report = lambda _: None,
    patience: Patience | None = None,
) -> Fetched:
    """Write every trace of the measured cells into `directory`, replacing what was fetched before.

    Of a run that has just ended, spans that are still on their way are waited for. TempoError or
    requests.RequestException leave the files as they were.
    """
    patience = patience or Patience()
    cells = [cell for cell in manifest.cells if cell.measured]
    temporary = directory / f"{FILE_NAME}.part"
    with tempo.session() as client, temporary.open("wb") as file:
        known = _find_all(tempo, client, manifest.session, cells, _Waiting(cells, patience))
        report(f"{len(known):,} traces found")
        unfinished, waiting = list(known), _Waiting(cells, patience)
        while unfinished:
            held = {}
            for trace_id, line, whole in _traces(tempo, client, unfinished, known):
                if whole:
                    file.write(line)
                else:
                    held[trace_id] = line
            unfinished = list(held)
            report(f"{len(known) - len(held):,} traces fetched")
            if held and not waiting.saw(len(known) - len(held)):
                file.writelines(held.values())
                break
    temporary.replace(directory / FILE_NAME)
    return Fetched(len(known), len(unfinished))


def _find_all(
    tempo: Tempo,
    client: requests.Session,
    session: str,
    cells: Sequence[CellRecord],
    waiting: _Waiting,
) -> dict[str, CellRecord]:
    """Return the ids of all traces of a session, each with the cell that it was found in."""
    planned = sum(cell.planned for cell in cells)
    known: dict[str, CellRecord] = {}
    while True:
        for cell in cells:
            known |= dict.fromkeys(_search(tempo, client, session, _window(cell)), cell)
        if len(known) >= planned or not waiting.saw(len(known)):
            return known


def _traces(
    tempo: Tempo,
    client: requests.Session,
    trace_ids: Sequence[str],
    known: Mapping[str, CellRecord],
) -> Iterator[tuple[str, bytes, bool]]:
    """Fetch traces, some at once: each as its id, a line, and whether an attempt is in it."""

    def one(trace_id: str) -> tuple[str, bytes, bool]:
        return _trace(tempo, client, trace_id, known[trace_id])

    with ThreadPoolExecutor(_THREADS) as pool:
        for some in batched(trace_ids, 50 * _THREADS):
            yield from pool.map(one, some)


def _window(cell: CellRecord) -> _Window:
    start, end = int(cell.start or 0), int(cell.end or 0)
    return _Window(start - _MARGIN_SECONDS, end + _MARGIN_SECONDS)


def _search(tempo: Tempo, client: requests.Session, session: str, window: _Window) -> Iterator[str]:
    """Yield the ids of the traces of a window, dividing it while there may be more than shown."""
    parameters: dict[str, str | int] = {
        "q": window.query(session),
        "start": window.start,
        "end": window.end,
        "limit": _MOST_FOUND,
        "spss": 1,
    }
    answer = tempo.get(client, "/api/search", parameters)
    if answer is None or not isinstance(found := answer.get("traces") or [], list):
        raise TempoError("it has no /api/search: is it a Tempo, 2.7 or newer?")
    if len(found) < _MOST_FOUND:
        # Tempo trims the zeros that an id begins with.
        yield from (str(each["traceID"]).zfill(32) for each in found)
        return
    if len(window.prefix) >= _DEEPEST:
        raise TempoError(f"more than {_MOST_FOUND} traces have message ids that begin with "
                         f"{window.prefix} and lie within one second")  # fmt: skip
    for part in window.halves():
        yield from _search(tempo, client, session, part)


def _trace(
    tempo: Tempo, client: requests.Session, trace_id: str, cell: CellRecord
) -> tuple[str, bytes, bool]:
    """Return a trace as a line of a trace file, and whether a task's attempt is in it."""
    start, end = int(cell.start or 0), int(cell.end or 0)
    answer = tempo.get(client, f"/api/v2/traces/{trace_id}",
                       {"start": start - _TRACE_MARGIN_SECONDS,
                        "end": end + _TRACE_MARGIN_SECONDS})  # fmt: skip
    trace = (answer or {}).get("trace") or {}
    if str((answer or {}).get("status", "")).endswith("PARTIAL"):
        raise TempoError(f"trace {trace_id} is too large for it and came in part: raise "
                         "max_bytes_per_trace")  # fmt: skip
    line, whole = as_line(trace)
    return trace_id, line, whole


def as_line(trace: Document) -> tuple[bytes, bool]:
    """Write a trace as Tempo has it in OpenTelemetry's file format.

    Also says whether an attempt at a task is in it. Tempo's JSON has ids in base64 and names for
    kinds and codes; the file format has hexadecimal and numbers.
    """
    attempts = 0
    for resource in trace.get("resourceSpans", ()):
        for span in _spans(resource):
            _plain_ids(span)
            span["kind"] = _KINDS.get(span.get("kind", 0), span.get("kind", 0))
            status = span.get("status") or {}
            status["code"] = _CODES.get(status.get("code", 0), status.get("code", 0))
            span["status"] = status
            attempts += span["kind"] == CONSUMER
    if not trace.get("resourceSpans"):
        return b"", False
    document = {"resourceSpans": trace["resourceSpans"]}
    return msgspec.json.encode(document) + b"\n", bool(attempts)


def _spans(resource: Document) -> Iterable[Document]:
    return (span for scope in resource.get("scopeSpans", ()) for span in scope.get("spans", ()))


def _plain_ids(span: Document) -> None:
    for name, length in _ID_LENGTHS.items():
        text = span.get(name)
        if text and len(text) != length:
            span[name] = base64.b64decode(text).hex()

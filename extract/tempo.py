"""The traces of a run, fetched from Tempo into a trace file: as if they had been written there.

A search by session gives most traces whole, with all that the dataset needs, and the others are
fetched by their ids: those that hold a failure, or may hold more than a search shows. It costs a
small part of fetching each. Nothing is held in memory but ids, so a run may have a million traces.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from extract.manifest import CellRecord, Manifest
from extract.tempo_forms import Document, as_line, found_line

FILE_NAME: Final = "tempo.jsonl"
_TIMEOUT_SECONDS: Final = 60
_THREADS: Final = 8
_AT_ONCE: Final = 400
#: More search results than that are asked for in parts: Tempo gives the first so many, and no more.
_MOST_FOUND: Final = 5_000
_MOST_SPANS: Final = 100  # of one trace in a search; Tempo's own limit, unless it is raised
_MARGIN_SECONDS: Final = 2  # search has a resolution of a second
_TRACE_MARGIN_SECONDS: Final = 3600
_DEEPEST: Final = 4  # a cell is divided into up to 16⁴ parts
_CROWDED: Final = 0.7  # a cell with so many of them is divided at once
_REPORT_EVERY: Final = 10_000
_NS: Final = 1e9
_KINDS: Final = ("producer", "consumer")
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_SELECT: Final = ", ".join([
    "kind", "status", "name",
    *(f"span.{name}" for name in (
        "messaging.message.id", "messaging.destination.name", "process.pid", "taskqueue.task",
        "taskqueue.outcome", "taskqueue.attempt")),
    *(f"span.taskqueue.{name}_unix_nano" for name in (
        "scheduled", "sent", "due", "received", "acked")),
    "resource.service.instance.id",
    *(f"resource.taskscope.{name}" for name in (
        "scenario", "framework", "variant", "repetition")),
])  # fmt: skip

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
    """How many traces there were, how many were fetched by id, how many lack an attempt."""

    traces: int
    by_id: int
    unfinished: int


@dataclass(frozen=True)
class Tempo:
    """A Tempo's HTTP API. requests.RequestException when it does not answer."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def client(self) -> requests.Session:
        """Return a client. A proxy from the environment is never asked for a loopback address."""
        client = requests.Session()
        client.trust_env = urlsplit(self.url).hostname not in _LOOPBACK
        client.headers.update({"Accept": "application/json", **self.headers})
        retry = Retry(total=3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504),
                      raise_on_status=False)  # fmt: skip
        for scheme in ("http://", "https://"):
            client.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=_THREADS))
        return client

    def get(
        self, client: requests.Session, path: str, parameters: Mapping[str, str | int]
    ) -> Document | None:
        """Return an answer; None for 404. TempoError for one that is no JSON object, or refused."""
        answer = client.get(
            self.url.rstrip("/") + path, params=dict(parameters), timeout=_TIMEOUT_SECONDS
        )
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
    """Write the traces of all measured cells into `directory`, replacing what was fetched before.

    Of a run that has just ended, spans that are still on their way are waited for. TempoError or
    requests.RequestException leave the file as it was.
    """
    cells = [cell for cell in manifest.cells if cell.measured]
    temporary = directory / f"{FILE_NAME}.part"
    with tempo.client() as client, temporary.open("wb") as file:
        fetching = _Fetching(tempo, client, manifest.session, file.write, report)
        waiting = _Waiting(cells, patience or Patience())
        planned = sum(cell.planned for cell in cells)
        while True:
            held = [line for cell in cells for line in fetching.look(cell)]
            if not held and fetching.measured >= planned:
                break
            if not waiting.saw(len(fetching.done)):
                file.writelines(held)
                break
    report(f"{len(fetching.done):,} traces fetched, {fetching.by_id:,} of them by id")
    temporary.replace(directory / FILE_NAME)
    return Fetched(len(fetching.done) + len(held), fetching.by_id, len(held))


class _Found(NamedTuple):
    """A search result: whether its trace began between the marks, and its line if it is whole."""

    trace_id: str
    measured: bool
    line: bytes | None


@dataclass
class _Fetching:
    """What was fetched so far: ids of traces that are done, and how many of them were measured."""

    tempo: Tempo
    client: requests.Session
    session: str
    write: Callable[[bytes], object]
    report: Report
    done: set[str] = field(default_factory=set)
    measured: int = 0
    by_id: int = 0

    def look(self, cell: CellRecord) -> list[bytes]:
        """Write the traces of a cell that are new, and return those that lack an attempt."""
        others: dict[str, _Found] = {}
        for found in _search(self.tempo, self.client, self.session, _Part(cell)):
            if found.trace_id in self.done:
                continue
            if found.line is None:
                others[found.trace_id] = found
            else:
                self._keep(found, found.line)
        held = []
        for found, line, whole in self._traces(cell, list(others.values())):
            if whole:
                self.by_id += 1
                self._keep(found, line)
            else:
                held.append(line)
        return held

    def _keep(self, found: _Found, line: bytes) -> None:
        self.write(line)
        self.done.add(found.trace_id)
        if not len(self.done) % _REPORT_EVERY:
            self.report(f"{len(self.done):,} traces fetched")
        self.measured += found.measured

    def _traces(
        self, cell: CellRecord, wanted: Sequence[_Found]
    ) -> Iterator[tuple[_Found, bytes, bool]]:
        """Fetch traces by id, some at once: each as a line, and whether an attempt is in it."""
        around = {"start": int(cell.start or 0) - _TRACE_MARGIN_SECONDS,
                  "end": int(cell.end or 0) + _TRACE_MARGIN_SECONDS}  # fmt: skip

        def one(found: _Found) -> tuple[_Found, bytes, bool]:
            path = f"/api/v2/traces/{found.trace_id}"
            answer = self.tempo.get(self.client, path, around) or {}
            if str(answer.get("status", "")).endswith("PARTIAL"):
                raise TempoError(f"trace {found.trace_id} is too large for it, and came in part: "
                                 "raise its max_bytes_per_trace")  # fmt: skip
            return found, *as_line(answer.get("trace") or {})

        with ThreadPoolExecutor(_THREADS) as pool:
            for some in batched(wanted, _AT_ONCE):
                yield from pool.map(one, some)


@dataclass(frozen=True, slots=True)
class _Part:
    """The traces of a cell with a message whose id begins so; `other`: with no hexadecimal digit.

    Not divided by time: a search finds what overlaps its time, so a backlog would be found again
    and again.
    """

    cell: CellRecord
    prefix: str = ""
    other: bool = False

    def parts(self) -> Iterator["_Part"]:
        """Divide it by the next digit of the message's id."""
        for digit in "0123456789abcdef":
            yield _Part(self.cell, self.prefix + digit)
        if not self.prefix:
            yield _Part(self.cell, other=True)

    def query(self, session: str, kind: str) -> str:
        """Write the search in TraceQL. Sessions are hexadecimal: nothing in them needs quoting.

        All such spans of a trace are asked for, also where only one has such an id.
        """
        ours = (f'{{ resource.taskscope.session = "{session}" && kind = {kind}'
                " && span.taskqueue.task != nil }")  # fmt: skip
        if self.other:
            ours = f'{{ span.messaging.message.id !~ "[0-9a-f].*" }} && {ours}'
        elif self.prefix:
            ours = f'{{ span.messaging.message.id =~ "{self.prefix}.*" }} && {ours}'
        return f"{ours} | select({_SELECT})"

    def parameters(self, session: str, kind: str) -> dict[str, str | int]:
        """Return the parameters of the search."""
        return {
            "q": self.query(session, kind),
            "start": int(self.cell.start or 0) - _MARGIN_SECONDS,
            "end": int(self.cell.end or 0) + _MARGIN_SECONDS,
            "limit": _MOST_FOUND,
            "spss": _MOST_SPANS,
        }


def _search(tempo: Tempo, client: requests.Session, session: str, part: _Part) -> Iterator[_Found]:
    """Search a part, dividing it while there may be more than what was shown."""
    # More than are planned are there: warm-up tasks, and those of neighbours in time.
    crowded = not part.prefix and part.cell.planned > _MOST_FOUND * _CROWDED and not part.other
    if not crowded:
        shown = [_ask(tempo, client, part.parameters(session, kind)) for kind in _KINDS]
        if all(len(traces) < _MOST_FOUND for traces in shown):
            yield from _joined(shown, part.cell)
            return
        if len(part.prefix) >= _DEEPEST or part.other:
            raise TempoError(f"{_MOST_FOUND} traces or more of one cell have message ids that "
                             f"begin with {part.prefix or 'no digit'}")  # fmt: skip
    for smaller in part.parts():
        yield from _search(tempo, client, session, smaller)


def _ask(
    tempo: Tempo, client: requests.Session, parameters: Mapping[str, str | int]
) -> dict[str, Document]:
    """Return what a search shows, by trace id; Tempo trims the zeros that an id begins with."""
    answer = tempo.get(client, "/api/search", parameters)
    if answer is None or not isinstance(traces := answer.get("traces") or [], list):
        raise TempoError("it has no /api/search: is it a Tempo, 2.7 or newer?")
    return {str(trace["traceID"]).zfill(32): trace for trace in traces}


def _joined(shown: Sequence[Mapping[str, Document]], cell: CellRecord) -> Iterator[_Found]:
    """Join what was shown of each trace: a publish and its attempt may lie in different blocks."""
    for trace_id in dict.fromkeys(trace_id for traces in shown for trace_id in traces):
        parts = [traces[trace_id] for traces in shown if trace_id in traces]
        begin = min(int(part.get("startTimeUnixNano", 0)) for part in parts) / _NS
        spans = [spans for part in parts for spans in part.get("spanSets") or ()]
        inside = (cell.start or 0.0) <= begin <= (cell.end or 0.0)
        yield _Found(trace_id, inside, found_line(trace_id, spans))

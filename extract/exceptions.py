"""What attempts failed of, read from the trace files when somebody asks: the dataset has no words.

A line that names none of the attempts asked for is not even parsed.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extract.otlp import Attribute, plain


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception: its type and its message."""

    type: str
    message: str


class _Event(msgspec.Struct, frozen=True):
    name: str
    attributes: tuple[Attribute, ...] = ()


class _Span(msgspec.Struct, frozen=True):
    spanId: str  # noqa: N815 - the format's own names
    events: tuple[_Event, ...] = ()


class _ScopeSpans(msgspec.Struct, frozen=True):
    spans: tuple[_Span, ...]


class _ResourceSpans(msgspec.Struct, frozen=True):
    scopeSpans: tuple[_ScopeSpans, ...]  # noqa: N815


class _TracesData(msgspec.Struct, frozen=True):
    resourceSpans: tuple[_ResourceSpans, ...]  # noqa: N815


_decoder = msgspec.json.Decoder(_TracesData)


def failures(directory: Path, span_ids: Collection[str]) -> dict[str, Failure]:
    """Return the exceptions of these spans, by span id, from the trace files of a folder.

    A last line without its end is what a killed process leaves: it is skipped, as the dataset does.
    msgspec.DecodeError, naming file and line, for any other that cannot be read.
    """
    wanted = {span_id: span_id.encode() for span_id in span_ids}
    paths = sorted(directory.glob("*.jsonl")) if wanted else []
    return {span_id: failure for path in paths for span_id, failure in _of_file(path, wanted)}


def _of_file(path: Path, wanted: dict[str, bytes]) -> Iterator[tuple[str, Failure]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if b'"exception"' not in line or not line.endswith(b"\n"):
                continue
            if any(span_id in line for span_id in wanted.values()):
                yield from _of_line(line, wanted, f"{path}, line {number}")


def _of_line(line: bytes, wanted: Collection[str], where: str) -> Iterator[tuple[str, Failure]]:
    try:
        data = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(f"{where}: {error}") from None
    for span in (s for r in data.resourceSpans for scope in r.scopeSpans for s in scope.spans):
        for event in span.events:
            if event.name == "exception" and span.spanId in wanted:
                facts = plain(event.attributes)
                kind, message = (facts.get(f"exception.{n}", "") for n in ("type", "message"))
                yield span.spanId, Failure(str(kind), str(message))

"""Reads OTLP/JSON lines: just the fields that the dataset needs, and fast."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

PRODUCER = 4
CONSUMER = 5
ERROR = 2


class Value(msgspec.Struct, frozen=True):
    """An attribute's value; integers are strings in OTLP's JSON."""

    stringValue: str | None = None  # noqa: N815 - the format's own names
    intValue: str | int | None = None  # noqa: N815

    def plain(self) -> str | int:
        """Return the value as Python has it."""
        return int(self.intValue) if self.intValue is not None else self.stringValue or ""


class Attribute(msgspec.Struct, frozen=True):
    """A key and its value."""

    key: str
    value: Value


class Status(msgspec.Struct, frozen=True):
    """How the operation ended: 0 unset, 1 ok, 2 error."""

    code: int = 0


class Span(msgspec.Struct, frozen=True):
    """A span, its ids in hexadecimal, its instants in Unix nanoseconds."""

    traceId: str  # noqa: N815
    spanId: str  # noqa: N815
    name: str
    kind: int
    startTimeUnixNano: str  # noqa: N815
    endTimeUnixNano: str  # noqa: N815
    parentSpanId: str = ""  # noqa: N815
    attributes: tuple[Attribute, ...] = ()
    status: Status = Status()


class _ScopeSpans(msgspec.Struct, frozen=True):
    spans: tuple[Span, ...]


class _Resource(msgspec.Struct, frozen=True):
    attributes: tuple[Attribute, ...] = ()


class _ResourceSpans(msgspec.Struct, frozen=True):
    resource: _Resource
    scopeSpans: tuple[_ScopeSpans, ...]  # noqa: N815


class _TracesData(msgspec.Struct, frozen=True):
    resourceSpans: tuple[_ResourceSpans, ...]  # noqa: N815


type Plain = dict[str, str | int]

_decoder = msgspec.json.Decoder(_TracesData)


def read_spans(path: Path) -> Iterator[tuple[Plain, Span]]:
    """Yield each span of a file with its resource's attributes.

    A last line without its end is what a killed process leaves: it is skipped, and the audit's
    counts show what is missing. msgspec.DecodeError, naming file and line, for any other.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                data = _decoder.decode(line)
            except msgspec.DecodeError as error:
                raise msgspec.DecodeError(f"{path}, line {number}: {error}") from None
            for resource in data.resourceSpans:
                attributes = plain(resource.resource.attributes)
                for scope in resource.scopeSpans:
                    for span in scope.spans:
                        yield attributes, span


def plain(attributes: tuple[Attribute, ...]) -> Plain:
    """Return attributes as a dict."""
    return {attribute.key: attribute.value.plain() for attribute in attributes}

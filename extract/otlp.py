"""OTLP/JSON line by line: the strict reading, of just the fields that the dataset needs."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

PRODUCER = 4
CONSUMER = 5
ERROR = 2


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attribute's value; integers are strings in OTLP's JSON."""

    stringValue: str | None = None  # noqa: N815 - the format's own names
    intValue: str | int | None = None  # noqa: N815

    def __post_init__(self) -> None:
        """Take an integer that is a number all the same, as some exporters write it."""
        if isinstance(self.intValue, int):
            msgspec.structs.force_setattr(self, "intValue", str(self.intValue))

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


def plain_line(line: bytes, where: str) -> bytes:
    """Return a line with every field of its usual type and none of them missing.

    msgspec.DecodeError, naming `where`, for a line that is no TracesData.
    """
    return msgspec.json.encode(_decoded(line, where)) + b"\n"


def read_spans(path: Path) -> Iterator[Span]:
    """Yield each span of a file as an object, which takes long: for what only counts a few.

    A last line without its end is skipped. msgspec.DecodeError, naming file and line, for any
    other that is no TracesData.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                for resource in _decoded(line, f"{path}, line {number}").resourceSpans:
                    for scope in resource.scopeSpans:
                        yield from scope.spans


def _decoded(line: bytes, where: str) -> _TracesData:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(f"{where}: {error}") from None


def plain(attributes: tuple[Attribute, ...]) -> Plain:
    """Return attributes as a dict."""
    return {attribute.key: attribute.value.plain() for attribute in attributes}

"""Trace files as columns: a piece of a file at a time becomes arrays, and no span an object.

Arrow's JSON reader does what costs time, outside of Python's lock, so that threads share the work.
It is more lenient than the format, and knows one type for each field: a piece that it refuses, or
that leaves any doubt, is read line by line by `extract.otlp`, which says what is wrong with a line
or writes it in the one form that Arrow expects.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, json

from extract import otlp

_PIECE_BYTES = 16 << 20

type Positions = NDArray[np.int64]

_VALUE = pa.struct([("stringValue", pa.string()), ("intValue", pa.string())])
_ATTRIBUTES = pa.list_(pa.struct([("key", pa.string()), ("value", _VALUE)]))
_SPAN = pa.struct([
    ("traceId", pa.string()), ("spanId", pa.string()), ("kind", pa.int64()),
    ("startTimeUnixNano", pa.string()), ("endTimeUnixNano", pa.string()),
    ("attributes", _ATTRIBUTES), ("status", pa.struct([("code", pa.int64())])),
])  # fmt: skip
_RESOURCE_SPANS = pa.struct([
    ("resource", pa.struct([("attributes", _ATTRIBUTES)])),
    ("scopeSpans", pa.list_(pa.struct([("spans", pa.list_(_SPAN))]))),
])  # fmt: skip
_SCHEMA = pa.schema([("resourceSpans", pa.list_(_RESOURCE_SPANS))])
_REQUIRED = ("traceId", "spanId", "kind", "startTimeUnixNano", "endTimeUnixNano")


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a file, from one byte to another."""

    path: Path
    start: int
    end: int


def pieces(path: Path) -> Iterator[Piece]:
    """Divide a file into pieces of about 16 MiB.

    A last line without its end is what a killed process leaves: it is in no piece, and the audit's
    counts show what is missing.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 0
        while start < size:
            file.seek(min(start + _PIECE_BYTES, size) - 1)
            if not file.readline().endswith(b"\n"):
                yield from _last(path, start, size)
                return
            yield Piece(path, start, file.tell())
            start = file.tell()


def _last(path: Path, start: int, size: int) -> Iterator[Piece]:
    with path.open("rb") as file:
        file.seek(start)
        whole = file.read(size - start).rfind(b"\n") + 1
    if whole:
        yield Piece(path, start, start + whole)


class _Doubtful(Exception):  # noqa: N818 - no error: it says that another way must be gone
    """Arrow's reader left a doubt about what it read."""


@dataclass(frozen=True)
class Spans:
    """The spans of a piece: arrays of one length, and the attributes of all of them in a row.

    `resources` holds the attributes of each resource, and `resource` the place of each span's.
    """

    fields: Any
    resources: Sequence[otlp.Plain]
    resource: Positions
    owner: Positions
    keys: Any
    strings: Any
    integers: Any

    def __len__(self) -> int:
        return len(self.fields)

    def field(self, name: str) -> Any:
        """Return a field of every span."""
        return compute.struct_field(self.fields, name)

    @cached_property
    def _codes(self) -> tuple[dict[str, int], Positions]:
        encoded = self.keys.dictionary_encode()
        names = {name: code for code, name in enumerate(encoded.dictionary.to_pylist())}
        return names, encoded.indices.to_numpy()

    def places(self, key: str) -> Positions:
        """Return where each span's attribute of that key stands, -1 where it has none."""
        found = np.full(len(self), -1, dtype=np.int64)
        names, codes = self._codes
        if key in names:
            at = np.flatnonzero(codes == names[key])
            found[self.owner[at]] = at  # of two of the same key, the last counts
        return found

    def text(self, key: str, rows: Positions) -> Any:
        """Return a string attribute of some spans; an integer is written as one."""
        at = _indices(self.places(key)[rows])
        return compute.coalesce(self.strings.take(at), self.integers.take(at))

    def number(self, key: str, rows: Positions) -> Any:
        """Return an integer attribute of some spans."""
        return self.integers.take(_indices(self.places(key)[rows])).cast(pa.int64())


def _indices(places: Positions) -> Any:
    return pa.array(places, mask=places < 0)


def read(piece: Piece) -> Spans:
    """Read the spans of a piece. msgspec.DecodeError, naming file and line, for a damaged one."""
    with piece.path.open("rb") as file:
        file.seek(piece.start)
        lines = file.read(piece.end - piece.start)
    try:
        return _spans(lines)
    except (_Doubtful, pa.ArrowInvalid):
        return _spans(b"".join(_plainly(piece, lines)))


def _plainly(piece: Piece, lines: bytes) -> Iterator[bytes]:
    with piece.path.open("rb") as file:
        before = file.read(piece.start).count(b"\n")
    for number, line in enumerate(BytesIO(lines), start=before + 1):
        yield otlp.plain_line(line, f"{piece.path}, line {number}")


def _spans(lines: bytes) -> Spans:
    table = json.read_json(
        pa.BufferReader(lines),
        read_options=json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=json.ParseOptions(
            explicit_schema=_SCHEMA, unexpected_field_behavior="ignore"
        ),
    )
    if table.num_rows != lines.count(b"\n") or not _is_text(lines):
        raise _Doubtful
    per_line = _whole(table["resourceSpans"].combine_chunks())
    resource_spans = _whole(per_line.flatten())
    scopes, of_resource = _below(compute.struct_field(resource_spans, "scopeSpans"))
    spans, of_scope = _below(compute.struct_field(scopes, "spans"))
    for name in _REQUIRED:
        _whole(compute.struct_field(spans, name))
    attributes = compute.struct_field(spans, "attributes")
    owner = compute.list_parent_indices(attributes).to_numpy()
    keys, values = _pairs(attributes.flatten())
    return Spans(
        fields=spans,
        resources=_resources(_whole(compute.struct_field(resource_spans, "resource"))),
        resource=of_resource[of_scope],
        owner=owner,
        keys=keys,
        strings=compute.struct_field(values, "stringValue"),
        integers=compute.struct_field(values, "intValue"),
    )


def _is_text(lines: bytes) -> bool:
    """Whether it is UTF-8, which Arrow takes on trust."""
    try:
        return lines.isascii() or bool(lines.decode())
    except UnicodeDecodeError:
        return False


def _below(lists: Any) -> tuple[Any, Positions]:
    """Return the members of all lists in a row, and of which list each is."""
    parents = compute.list_parent_indices(_whole(lists)).to_numpy()
    return _whole(lists.flatten()), parents


def _pairs(attributes: Any) -> tuple[Any, Any]:
    keys, values = (compute.struct_field(_whole(attributes), name) for name in ("key", "value"))
    return _whole(keys), _whole(values)


def _whole(array: Any) -> Any:
    """Return it; what the format requires is in doubt where it is missing."""
    if array.null_count:
        raise _Doubtful
    return array


def _resources(resources: Any) -> list[otlp.Plain]:
    lists = compute.struct_field(resources, "attributes")
    owner = compute.list_parent_indices(lists).to_pylist()
    keys, values = _pairs(lists.flatten())
    found: list[otlp.Plain] = [{} for _ in range(len(resources))]
    for place, key, value in zip(owner, keys.to_pylist(), values.to_pylist(), strict=True):
        number = value["intValue"]
        found[place][key] = value["stringValue"] or "" if number is None else int(number)
    return found

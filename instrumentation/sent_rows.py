"""Tasks that were sent as rows, which nearly all are that no other task or request sent."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from instrumentation.finished import Labels
from instrumentation.records import SENT, Record
from instrumentation.rows import (
    NINETEEN_DIGITS,
    UUID,
    Kind,
    Numbers,
    Rows,
    Table,
    are_plain,
    groups,
    texts,
)

_TRACEPARENT = 55
_FIELDS = np.dtype([
    ("kind", np.int32), ("scheduled", np.int64), ("sent", np.int64), ("accepted", np.int64),
    ("task_id", np.uint8, UUID), ("traceparent", np.uint8, _TRACEPARENT),
])  # fmt: skip
_pack = struct.Struct(f"=iqqq{UUID}s{_TRACEPARENT}s").pack
SIZE = _FIELDS.itemsize
#: Where a traceparent has its parts.
TRACE_ID, SPAN_ID = slice(3, 35), slice(36, 52)


def write(record: Any, kinds: Numbers) -> bytes | None:
    """Write a SENT record as a row; None where it has more to tell, or ids of another length."""
    _, task, queue, task_id, traceparent, parent, scheduled, sent, accepted, error = record
    if parent or error is not None or len(task_id) != UUID or traceparent[53:] != "00":
        return None
    try:
        return _pack(
            kinds[task, queue], scheduled, sent, accepted,
            task_id.encode("ascii"), traceparent.encode("ascii"),
        )  # fmt: skip
    except (UnicodeEncodeError, struct.error):
        return None


class SentRows(Rows):
    """Some rows, with instants of 19 digits."""

    def by_labels(self) -> Iterator[tuple[Labels, "SentRows"]]:
        """Yield those of each task and queue."""
        for kind, members in groups(self.table["kind"]):
            yield self.kinds[kind], self.where(members)

    def records(self) -> list[Record]:
        """Return them one by one."""
        return list(_records(self.table, self.kinds))


def read(packed: bytes, kinds: Numbers) -> tuple[SentRows, list[Record]]:
    """Read rows; what is unlike the others comes as records."""
    table, names = np.frombuffer(packed, _FIELDS), list(kinds)
    scheduled = table["scheduled"]
    good = (
        ((scheduled == 0) | (scheduled >= NINETEEN_DIGITS))
        & (table["sent"] >= NINETEEN_DIGITS)
        & (table["accepted"] >= NINETEEN_DIGITS)
        & are_plain(table["task_id"])
    )
    if good.all():
        return SentRows(table, names), []
    return SentRows(table[good], names), list(_records(table[~good], names))


def _records(table: Table, kinds: Sequence[Kind]) -> Iterator[Record]:
    instants = (table[name].tolist() for name in ("kind", "scheduled", "sent", "accepted"))
    ids = (texts(np.ascontiguousarray(table[name])) for name in ("task_id", "traceparent"))
    for kind, scheduled, sent, accepted, task_id, traceparent in zip(*instants, *ids, strict=True):
        task, queue = kinds[kind]
        yield (SENT, task, queue, task_id, traceparent, "", scheduled, sent, accepted, None)

"""Attempts that went well as rows, which is what nearly all attempts of a worker are."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from instrumentation import carrier
from instrumentation.attempt import Attempt
from instrumentation.finished import Batch, Stages
from instrumentation.ids import random_digits
from instrumentation.records import DONE, SUCCESS
from instrumentation.rows import (
    NINETEEN_DIGITS,
    UUID,
    Kind,
    Numbers,
    Rows,
    Table,
    are_plain,
    distinct,
    numbers,
    text,
    texts,
)

_SPAN_ID = 16
_FIELDS = np.dtype([
    ("kind", np.int32), ("pid", np.int32), ("number", np.int64), ("counted", np.bool_),
    ("begins", np.bool_),
    ("received", np.int64), ("started", np.int64), ("completed", np.int64), ("acked", np.int64),
    ("task_id", np.uint8, UUID), ("span_id", np.uint8, _SPAN_ID),
    ("carrier", np.uint8, carrier.LENGTH),
])  # fmt: skip
_pack = struct.Struct(f"=iiq??qqqq{UUID}s{_SPAN_ID}s{carrier.LENGTH}s").pack
SIZE = _FIELDS.itemsize
_TEXTS = ("task_id", "carrier", "span_id")
_NUMBERS = [name for name in _FIELDS.fields or () if name not in {*_TEXTS, "begins"}]
_NO_INSTANT = carrier.NO_INSTANT.encode()
#: Stands for a sender that wrote no header: the trace of its task begins where the row is read.
_NO_HEADER = carrier.NO_SENDER.encode()
_NO_INSTANTS = 3 * (b";" + _NO_INSTANT)
# What is known that need not be.
HAS_RECEIVED, HAS_ACKED, HAS_SCHEDULED, HAS_SENT, HAS_SENDER = 1, 2, 4, 8, 16


def write(attempt: Attempt, kinds: Numbers) -> bytes | None:
    """Write an attempt as a row; None where it has more to tell, or ids of another length.

    More to tell has one that is sampled, or that its sender wanted to wait.
    """
    if (
        attempt.error is not None
        or attempt.outcome != SUCCESS
        or attempt.acked < 0
        or len(attempt.task_id) != UUID
    ):
        return None
    try:
        carried, begins = attempt.carrier_bytes, False
        if not carried:
            carried = attempt.carrier.encode("ascii")
            begins = not carried or carried.startswith(b";")
            if begins:
                carried = _NO_HEADER + (carried or _NO_INSTANTS)
        if (
            len(carried) != carrier.LENGTH
            or not carried.isascii()
            or carried[carrier.SAMPLED] != carrier.ZERO
            or carried[carrier.DUE] != _NO_INSTANT
        ):
            return None
        return _pack(
            kinds[attempt.task, attempt.queue], attempt.pid, attempt.number, attempt.counted,
            begins, attempt.received, attempt.started, attempt.completed, attempt.acked,
            attempt.task_id.encode("ascii"), attempt.span_id.encode("ascii"), carried,
        )  # fmt: skip
    except (UnicodeEncodeError, struct.error):
        return None


@dataclass(frozen=True, eq=False)
class DoneRows(Rows):
    """Some rows, of which each has a readable carrier and instants of 19 digits."""

    #: What each has of what need not be known.
    known: NDArray[np.int64]

    def where(self, selected: Any) -> Self:
        """Return some of them."""
        return replace(super().where(selected), known=self.known[selected])

    def batch(self) -> Batch:
        """Return what metrics need of them."""
        scheduled, sent, due = carrier.instants(self.table["carrier"])
        stages = Stages(
            scheduled,
            sent,
            due,
            received=self.instants("received"),
            started=self.instants("started"),
            completed=self.instants("completed"),
            acked=self.instants("acked"),
            counted=self.table["counted"],
        )
        kinds, codes = distinct(self.table["kind"])
        labels = [(*self.kinds[kind], SUCCESS) for kind in kinds]
        return Batch(labels, codes, stages, 0, self._carrier)

    def _carrier(self, place: int) -> str:
        return text(self.table["carrier"][place])

    def attempts(self) -> list[Attempt]:
        """Return them one by one."""
        return list(_attempts(self.table, self.kinds))


def read(packed: bytes, kinds: Numbers) -> tuple[DoneRows, list[Attempt]]:
    """Read rows; what is unlike the others comes as attempts."""
    table, names = np.frombuffer(packed, _FIELDS), list(kinds)
    if table["begins"].any():
        table = _with_new_traces(table)
    known = _known(table, np.ascontiguousarray(table["carrier"]))
    good = known >= 0
    if good.all():
        return DoneRows(table, names, known), []
    return DoneRows(table[good], names, known[good]), list(_attempts(table[~good], names))


def _with_new_traces(table: Table) -> Table:
    """Return rows in which those without a trace have one."""
    table, begin = table.copy(), table["begins"]
    digits = random_digits(32 * int(begin.sum())).encode()
    table["carrier"][begin, carrier.TRACE_ID] = np.frombuffer(digits, np.uint8).reshape(-1, 32)
    return table


def read_attempts(attempts: Iterable[Attempt]) -> tuple[DoneRows, list[Attempt]]:
    """Make rows of those attempts that can be."""
    kinds: Numbers = numbers()
    packed, others = bytearray(), []
    for attempt in attempts:
        if row := write(attempt, kinds):
            packed += row
        else:
            others.append(attempt)
    rows, unlike = read(bytes(packed), kinds)
    return rows, others + unlike


def _known(table: Table, carriers: carrier.Table) -> NDArray[np.int64]:
    """Tell what each has of what need not be known; -1 where a span is not like the others'."""
    received, acked = table["received"], table["acked"]
    known = {
        HAS_RECEIVED: (received >= NINETEEN_DIGITS, received == 0),
        HAS_ACKED: (acked >= NINETEEN_DIGITS, acked == 0),
        HAS_SCHEDULED: _written(carriers[:, carrier.SCHEDULED]),
        HAS_SENT: _written(carriers[:, carrier.SENT]),
        HAS_SENDER: (carrier.have_sender(carriers), np.True_),
    }
    plain = (
        carrier.are_ours(carriers)
        & np.logical_and.reduce([yes | no for yes, no in known.values()])
        & (table["started"] >= NINETEEN_DIGITS)
        & (table["completed"] >= NINETEEN_DIGITS)
        & are_plain(table["task_id"])
    )
    return np.where(plain, sum(bit * yes for bit, (yes, _) in known.items()), -1)


def _written(instants: carrier.Table) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell of each instant whether it has 19 digits, and whether it is not known."""
    return instants[:, 0] != carrier.ZERO, carrier.each(instants == carrier.ZERO)


def _attempts(table: Table, kinds: Sequence[Kind]) -> Iterator[Attempt]:
    columns = (table[name].tolist() for name in _NUMBERS)
    ids = (texts(np.ascontiguousarray(table[name])) for name in _TEXTS)
    for (kind, pid, number, counted, received, started, completed, acked,
         task_id, carried, span_id) in zip(*columns, *ids, strict=True):  # fmt: skip
        attempt = Attempt.heard((
            DONE, *kinds[kind], SUCCESS, task_id, number, carried, span_id.rstrip("\0"), pid,
            received, started, completed, acked, None, counted,
        ))  # fmt: skip
        attempt.recorded = True
        yield attempt

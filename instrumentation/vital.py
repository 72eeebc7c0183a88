"""Which spans survive when a receiver cannot take them all: failures, and the slowest tasks."""

from collections.abc import Sequence
from heapq import nlargest
from typing import Any

from instrumentation.records import SENT, SUCCESS

_SLOWEST = 20  # of each drain, which is a second or two

type Spanned = tuple[Any, ...]


def split(records: Sequence[Spanned]) -> tuple[list[Spanned], list[Spanned]]:
    """Split SENT records and finished rows into those that must survive and the others."""
    slowest = {id(row) for row in nlargest(_SLOWEST, records, key=_end_to_end)}
    vital: list[Spanned] = []
    others: list[Spanned] = []
    for record in records:
        (vital if id(record) in slowest or _failed(record) else others).append(record)
    return vital, others


def _failed(record: Spanned) -> bool:
    if record[0] == SENT:
        return record[-1] is not None
    return bool(record[3] != SUCCESS)


def _end_to_end(record: Spanned) -> int:
    if record[0] == SENT:
        return 0
    *_, scheduled, sent, due, received, started, completed, _ = record
    return int(completed - (scheduled or max(sent, due) or received or started))

"""The spans of many attempts at once: a template is written once, and numpy fills in its columns.

Most attempts of a worker went well and differ only in ids and instants, each of one length (the id
of a task has the 36 characters of a UUID). So written a span costs less than half. The template
comes from whoever writes single spans: there is one encoding and not two.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instrumentation import carrier
from instrumentation.attempt import Attempt
from instrumentation.done_rows import (
    HAS_ACKED,
    HAS_RECEIVED,
    HAS_SCHEDULED,
    HAS_SENDER,
    HAS_SENT,
    DoneRows,
)
from instrumentation.finished import Facts, Instants
from instrumentation.ids import random_digits
from instrumentation.records import DONE, SENT, SUCCESS, Record
from instrumentation.rows import NINETEEN_DIGITS, UUID, Rows, groups
from instrumentation.sent_rows import SPAN_ID, TRACE_ID, SentRows

type Characters = NDArray[np.uint8]
#: The characters of spans, a row each.
type Spans = Characters

_FEW = 50  # which are not worth it
_POWERS = 10 ** np.arange(1, 11)
_FOUR_DIGITS = np.array([f"{number:04}" for number in range(10_000)], "S4").view(np.uint32)

# What stands in a template for what is filled in.
_TRACE_ID, _SPAN_ID, _SENDER, _TASK_ID = "t" * 32, "s" * 16, "p" * 16, "i" * UUID
_SCHEDULED, _SENT_AT, _ACCEPTED, _RECEIVED, _STARTED, _COMPLETED, _ACKED = (
    9 * NINETEEN_DIGITS + number for number in range(7)
)


def fill_done(rows: DoneRows, write: Callable[[Facts], str]) -> tuple[list[Spans], list[Attempt]]:
    """Return spans as `write` writes them, of one length in each table, with a comma at the end.

    Also return the attempts that are too few of their kind: `write` must see these one by one.
    """
    tables, few = _fill(rows, _alike(rows), lambda some: _done(some, write))
    return tables, [attempt for some in few for attempt in some.attempts()]


def _alike(rows: DoneRows) -> Iterator[Any]:
    """Yield an index for each group of attempts that differ in ids and instants only.

    In the ids of their processes too, where these have as many digits: a pool has many.
    """
    lengths = np.searchsorted(_POWERS, rows.table["pid"], side="right")
    keys = np.stack([lengths, rows.table["kind"], rows.table["number"], rows.known], 1)
    if not len(keys):
        return
    if (keys == keys[0]).all():  # as is usual, and quicker
        yield slice(None)
        return
    _, numbers = np.unique(keys, axis=0, return_inverse=True)
    for _, members in groups(numbers.reshape(-1)):
        yield members


def fill_sent(rows: SentRows, write: Callable[[Record], str]) -> tuple[list[Spans], list[Record]]:
    """Return the spans of their senders in the same way."""
    kind, scheduled = rows.table["kind"].astype(np.int64), rows.table["scheduled"] > 0
    alike = (members for _, members in groups((kind << 1) | scheduled))
    tables, few = _fill(rows, alike, lambda some: _sent(some, write))
    return tables, [record for some in few for record in some.records()]


def _fill[Some: Rows](
    rows: Some, alike: Iterable[Any], table_of: Callable[[Some], Spans | None]
) -> tuple[list[Spans], list[Some]]:
    """Make a table of each group of rows; also return the groups that none is made of."""
    tables, few = [], []
    for members in alike:
        some = rows.where(members)
        table = table_of(some) if len(some) > _FEW else None
        if table is None:
            few.append(some)
        else:
            tables.append(table)
    return tables, few


def _done(rows: DoneRows, write: Callable[[Facts], str]) -> Spans | None:
    first, carriers, known = rows.table[0], rows.table["carrier"], int(rows.known[0])
    task, queue = rows.kinds[first["kind"]]
    pids = rows.table["pid"]
    pid, several = str(first["pid"]), bool((pids != first["pid"]).any())
    if several:
        pid = "8" * len(pid)
    columns = {
        _TRACE_ID: carriers[:, carrier.TRACE_ID],
        _SPAN_ID: _span_ids(rows.table["span_id"]),
        _TASK_ID: rows.table["task_id"],
        str(_STARTED): _digits(rows.instants("started")),
        str(_COMPLETED): _digits(rows.instants("completed")),
    }
    if several:
        columns[pid] = _last_digits(pids, len(pid))
    if known & HAS_SENDER:
        columns[_SENDER] = carriers[:, carrier.SENDER]
    if known & HAS_SCHEDULED:
        columns[str(_SCHEDULED)] = carriers[:, carrier.SCHEDULED]
    if known & HAS_SENT:
        columns[str(_SENT_AT)] = carriers[:, carrier.SENT]
    if known & HAS_RECEIVED:
        columns[str(_RECEIVED)] = _digits(rows.instants("received"))
    if known & HAS_ACKED:
        columns[str(_ACKED)] = _digits(rows.instants("acked"))
    instants = (_SCHEDULED, _SENT_AT, 0, _RECEIVED, _STARTED, _COMPLETED, _ACKED)
    facts = (
        DONE, task, queue, SUCCESS, _TASK_ID, first["number"], _TRACE_ID, _SPAN_ID,
        _SENDER if known & HAS_SENDER else "", "00", pid, None,
        *(instant if str(instant) in columns else 0 for instant in instants),
    )  # fmt: skip
    return _filled(write(facts), columns, len(rows))


def _sent(rows: SentRows, write: Callable[[Record], str]) -> Spans | None:
    first, headers = rows.table[0], rows.table["traceparent"]
    task, queue = rows.kinds[first["kind"]]
    columns = {
        _TRACE_ID: headers[:, TRACE_ID],
        _SPAN_ID: headers[:, SPAN_ID],
        _TASK_ID: rows.table["task_id"],
        str(_SENT_AT): _digits(rows.instants("sent")),
        str(_ACCEPTED): _digits(rows.instants("accepted")),
    }
    if first["scheduled"]:
        columns[str(_SCHEDULED)] = _digits(rows.instants("scheduled"))
    record = (
        SENT, task, queue, _TASK_ID, f"00-{_TRACE_ID}-{_SPAN_ID}-00", "",
        _SCHEDULED if first["scheduled"] else 0, _SENT_AT, _ACCEPTED, None,
    )  # fmt: skip
    return _filled(write(record), columns, len(rows))


def _filled(template: str, columns: Mapping[str, Characters], count: int) -> Spans | None:
    """Fill a template in; None where the name of a task or a queue looks like what is filled in."""
    table = np.empty((count, len(template) + 1), np.uint8)
    table[:] = np.frombuffer(f"{template},".encode(), np.uint8)
    for text, values in columns.items():
        begin = template.find(text)
        if begin < 0 or begin != template.rfind(text):
            return None
        table[:, begin : begin + len(text)] = values
    return table


def _span_ids(known: Characters) -> Characters:
    """Return the ids of spans, and make those that nobody asked for while the task ran."""
    made = np.frombuffer(random_digits(known.size).encode(), np.uint8).reshape(known.shape)
    return np.where(known == 0, made, known)


def _digits(instants: Instants) -> Characters:
    """Write instants of 19 digits."""
    parts = np.empty((len(instants), 5), np.uint32)
    for column in (4, 3, 2, 1):
        higher = instants // 10_000
        parts[:, column] = _FOUR_DIGITS[instants - higher * 10_000]
        instants = higher
    parts[:, 0] = _FOUR_DIGITS[instants]
    return parts.view(np.uint8).reshape(-1, 20)[:, 1:]


def _last_digits(numbers: NDArray[np.int32], count: int) -> Characters:
    """Write the last digits of each number."""
    places = 10 ** np.arange(count - 1, -1, -1)
    return (numbers[:, None] // places % 10 + ord("0")).astype(np.uint8)

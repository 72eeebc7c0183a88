"""The spans of many attempts at once: a template is written once, and numpy fills in its columns.

Most attempts of a worker went well and differ only in ids and instants, each of one length. Written
this way a span costs less than half. The template comes from whoever writes single spans: there is
one encoding and not two.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from instrumentation import carrier
from instrumentation.attempt import Attempt
from instrumentation.finished import Instants, Row, instants, span_ids
from instrumentation.records import DONE, SUCCESS

type Table = NDArray[np.uint8]

_FEW = 50  # which are not worth it
_19_DIGITS = 10**18  # what an instant has from 2001 to 2286
_ZERO = ord("0")
_PLAIN = re.compile(r"[ !#-\[\]-\x7f]*")  # what JSON writes as it is
_FOUR_DIGITS = np.array([f"{number:04}" for number in range(10_000)], "S4").view(np.uint32)

# What stands in a template for what is filled in.
_TRACE_ID, _SPAN_ID, _SENDER, _TASK_ID = "t" * 32, "s" * 16, "p" * 16, "i"
_SCHEDULED, _SENT, _RECEIVED, _STARTED, _COMPLETED, _ACKED = (9 * _19_DIGITS + n for n in range(6))
# Which of the instants are known that need not be.
_HAS_RECEIVED, _HAS_ACKED, _HAS_SCHEDULED = 1, 2, 4


def fill(
    attempts: Sequence[Attempt], write: Callable[[Row], str]
) -> tuple[list[Table], list[Attempt]]:
    """Return spans as `write` writes them, of one length in each table, with a comma at the end.

    Also return the attempts that are unlike the others, which `write` must see one by one.
    """
    carriers = carrier.table([a.carrier for a in attempts]) if len(attempts) > _FEW else None
    if carriers is None:
        return [], list(attempts)
    times = np.array([instants(attempts, name) for name in _TIMES])
    alike: defaultdict[tuple[str, str, int, int, int, int], list[int]] = defaultdict(list)
    others = []
    for index, (a, known) in enumerate(zip(attempts, _known(carriers, *times), strict=True)):
        if known < 0 or a.error is not None or a.outcome != SUCCESS:
            others.append(a)
        else:
            alike[a.task, a.queue, a.number, a.pid, len(a.task_id), known].append(index)
    tables = []
    for (task, queue, number, pid, length, known), members in alike.items():
        some = [attempts[index] for index in members]
        row = (DONE, task, queue, SUCCESS, _TASK_ID * length, number, _TRACE_ID, _SPAN_ID, _SENDER,
               "00", pid, None, *_placeholders(known))  # fmt: skip
        table = _table(write(row), some, carriers[members], times[:, members])
        if table is None:
            others += some
        else:
            tables.append(table)
    return tables, others


_TIMES = ("received", "started", "completed", "acked")


def _known(
    carriers: Table, received: Instants, started: Instants, completed: Instants, acked: Instants
) -> list[int]:
    """Tell which instants each attempt has; -1 for one whose span is not like the others'."""
    scheduled = carriers[:, carrier.SCHEDULED]
    known = {
        _HAS_RECEIVED: (received >= _19_DIGITS, received == 0),
        _HAS_ACKED: (acked >= _19_DIGITS, acked == 0),
        _HAS_SCHEDULED: (scheduled[:, 0] != _ZERO, (scheduled == _ZERO).all(axis=1)),
    }
    plain = (
        (carriers[:, carrier.SAMPLED] == _ZERO)
        & (carriers[:, carrier.SENT.start] != _ZERO)
        & (carriers[:, carrier.DUE] == _ZERO).all(axis=1)
        & np.logical_and.reduce([yes | no for yes, no in known.values()])
        & (started >= _19_DIGITS)
        & (completed >= _19_DIGITS)
    )
    bits = sum(bit * yes for bit, (yes, _) in known.items())
    numbers: list[int] = np.where(plain, bits, -1).tolist()
    return numbers


def _placeholders(known: int) -> tuple[int, ...]:
    return (
        _SCHEDULED if known & _HAS_SCHEDULED else 0, _SENT, 0,
        _RECEIVED if known & _HAS_RECEIVED else 0, _STARTED, _COMPLETED,
        _ACKED if known & _HAS_ACKED else 0,
    )  # fmt: skip


def _table(
    template: str, attempts: Sequence[Attempt], carriers: Table, times: NDArray[np.int64]
) -> Table | None:
    """Fill the template in; None where that cannot be done."""
    count = len(attempts)
    task_ids = "".join([a.task_id for a in attempts])
    if count <= _FEW or not _PLAIN.fullmatch(task_ids):
        return None
    columns: dict[str, Table] = {
        _TRACE_ID: carriers[:, carrier.TRACE_ID],
        _SENDER: carriers[:, carrier.SENDER],
        _SPAN_ID: _bytes("".join(span_ids(attempts)), count),
        _TASK_ID * len(attempts[0].task_id): _bytes(task_ids, count),
        str(_SCHEDULED): carriers[:, carrier.SCHEDULED],
        str(_SENT): carriers[:, carrier.SENT],
    }
    for placeholder, column in zip((_RECEIVED, _STARTED, _COMPLETED, _ACKED), times, strict=True):
        columns[str(placeholder)] = _digits(column)
    table = np.empty((count, len(template) + 1), np.uint8)
    table[:] = np.frombuffer(f"{template},".encode(), np.uint8)
    for text, values in columns.items():
        first, last = template.find(text), template.rfind(text)
        if first != last or not text:
            return None  # the name of a task or a queue looks like it
        if first >= 0:  # it is an instant that these have
            table[:, first : first + len(text)] = values
    return table


def _bytes(text: str, count: int) -> Table:
    return np.frombuffer(text.encode(), np.uint8).reshape(count, -1)


def _digits(instants: Instants) -> Table:
    """Write instants of 19 digits."""
    parts = np.empty((len(instants), 5), np.uint32)
    for column in (4, 3, 2, 1):
        higher = instants // 10_000
        parts[:, column] = _FOUR_DIGITS[instants - higher * 10_000]
        instants = higher
    parts[:, 0] = _FOUR_DIGITS[instants]
    return parts.view(np.uint8).reshape(-1, 20)[:, 1:]

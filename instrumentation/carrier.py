"""A carrier: what a message carries, as one string, `<traceparent>;<scheduled>;<sent>;<due>`.

That is cheaper to serialize and to hand on than a mapping. Before a task runs, nothing of it is
read but the sampled flag; the rest is read a batch at a time when the records are drained. *Due* is
until when the sender wanted the task to wait. Zeros stand for an instant that is not known.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from instrumentation.ids import NO_IDS, SpanIds, new_trace_id

#: Stands for a carrier that is not even text.
UNREADABLE = "?"

_SAMPLED_FLAGS = frozenset(f"{flags:02x}" for flags in range(256) if flags & 1)
# Version, trace id, parent id, flags. W3C calls version ff and ids of zero invalid.
_HEADER = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
# A trace that began with a task whose message named no sender.
_BEGUN = re.compile("00-(?!0{32})([0-9a-f]{32})-0{16}-00")
_INSTANT = re.compile("[0-8]?[0-9]{1,18}")  # below 9e18: it fits into 63 bits
_INSTANTS = 3

# Carriers of our own senders are all of one length, so that numpy reads a batch of them as a table.
#: The header of a message without sender.
NO_SENDER = NO_IDS.traceparent()
NO_INSTANT = "0" * 19  # as many digits as an instant has from 2001 to 2286
#: x is a hexadecimal digit and d a decimal one.
_FORM = f"dd-{'x' * 32}-{'x' * 16}-dd" + 3 * f";{'d' * 19}"
#: Of a carrier of our own senders.
LENGTH = len(_FORM)
#: Where its parts stand.
TRACE_ID, SENDER, SAMPLED = slice(3, 35), slice(36, 52), 54
SCHEDULED, SENT, DUE = slice(56, 75), slice(76, 95), slice(96, 115)
# Each character has bits for what it may stand for: a decimal digit for a hexadecimal one too.
_BITS = {"0123456789": 3, "abcdef": 2, "-": 4, ";": 8}
_KINDS = bytes(sum(bits for of, bits in _BITS.items() if chr(code) in of) for code in range(256))
_WANTED = np.array([{"d": 1, "x": 2, "-": 4, ";": 8}[kind] for kind in _FORM], dtype=np.uint8)
_NO_ID = np.frombuffer(b"0" * 8, np.uint64)
#: Digits as they stand in bytes.
ZERO, _ONE, _NINE = b"019"
_NEWLINE = ord("\n")
_POWERS = 10 ** np.arange(18, -1, -1, dtype=np.int64)
_LINE = LENGTH + 1

#: The characters of carriers that are of this form, a row each.
type Table = NDArray[np.uint8]


def pack(traceparent: str, scheduled: int, sent: int, due: int = 0) -> str:
    """Write a carrier."""
    return f"{traceparent};{scheduled or NO_INSTANT};{sent or NO_INSTANT};{due or NO_INSTANT}"


def is_sampled(carrier: str) -> bool:
    """Tell whether the sender wants the task to run inside a live span."""
    return carrier[53:55] in _SAMPLED_FLAGS


def parse_traceparent(header: object) -> SpanIds | None:
    """Read a W3C traceparent; None when it is absent or not one."""
    match = _HEADER.match(header) if isinstance(header, str) else None
    if match is None or (match.end() != len(match.string) and not _continues(match)):
        return None
    trace_id, span_id, flags = match.groups()
    return SpanIds(trace_id, span_id, flags in _SAMPLED_FLAGS)


def _continues(match: re.Match[str]) -> bool:
    """Versions after 00 may add fields; 00 has none."""
    return not match.string.startswith("00") and match.string[match.end()] == "-"


def begin_trace(header: str = "") -> SpanIds:
    """Stand for the sender of a message without context: a new trace, unsampled, no span.

    What it returned for the message before, as a header, gives the same trace again.
    """
    begun = _BEGUN.fullmatch(header)
    trace_id = begun[1] if begun else new_trace_id()
    return SpanIds(trace_id, "0" * 16, sampled=False)


class Contexts(NamedTuple):
    """The trace context in carriers, in columns. Who sent none begins a trace, unsampled."""

    trace_ids: Sequence[str]
    senders: Sequence[str]
    flags: Sequence[str]


def read_contexts(carriers: Sequence[str]) -> Contexts:
    """Read the trace context of many messages."""
    text = "\n".join([*carriers, ""])
    table = _table(text, len(carriers))
    if table is None:
        return Contexts(*zip(*map(_context, carriers), strict=True))
    flags = table[:, SAMPLED] == _ONE
    starts = range(0, len(text), _LINE)
    return Contexts(
        trace_ids=[text[at + 3 : at + 35] for at in starts],
        senders=[text[at + 36 : at + 52] for at in starts],
        flags=["01" if flag else "00" for flag in flags.tolist()],
    )


def read_instants(carriers: Sequence[str]) -> tuple[NDArray[np.int64], int]:
    """Read the instants of many messages, in Unix nanoseconds: rows of scheduled, sent and due.

    Also return how many carriers could not be read, or only in part.
    """
    table = _table("\n".join([*carriers, ""]), len(carriers))
    if table is None:
        values, right = zip(*map(_instants, carriers), strict=True)
        return np.array(values, dtype=np.int64).T, right.count(False)
    return instants(table), 0


def instants(table: Table) -> NDArray[np.int64]:
    """Return rows of scheduled, sent and due, in Unix nanoseconds."""
    digits = np.stack([table[:, where] for where in (SCHEDULED, SENT, DUE)]) - ZERO
    return digits @ _POWERS


def are_ours(table: Table) -> NDArray[np.bool_]:
    """Tell of each row whether it is a carrier as we write it.

    That is: every byte may stand where it does, the trace's id is not zero and no instant too late.
    """
    kinds = np.frombuffer(table.tobytes().translate(_KINDS), np.uint8).reshape(-1, LENGTH)
    ours: NDArray[np.bool_] = (
        each(kinds & _WANTED)
        & each(table[:, (0, 1, SAMPLED - 1)] == ZERO)
        & (table[:, SAMPLED] <= _ONE)
        & _are_ids(table[:, TRACE_ID])
        & each(table[:, (SCHEDULED.start, SENT.start, DUE.start)] < _NINE)  # within 63 bits
    )
    return ours


def have_sender(table: Table) -> NDArray[np.bool_]:
    """Tell of each row whether it names the span that sent it; else a trace began there."""
    return _are_ids(table[:, SENDER])


def _are_ids(digits: Table) -> NDArray[np.bool_]:
    words = np.ascontiguousarray(digits).view(np.uint64)
    ids: NDArray[np.bool_] = (words != _NO_ID).any(axis=1)
    return ids


def each(good: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell of each row whether all of it is true."""
    if good.all():  # as is usual, and quicker
        return np.ones(len(good), dtype=np.bool_)
    every: NDArray[np.bool_] = good.all(axis=1)
    return every


def _table(lines: str, count: int) -> Table | None:
    """Read carriers, a line each; None unless all are as our own senders write them."""
    if not lines.isascii() or len(lines) != count * _LINE:
        return None
    whole = np.frombuffer(lines.encode(), np.uint8).reshape(-1, _LINE)
    table = whole[:, :LENGTH]
    alike = (whole[:, LENGTH] == _NEWLINE) & are_ours(table) & have_sender(table)
    return table if alike.all() else None


def _context(carrier: str) -> tuple[str, str, str]:
    header, *_ = carrier.split(";")
    trace_id, sender, sampled = parse_traceparent(header) or begin_trace(header)._replace(
        span_id=""
    )
    return trace_id, sender, "01" if sampled else "00"


def _instants(carrier: str) -> tuple[list[int], bool]:
    """Read any carrier, perhaps a bare traceparent; tell whether all of it was right."""
    header, *texts = carrier.split(";")
    right = not header or bool(parse_traceparent(header) or _BEGUN.fullmatch(header))
    right = right and len(texts) <= _INSTANTS and all(map(_INSTANT.fullmatch, texts))
    known = [int(text) if _INSTANT.fullmatch(text) else 0 for text in texts][:_INSTANTS]
    return known + [0] * (_INSTANTS - len(known)), right

"""A carrier: what a message carries, as one string, `<traceparent>;<scheduled>;<sent>;<due>`.

That is cheaper to serialize and to hand on than a mapping. Before a task runs, nothing of it is
read but the sampled flag; the rest is read a batch at a time when the records are drained. *Due* is
until when the sender wanted the task to wait. Zeros stand for an instant that is not known.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from instrumentation.ids import SpanIds, new_trace_id

#: Stands for a carrier that is not even text.
UNREADABLE = "?"

_SAMPLED_FLAGS = frozenset(f"{flags:02x}" for flags in range(256) if flags & 1)
# Version, trace id, parent id, flags. W3C calls version ff and ids of zero invalid.
_HEADER = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
# A trace that began with a task whose message named no sender.
_BEGUN = re.compile("00-([0-9a-f]{32})-0{16}-00")
_INSTANT = re.compile("[0-8]?[0-9]{1,18}")  # below 9e18: it fits into 63 bits
_INSTANTS = 3

# Carriers of our own senders are all of one length, so that numpy reads a batch of them as a table.
_UNKNOWN = "0" * 19  # as many digits as an instant has from 2001 to 2286
#: x is a hexadecimal digit and d a decimal one.
_FORM = f"dd-{'x' * 32}-{'x' * 16}-dd" + 3 * f";{'d' * 19}" + "\n"
_LINE = len(_FORM)
#: Of a carrier of our own senders.
LENGTH = _LINE - 1
#: Where its parts stand in a line.
TRACE_ID, SENDER, SAMPLED = slice(3, 35), slice(36, 52), 54
SCHEDULED, SENT, DUE = slice(56, 75), slice(76, 95), slice(96, 115)
_KINDS = bytes.maketrans(b"0123456789abcdefx", b"ddddddddddxxxxxx?")
_EITHER = np.frombuffer(_FORM.encode(), np.uint8)
_OR = np.frombuffer(_FORM.replace("x", "d").encode(), np.uint8)
_ZERO, _ONE, _NINE = b"019"
_POWERS = 10 ** np.arange(18, -1, -1, dtype=np.int64)


def pack(traceparent: str, scheduled: int, sent: int, due: int = 0) -> str:
    """Write a carrier."""
    return f"{traceparent};{scheduled or _UNKNOWN};{sent or _UNKNOWN};{due or _UNKNOWN}"


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
    text = _join(carriers)
    if text is None:
        return Contexts(*zip(*map(_context, carriers), strict=True))
    flags = _table(text.encode())[:, SAMPLED] == _ONE
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
    text = _join(carriers)
    if text is None:
        instants, right = zip(*map(_instants, carriers), strict=True)
        return np.array(instants, dtype=np.int64).T, right.count(False)
    table = _table(text.encode())
    digits = table[:, 55:-1].reshape(-1, _INSTANTS, 20)[:, :, 1:] - _ZERO
    return (digits @ _POWERS).T, 0


def table(carriers: Sequence[str]) -> NDArray[np.uint8] | None:
    """Return the characters of many carriers, a row each; None unless all are of our senders."""
    text = _join(carriers)
    return None if text is None else _table(text.encode())


def _join(carriers: Sequence[str]) -> str | None:
    """Put carriers into one text, a line each; None unless all have the form of our senders."""
    text = "\n".join([*carriers, ""])
    ours = len(text) == _LINE * len(carriers) and text.isascii() and _are_ours(text.encode())
    return text if ours else None


def _table(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8).reshape(-1, _LINE)


def _are_ours(text: bytes) -> bool:
    """Tell whether every byte may stand where it does, no id is zero and no instant too late."""
    kinds, table = _table(text.translate(_KINDS)), _table(text)
    return bool(
        ((kinds == _EITHER) | (kinds == _OR)).all()
        and (table[:, (0, 1, SAMPLED - 1)] == _ZERO).all()
        and (table[:, SAMPLED] <= _ONE).all()
        and (table[:, TRACE_ID] != _ZERO).any(axis=1).all()
        and (table[:, SENDER] != _ZERO).any(axis=1).all()
        and (table[:, (SCHEDULED.start, SENT.start, DUE.start)] < _NINE).all()  # within 63 bits
    )


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

"""Records as OTLP spans, written as text: the JSON encoding of OTLP, ids in hexadecimal.

The SDK spends 65 to 100 µs on a recorded span; filling in a template takes about 3. Spans follow
OpenTelemetry's messaging conventions: PRODUCER `send <queue>` and CONSUMER `process <task>`.
Waits are attributes (`taskqueue.*_unix_nano`) of the CONSUMER span; sampled and failed tasks have
them as child spans too, for a waterfall in any trace viewer.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import batched, chain
from json.encoder import encode_basestring_ascii
from typing import Any, cast

from instrumentation import finished, spantable
from instrumentation.attempt import Attempt
from instrumentation.backlog import Finished
from instrumentation.done_rows import DoneRows, read_attempts
from instrumentation.ids import new_span_id
from instrumentation.records import FAILURE, Error, Record
from instrumentation.rows import Rows
from instrumentation.sent_rows import SentRows

_INTERNAL, _PRODUCER, _CONSUMER = 1, 4, 5
_ATTEMPTS_AT_ONCE = 512  # what fits into the processor's caches
_SPANS_PER_LINE = 100  # 100 kB: what is larger, malloc maps and unmaps each time

type Value = str | int


def readable(text: str) -> str:
    """Put question marks for lone surrogates, which no reader of OTLP accepts."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def quote(text: str) -> str:
    """Write a JSON string."""
    return encode_basestring_ascii(readable(text))


def attribute(key: str, value: Value) -> str:
    """Write one attribute; integers are strings in OTLP's JSON."""
    if isinstance(value, int):
        return f'{{"key":{quote(key)},"value":{{"intValue":"{value}"}}}}'
    return f'{{"key":{quote(key)},"value":{{"stringValue":{quote(value)}}}}}'


def lines(
    records: Iterable[Finished], system: str, resource: Mapping[str, Value]
) -> Iterator[tuple[bytes, int]]:
    """Write SENT records and attempts as OTLP/JSON lines; yield each with its number of records.

    One line is one `TracesData` message of up to 100 records, as OpenTelemetry's file format wants.
    """
    sent: list[Record] = []
    attempts: list[Attempt] = []
    tables: list[Rows] = []
    for record in records:
        if isinstance(record, Rows):
            tables.append(record)
        elif isinstance(record, Attempt):
            attempts.append(record)
        else:
            sent.append(record)
    rows, others = read_attempts(attempts)
    tables.append(rows)
    attributes = ",".join(attribute(k, v) for k, v in resource.items())
    begin = f'{{"resourceSpans":[{{"resource":{{"attributes":[{attributes}]}},"scopeSpans":[{{'
    head = f'{begin}"scope":{{"name":"taskscope.instrumentation"}},"spans":['.encode()
    tail = b"]}]}]}\n"
    for some in chain.from_iterable(map(_batches, tables)):
        if isinstance(some, DoneRows):
            filled, unlike = spantable.fill_done(some, lambda facts: _done(facts, system))
            others += unlike
        else:
            rows_sent = cast("SentRows", some)
            filled, alone = spantable.fill_sent(rows_sent, lambda record: _sent(record, system))
            sent += alone
        for table in filled:
            for at in range(0, len(table), _SPANS_PER_LINE):
                part = table[at : at + _SPANS_PER_LINE]
                yield b"".join((head, part.reshape(-1)[:-1].data, tail)), len(part)
    texts = chain(
        (_done(facts, system) for facts in finished.facts(others)),
        (_sent(record, system) for record in sent),
    )
    for some_texts in batched(texts, _SPANS_PER_LINE):
        yield head + ",".join(some_texts).encode() + tail, len(some_texts)


def _batches(rows: Rows) -> Iterator[Rows]:
    """Split rows evenly, so that no part is too small for a table."""
    count = -(-len(rows) // _ATTEMPTS_AT_ONCE)
    size = -(-len(rows) // (count or 1)) or 1
    for at in range(0, len(rows), size):
        yield rows.where(slice(at, at + size))


@lru_cache(maxsize=4096)
def _constant(  # noqa: PLR0913, PLR0917 - whatever is the same for many spans
    system: str, kind: int, task: str, queue: str, outcome: str, flags: str
) -> tuple[str, str]:
    """Write what many spans share: flags, name and kind; and the attributes."""
    operation, subject = ("send", queue) if kind == _PRODUCER else ("process", task)
    attributes = [
        attribute("messaging.system", system),
        attribute("messaging.operation.type", operation),
        attribute("messaging.destination.name", queue),
        attribute("taskqueue.task", task),
    ]
    if outcome:
        attributes.append(attribute("taskqueue.outcome", outcome))
    return (
        f'"flags":{int(flags, 16)},"name":{quote(f"{operation} {subject}")},"kind":{kind}',
        ",".join(attributes) + ',{"key":"messaging.message.id","value":{"stringValue":',
    )


def _ending(error: Error | None, instant: int) -> str:
    """Write the event of the semantic conventions for a recorded exception, and the status."""
    if error is None:
        return _WELL
    fields = zip(
        ("exception.type", "exception.message", "exception.stacktrace"), error, strict=True
    )
    attributes = ",".join(attribute(k, v) for k, v in fields)
    return (f',"events":[{{"timeUnixNano":"{instant}","name":"exception",'
            f'"attributes":[{attributes}]}}],'
            f'"status":{{"code":2,"message":{quote(error[1])}}}}}')  # fmt: skip


def _instants(**instants: int) -> str:
    """Write the attributes of the instants that are known."""
    return "".join(
        f',{{"key":"taskqueue.{name}_unix_nano","value":{{"intValue":"{ns}"}}}}'
        for name, ns in instants.items()
        if ns > 0
    )


def _sent(record: Any, system: str) -> str:
    _, task, queue, task_id, parent, parent_span, scheduled, sent, accepted, error = record
    name, attributes = _constant(system, _PRODUCER, task, queue, "", parent[53:55])
    return (
        f'{{"traceId":"{parent[3:35]}","spanId":"{parent[36:52]}","parentSpanId":"{parent_span}",'
        f'{name},"startTimeUnixNano":"{sent}","endTimeUnixNano":"{accepted}",'
        f'"attributes":[{attributes}{quote(task_id)}}}}}'
        f"{_instants(scheduled=scheduled) if scheduled else ''}]{_ending(error, accepted)}"
    )


def _done(facts: Any, system: str) -> str:
    (_, task, queue, outcome, task_id, attempt, trace_id, span_id, sender, flags, pid, error,
     scheduled, sent, due, received, started, completed, acked) = facts  # fmt: skip
    name, attributes = _constant(system, _CONSUMER, task, queue, outcome, flags)
    if sent and received and acked > 0 and not due:  # as nearly always: worth a short cut
        instants = f'{_SENT_AT}{sent}"}}}}{_RECEIVED_AT}{received}"}}}}{_ACKED_AT}{acked}"}}}}'
        if scheduled:
            instants += _instants(scheduled=scheduled)
    else:
        instants = _instants(
            sent=sent, received=received, acked=acked, scheduled=scheduled, due=due
        )
    span = (
        f'{{"traceId":"{trace_id}","spanId":"{span_id}","parentSpanId":"{sender}",'
        f'{name},"startTimeUnixNano":"{started or completed}","endTimeUnixNano":"{completed}",'
        f'"attributes":[{attributes}{quote(task_id)}}}}},'
        f'{{"key":"taskqueue.attempt","value":{{"intValue":"{attempt}"}}}},'
        f'{{"key":"process.pid","value":{{"intValue":"{pid}"}}}}'
        f"{instants}]{_ending(error, completed) if error else _WELL}"
    )
    if flags == "00" and outcome != FAILURE:
        return span
    held = due if received < due else 0  # received before it was due, as Celery does
    stages = (
        ("delay", sent, due),
        ("broker wait", sent if held else max(sent, due), received),
        ("prefetch wait", max(received, held), started),
        ("acknowledge", completed, acked),
    )
    child = _child_writer(trace_id, span_id)
    return ",".join([span, *(child(n, a, b) for n, a, b in stages if a > 0 and b > 0)])


_SENT_AT, _RECEIVED_AT, _ACKED_AT = (
    f',{{"key":"taskqueue.{name}_unix_nano","value":{{"intValue":"'
    for name in ("sent", "received", "acked")
)
_WELL = ',"status":{}}'


def _child_writer(trace_id: str, parent: str) -> Callable[[str, int, int], str]:
    def write(name: str, start: int, end: int) -> str:
        return (
            f'{{"traceId":"{trace_id}","spanId":"{new_span_id()}","parentSpanId":"{parent}",'
            f'"flags":1,"name":"{name}","kind":{_INTERNAL},"startTimeUnixNano":"{start}",'
            f'"endTimeUnixNano":"{end}","attributes":[],"status":{{}}}}'
        )

    return write


def compact(document: object) -> str:
    """Write a JSON document on one line."""
    return json.dumps(document, separators=(",", ":")) + "\n"

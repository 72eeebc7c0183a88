"""Records as OTLP spans, written as text: the JSON encoding of OTLP, ids in hexadecimal.

The SDK spends 65 to 100 µs on a recorded span; filling in a template takes about 3. Spans follow
OpenTelemetry's messaging conventions: PRODUCER `send <queue>` and CONSUMER `process <task>`.
Waits are attributes (`taskqueue.*_unix_nano`) of the CONSUMER span; sampled and failed tasks have
them as child spans too, for a waterfall in any trace viewer.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import batched
from json.encoder import encode_basestring_ascii
from typing import cast

from instrumentation.propagation import NO_SPAN, new_span_id
from instrumentation.records import FAILURE, SENT, Error, Record

_INTERNAL, _PRODUCER, _CONSUMER = 1, 4, 5
_SPANS_PER_LINE = 256

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
    records: Iterable[Record], system: str, resource: Mapping[str, Value]
) -> Iterator[tuple[str, int]]:
    """Write SENT and DONE records as OTLP/JSON lines; yield each with its number of records.

    One line is one `TracesData` message of up to 256 records, as OpenTelemetry's file format wants.
    """
    attributes = ",".join(attribute(k, v) for k, v in resource.items())
    head = f'{{"resourceSpans":[{{"resource":{{"attributes":[{attributes}]}},"scopeSpans":[{{'
    head += '"scope":{"name":"taskscope.instrumentation"},"spans":['
    for some in batched(records, _SPANS_PER_LINE):
        texts = [_sent(r, system) if r[0] == SENT else _done(r, system) for r in some]
        yield head + ",".join(texts) + "]}]}]}\n", len(texts)


@lru_cache(maxsize=4096)
def _constant(system: str, operation: str, task: str, queue: str) -> str:
    """The attributes that all spans of one task and queue share."""
    return ",".join((
        attribute("messaging.system", system),
        attribute("messaging.operation.type", operation),
        attribute("messaging.destination.name", queue),
        attribute("taskqueue.task", task),
    ))  # fmt: skip


@lru_cache(maxsize=4096)
def _name(operation: str, subject: str) -> str:
    return quote(f"{operation} {subject}")


def _status(error: Error | None) -> str:
    return f'"status":{{"code":2,"message":{quote(error[1])}}}' if error else '"status":{}'


def _exception(error: Error | None, instant: int) -> str:
    """The event of the semantic conventions for a recorded exception."""
    if error is None:
        return ""
    fields = zip(
        ("exception.type", "exception.message", "exception.stacktrace"), error, strict=True
    )
    attributes = ",".join(attribute(k, v) for k, v in fields)
    return (f',"events":[{{"timeUnixNano":"{instant}","name":"exception",'
            f'"attributes":[{attributes}]}}]')  # fmt: skip


def _instants(**instants: int) -> str:
    """Attributes for the instants that are known."""
    return "".join(
        f',{{"key":"taskqueue.{name}_unix_nano","value":{{"intValue":"{ns}"}}}}'
        for name, ns in instants.items()
        if ns > 0
    )


def _sent(record: Record, system: str) -> str:
    _, task, queue, task_id, parent, parent_span, scheduled, sent, accepted, error = cast(
        "tuple[int, str, str, str, str, str, int, int, int, Error | None]", record
    )
    return (
        f'{{"traceId":"{parent[3:35]}","spanId":"{parent[36:52]}","parentSpanId":"{parent_span}",'
        f'"flags":{int(parent[53:55], 16)},"name":{_name("send", queue)},"kind":{_PRODUCER},'
        f'"startTimeUnixNano":"{sent}","endTimeUnixNano":"{accepted}","attributes":['
        f"{_constant(system, 'send', task, queue)},"
        f'{{"key":"messaging.message.id","value":{{"stringValue":{quote(task_id)}}}}}'
        f"{_instants(scheduled=scheduled)}]{_exception(error, accepted)},{_status(error)}}}"
    )


def _done(record: Record, system: str) -> str:
    (_, task, queue, task_id, parent, span_id, attempt, outcome, scheduled, sent, received,
     started, completed, acked, pid, error) = cast(
        "tuple[int, str, str, str, str, str, int, str,"
        " int, int, int, int, int, int, int, Error | None]", record
    )  # fmt: skip
    instants = _instants(scheduled=scheduled, sent=sent, received=received, acked=acked)
    flags = parent[53:55]
    sender = parent[36:52] if parent[36:52] != NO_SPAN else ""
    span = (
        f'{{"traceId":"{parent[3:35]}","spanId":"{span_id}","parentSpanId":"{sender}",'
        f'"flags":{int(flags, 16)},"name":{_name("process", task)},"kind":{_CONSUMER},'
        f'"startTimeUnixNano":"{started}","endTimeUnixNano":"{completed}","attributes":['
        f"{_constant(system, 'process', task, queue)},"
        f'{{"key":"messaging.message.id","value":{{"stringValue":{quote(task_id)}}}}},'
        f'{{"key":"taskqueue.outcome","value":{{"stringValue":"{outcome}"}}}},'
        f'{{"key":"taskqueue.attempt","value":{{"intValue":"{attempt}"}}}},'
        f'{{"key":"process.pid","value":{{"intValue":"{pid}"}}}}'
        f"{instants}]{_exception(error, completed)},{_status(error)}}}"
    )
    if flags == "00" and outcome != FAILURE:
        return span
    stages = (("broker wait", sent, received), ("prefetch wait", received, started),
              ("acknowledge", completed, acked))  # fmt: skip
    child = _child_writer(parent[3:35], span_id)
    return ",".join([span, *(child(n, a, b) for n, a, b in stages if a > 0 and b > 0)])


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

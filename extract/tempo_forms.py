"""The forms in which Tempo gives traces, written as lines of OpenTelemetry's file format."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from extract.otlp import CONSUMER, PRODUCER

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_CODES: Final = ("unset", "ok", "error")
_ID_LENGTHS: Final = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_WHOLE: Final = 2
_MESSAGE: Final = "messaging.message.id"
_OF_RESOURCE: Final = ("taskscope.", "service.")

type Document = dict[str, Any]


def as_line(trace: Document) -> tuple[bytes, bool]:
    """Write a trace that was fetched by id, and say whether an attempt at a task is in it.

    Its ids are in base64, and kinds and codes are names; the file format has hexadecimal and
    numbers.
    """
    if not trace.get("resourceSpans"):
        return b"", False
    attempts = 0
    for span in _spans(trace):
        _plain_ids(span)
        span["kind"] = _number(span.get("kind", 0), "SPAN_KIND_", _KINDS)
        status = span.get("status") or {}
        span["status"] = {**status, "code": _number(status.get("code", 0), "STATUS_CODE_", _CODES)}
        attempts += span["kind"] == CONSUMER
    return msgspec.json.encode({"resourceSpans": trace["resourceSpans"]}) + b"\n", bool(attempts)


def _spans(trace: Document) -> Iterator[Document]:
    for resource in trace["resourceSpans"]:
        resource.setdefault("resource", {})
        for scope in resource.get("scopeSpans", ()):
            yield from scope.get("spans", ())


def _plain_ids(span: Document) -> None:
    for name, length in _ID_LENGTHS.items():
        text = span.get(name)
        if text and len(text) != length:
            span[name] = base64.b64decode(text).hex()


def _number(value: str | int, prefix: str, names: tuple[str, ...]) -> int:
    return value if isinstance(value, int) else names.index(value.removeprefix(prefix).lower())


def found_line(trace_id: str, found: Sequence[Document]) -> bytes | None:
    """Write the sets of spans that searches show; None where that may not be all of the trace.

    Tempo holds a trace in parts where its spans came at different times, and a search may show one
    part only. So it counts as whole where it is one publish and the one attempt of that very task,
    which went well: a failure has an exception, which a search does not show.
    """
    hidden = any(int(some.get("matched", 0)) != len(some.get("spans") or ()) for some in found)
    spans = {span["spanID"]: span for some in found for span in some.get("spans") or ()}.values()
    if hidden or len(spans) != _WHOLE:
        return None
    lines = [_found_span(trace_id, span) for span in spans]
    facts = [{a["key"]: a["value"] for a in span["attributes"]} for _, span in lines]
    by_kind = {span["kind"]: known for (_, span), known in zip(lines, facts, strict=True)}
    if set(by_kind) != {PRODUCER, CONSUMER} or not _same_and_well(by_kind):
        return None
    document = [{"resource": {"attributes": resource}, "scopeSpans": [{"spans": [span]}]}
                for resource, span in lines]  # fmt: skip
    return msgspec.json.encode({"resourceSpans": document}) + b"\n"


def _same_and_well(facts: Mapping[int, Document]) -> bool:
    sent, attempt = facts[PRODUCER], facts[CONSUMER]
    return (
        sent.get(_MESSAGE) == attempt.get(_MESSAGE)
        and attempt.get("taskqueue.outcome") == {"stringValue": "success"}
        and attempt.get("taskqueue.attempt") == {"intValue": "1"}
    )


def _found_span(trace_id: str, span: Document) -> tuple[list[Document], Document]:
    """Return the attributes of a span's resource, and the span: a search mixes them."""
    resource, attributes, intrinsic = [], [], {}
    for attribute in span.get("attributes") or ():
        key = attribute["key"]
        if key in {"kind", "status"}:
            intrinsic[key] = attribute["value"].get("stringValue", "")
        elif key.startswith(_OF_RESOURCE):
            resource.append(attribute)
        else:
            attributes.append(attribute)
    start = int(span["startTimeUnixNano"])
    return resource, {
        "traceId": trace_id,
        "spanId": str(span["spanID"]).zfill(16),
        "name": span.get("name", ""),
        "kind": _number(intrinsic.get("kind", "unspecified"), "", _KINDS),
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(span.get("durationNanos", 0))),
        "attributes": attributes,
        "status": {"code": _number(intrinsic.get("status", "unset"), "", _CODES)},
    }

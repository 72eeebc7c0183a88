"""Traces are read to the nanosecond, whatever a killed process or other libraries left in them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from extract.manifest import CellRecord, Manifest
from extract.otlp import read_spans
from extract.traces import of_cell, read_traces, results, stages

BASE = 1_795_308_000_000_000_001  # odd: a float holds such a number only to the next 256


def attribute(key: str, value: str | int) -> dict[str, Any]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key, "value": {kind: str(value)}}


def line(*spans: dict[str, Any]) -> str:
    resource = [attribute("taskscope.scenario", "s"), attribute("taskscope.variant", "v"),
                attribute("taskscope.framework", "f"), attribute("taskscope.repetition", "1"),
                attribute("service.instance.id", "host:1")]  # fmt: skip
    document = {"resourceSpans": [{"resource": {"attributes": resource},
                                   "scopeSpans": [{"spans": list(spans)}]}]}  # fmt: skip
    return json.dumps(document) + "\n"


def span(number: int, kind: int, start: int, end: int, **facts: str | int) -> dict[str, Any]:
    names = {"task": "taskqueue.task", "outcome": "taskqueue.outcome",
             "attempt": "taskqueue.attempt", "pid": "process.pid",
             "queue": "messaging.destination.name", "task_id": "messaging.message.id"}  # fmt: skip
    plain: dict[str, str | int] = {"task": "noop", "queue": "q", "task_id": f"t{number}"}
    plain |= {"outcome": "success", "attempt": 1, "pid": 7} if kind == 5 else {}
    plain |= facts
    attributes = [attribute(names.get(k, f"taskqueue.{k}_unix_nano"), v) for k, v in plain.items()]
    return {"traceId": "a" * 32, "spanId": f"{number:016x}", "name": "x", "kind": kind,
            "startTimeUnixNano": str(BASE + start), "endTimeUnixNano": str(BASE + end),
            "attributes": attributes, "status": {}}  # fmt: skip


def test_instants_are_exact_even_beside_missing_ones(tmp_path: Path) -> None:
    some = span(1, 5, 10, 20, scheduled=BASE, sent=BASE + 2, received=BASE + 5, acked=BASE + 25)
    none = span(2, 5, 11, 21)
    (tmp_path / "a.jsonl").write_text(line(some, none))
    attempts, _ = read_traces(tmp_path)
    first = attempts.iloc[0]
    assert [int(first[f"{n}_ns"]) - BASE for n in ("scheduled", "sent", "received", "started",
                                                   "completed", "acked")] \
        == [0, 2, 5, 10, 20, 25]  # fmt: skip
    assert attempts.iloc[1][["scheduled_ns", "sent_ns", "received_ns", "acked_ns"]].isna().all()
    assert first["worker"] == "host:1/7"
    intervals = stages(*read_traces(tmp_path))
    assert {k: v.tolist() for k, v in intervals.items() if len(v)} == {
        "broker_wait": [3], "prefetch_wait": [5], "execution": [10, 10], "ack": [5],
        "end_to_end": [20]}  # fmt: skip


def test_waiting_on_purpose_and_never_running(tmp_path: Path) -> None:
    held = span(1, 5, 30, 40, sent=BASE, due=BASE + 25, received=BASE + 5)
    late = span(2, 5, 30, 40, sent=BASE, due=BASE + 15, received=BASE + 18)
    revoked = span(3, 5, 9, 9, sent=BASE, received=BASE + 5, outcome="revoked")
    (tmp_path / "a.jsonl").write_text(line(held, late, revoked))
    attempts, publishes = read_traces(tmp_path)
    assert attempts["started_ns"].isna().tolist() == [False, False, True]
    intervals = stages(attempts, publishes)
    assert {k: v.tolist() for k, v in intervals.items() if len(v)} == {
        "delay": [25, 15], "broker_wait": [5, 3, 5], "prefetch_wait": [5, 12],
        "execution": [10, 10], "end_to_end": [15, 25, 9]}  # fmt: skip
    cell = CellRecord("s", "f", "v", 1, 3, start=BASE / 1e9 - 1, end=BASE / 1e9 + 1)
    run = Manifest("x", "", "complete", (), "native", "native", {}, {}, (), (), (cell,))
    found = {row["metric"]: row["value"] for row in results(run, attempts, publishes)}
    assert (found["tasks_started"], found["tasks_completed"], found["tasks_discarded"]) == (2, 2, 1)


def test_a_cut_last_line_is_skipped(tmp_path: Path) -> None:
    whole = line(span(1, 5, 0, 1)) + line(span(2, 5, 0, 1))
    (tmp_path / "a.jsonl").write_text(whole[:-30])
    assert [s.spanId for _, s in read_spans(tmp_path / "a.jsonl")] == [f"{1:016x}"]


@pytest.mark.parametrize("damage", ["{\n", '{"resourceSpans": 1}\n', "\n", "\0\n"])
def test_a_damaged_line_names_file_and_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line(span(1, 5, 0, 1)) + damage + line(span(2, 5, 0, 1)))
    with pytest.raises(msgspec.DecodeError, match=rf"{path}, line 2"):
        list(read_spans(path))


def test_spans_of_other_libraries_are_left_out(tmp_path: Path) -> None:
    """A task that is traced may send to Kafka, or answer a request."""
    foreign = {**span(3, 4, 0, 1), "attributes": [attribute("messaging.system", "kafka")]}
    internal = {**span(4, 1, 0, 1), "attributes": []}
    (tmp_path / "a.jsonl").write_text(line(foreign, {**foreign, "kind": 5}, internal))
    assert [len(frame) for frame in read_traces(tmp_path)] == [0, 0]


def test_figures_of_a_cell_leave_out_what_lies_before_its_mark(tmp_path: Path) -> None:
    spans = [span(n, 5, n * 10**9, n * 10**9 + 10**8, sent=BASE) for n in range(10)]
    sent = [span(n, 4, n * 10**9, n * 10**9 + 10**6) for n in range(10)]
    (tmp_path / "a.jsonl").write_text(line(*spans, *sent))
    cell = CellRecord("s", "f", "v", 1, 5, start=BASE / 1e9 + 4.5, end=BASE / 1e9 + 9.5)
    run = Manifest("x", "", "complete", (), "native", "native", {}, {}, (), (), (cell,))
    attempts, publishes = read_traces(tmp_path)
    assert len(of_cell(attempts, cell, "started_ns")) == 5
    found = {row["metric"]: row["value"] for row in results(run, attempts, publishes)}
    assert found["tasks_sent"] == found["tasks_completed"] == 5
    assert found["throughput"] == pytest.approx(5 / 4.1)
    assert found["execution_p50"] == found["execution_p999"] == 0.1

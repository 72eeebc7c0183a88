"""Traces are read to the nanosecond, whatever a killed process or other libraries left in them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from extract import columns
from extract.manifest import CellRecord, Manifest
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
    attempts, _ = read_traces(tmp_path)
    assert attempts["span_id"].tolist() == [f"{1:016x}"]
    (tmp_path / "a.jsonl").write_text(whole[: whole.index("\n")])
    assert not len(read_traces(tmp_path)[0])
    (tmp_path / "a.jsonl").write_text("")
    assert not len(read_traces(tmp_path)[0])


DAMAGED = ["{\n", '{"resourceSpans": 1}\n', "\n", "\0\n", '{"resourceSpans": []}{}\n', "{}\n",
           '{"resourceSpans":\n[]}\n', '{"resourceSpans": [{"scopeSpans": []}]}\n',
           line(span(1, 5, 0, 1)).replace('"spanId"', '"other"'),
           line(span(1, 5, 0, 1)).replace('"x"', '"\udcff"'),
           line(span(1, 5, 0, 1)).replace('"kind": 5', '"kind": "CONSUMER"')]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_a_damaged_line_names_file_and_line(
    tmp_path: Path, damage: str, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_PIECE_BYTES", piece_bytes)
    path = tmp_path / "a.jsonl"
    text = line(span(1, 5, 0, 1)) + damage + line(span(2, 5, 0, 1))
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(msgspec.DecodeError, match=rf"{path}, line 2"):
        read_traces(tmp_path)


def test_a_span_of_a_task_that_lacks_a_fact_is_damaged(tmp_path: Path) -> None:
    """Such as one that something else than the instrumentation wrote."""
    lacking = span(1, 5, 0, 1)
    lacking["attributes"] = [a for a in lacking["attributes"] if a["key"] != "taskqueue.attempt"]
    (tmp_path / "a.jsonl").write_text(line(lacking))
    with pytest.raises(msgspec.DecodeError, match=r"a\.jsonl: 1 spans of tasks lack their attempt"):
        read_traces(tmp_path)
    (tmp_path / "a.jsonl").write_text(line(span(1, 5, 0, 1)).replace(str(BASE + 1), "soon"))
    with pytest.raises(msgspec.DecodeError, match=r"a\.jsonl: .*soon"):
        read_traces(tmp_path)


def test_unusual_forms_of_the_same_say_the_same(tmp_path: Path) -> None:
    """Integers as numbers, values of other types, unknown fields, several resources on a line."""
    usual, unusual = tmp_path / "usual", tmp_path / "unusual"
    for place in (usual, unusual):
        place.mkdir()
    spans = [span(1, 5, 10, 20, sent=BASE, received=BASE + 5), span(2, 4, 3, 4)]
    (usual / "a.jsonl").write_text(line(*spans))
    document = json.loads(line(spans[0]))
    for fact in document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]:
        if "intValue" in fact["value"]:
            fact["value"]["intValue"] = int(fact["value"]["intValue"])
    own = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    values = {"ratio": {"doubleValue": 0.5}, "none": {}, "list": {"arrayValue": {"values": []}}}
    own["attributes"] += [{"key": key, "value": value} for key, value in values.items()]
    own |= {"links": [{"traceId": "b" * 32}], "events": [{"name": "é"}], "flags": 1}
    second = json.loads(line({k: v for k, v in spans[1].items() if k != "status"}))
    document["resourceSpans"] += [{"resource": {}, "scopeSpans": []}, *second["resourceSpans"]]
    (unusual / "a.jsonl").write_text(json.dumps(document) + "\n")
    for ours, theirs in zip(read_traces(usual), read_traces(unusual), strict=True):
        assert len(ours) == 1
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_pieces_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, begin in (("a", 0), ("b", 50)):
        text = "".join(line(span(n, 5, n, n + 1)) for n in range(begin, begin + 50))
        (tmp_path / f"{name}.jsonl").write_text(text)
    whole, _ = read_traces(tmp_path)
    monkeypatch.setattr(columns, "_PIECE_BYTES", 3_000)
    assert len(list(columns.pieces(tmp_path / "a.jsonl"))) > 5
    pieced, _ = read_traces(tmp_path)
    pd.testing.assert_frame_equal(whole, pieced, check_exact=True)
    assert whole["span_id"].tolist() == [f"{n:016x}" for n in range(100)]


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


def of_nobody(*spans: dict[str, Any]) -> str:
    """Return a line of a worker that was not started for any cell."""
    resource = {"attributes": [attribute("service.instance.id", "other:1")]}
    some = [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]
    return json.dumps({"resourceSpans": some}) + "\n"


def test_an_attempt_of_a_worker_that_knows_no_cell_is_in_its_senders(tmp_path: Path) -> None:
    (tmp_path / "sent.jsonl").write_text(line(span(1, 4, 0, 1), span(3, 4, 0, 1)))
    (tmp_path / "worked.jsonl").write_text(
        of_nobody(span(1, 5, 2, 3), span(2, 5, 2, 3)) + line(span(3, 5, 2, 3))
    )
    attempts, _ = read_traces(tmp_path)
    cells = attempts.set_index("task_id")[["scenario", "framework", "variant", "repetition"]]
    assert cells.dtypes.equals(attempts[cells.columns].dtypes)
    assert cells.loc["t1"].tolist() == cells.loc["t3"].tolist() == ["s", "f", "v", 1]
    assert cells.loc["t2"].tolist() == ["", "", "", -1]  # somebody else's task
    assert attempts.set_index("task_id").loc["t1", "worker"] == "other:1/7"


def test_spans_of_a_worker_without_any_of_a_sender_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "worked.jsonl").write_text(of_nobody(span(1, 5, 2, 3)))
    attempts, publishes = read_traces(tmp_path)
    assert attempts["scenario"].tolist() == [""]
    assert publishes.empty

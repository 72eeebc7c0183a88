"""Results from the traces: one row a task, and the same figures as by PromQL, exactly."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from extract import columns
from extract.columns import Piece, Positions, Spans
from extract.manifest import CellRecord, Manifest
from extract.otlp import CONSUMER, ERROR, PRODUCER

_NS = 1e9
_LABELS = ("session", "scenario", "framework", "variant", "repetition")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
#: The columns of tasks.parquet. Instants are Unix nanoseconds, <NA> where there was none.
TASK_COLUMNS = {
    "task_id": "string", "trace_id": "string", "span_id": "string", "scenario": "string",
    "framework": "string", "variant": "string", "repetition": "int64", "task": "string",
    "queue": "string", "outcome": "string", "attempt": "int64", "worker": "string",
    "scheduled_ns": "Int64", "sent_ns": "Int64", "due_ns": "Int64", "received_ns": "Int64",
    "started_ns": "Int64", "completed_ns": "Int64", "acked_ns": "Int64",
}  # fmt: skip
#: Outcomes of tasks that were taken back. If one never ran, its span has its end for a start.
_TAKEN_BACK = ("revoked", "expired")
_OF_CELL = ("scenario", "framework", "variant", "repetition")
_SENT_COLUMNS = {
    "task_id": "string", "scenario": "string", "framework": "string", "variant": "string",
    "repetition": "int64",
    "scheduled_ns": "Int64", "sent_ns": "Int64", "accepted_ns": "Int64", "failed": "bool",
}  # fmt: skip

type Row = dict[str, Any]

_THREADS = 4


def read_traces(directory: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read all trace files; return the attempts (CONSUMER spans) and the publishes (PRODUCER).

    msgspec.DecodeError, naming file and line, for one that is damaged.
    """
    parts = [p for path in sorted(directory.glob("*.jsonl")) for p in columns.pieces(path)]
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        tables = list(pool.map(_read, parts))
    attempts = _frame([attempts for attempts, _ in tables], TASK_COLUMNS)
    publishes = _frame([publishes for _, publishes in tables], _SENT_COLUMNS)
    return _belonging(attempts, publishes), publishes


def _belonging(attempts: pd.DataFrame, publishes: pd.DataFrame) -> pd.DataFrame:
    """Give attempts that do not say of which cell they are the cell of who sent the task.

    A worker that was not started for a cell, and runs on, knows nothing of any.
    """
    senders = publishes.drop_duplicates("task_id").set_index("task_id")
    found = (attempts["scenario"] == "") & attempts["task_id"].isin(senders.index)
    if found.any():
        attempts = attempts.copy()
        ids = attempts.loc[found, "task_id"]
        for label in _OF_CELL:
            attempts.loc[found, label] = senders.loc[ids, label].to_numpy()
    return attempts


def _frame(tables: list[pa.Table], types: dict[str, str]) -> pd.DataFrame:
    """Join tables by way of pandas' own types: none of them makes an instant a float."""
    empty = pa.table({name: pa.array([], _ARROW[kind]) for name, kind in types.items()})
    joined = pa.concat_tables([empty, *tables])
    return pd.DataFrame({
        name: pd.Series(joined[name].to_pandas(types_mapper=_TYPES.get), dtype=kind)
        for name, kind in types.items()
    })  # fmt: skip


_ARROW = {"string": pa.string(), "int64": pa.int64(), "Int64": pa.int64(), "bool": pa.bool_()}
_TYPES = {pa.string(): pd.StringDtype("pyarrow"), pa.int64(): pd.Int64Dtype()}


def _read(piece: Piece) -> tuple[pa.Table, pa.Table]:
    """Read a piece of a trace file: the attempts in it and the publishes.

    Spans of a task's own, which may well send to other queues, have no `taskqueue.task`.
    """
    spans = columns.read(piece)
    ours = spans.places("taskqueue.task") >= 0
    kind = spans.field("kind").to_numpy()
    try:
        return (
            _attempts(spans, np.flatnonzero(ours & (kind == CONSUMER))),
            _publishes(spans, np.flatnonzero(ours & (kind == PRODUCER))),
        )
    except pa.ArrowInvalid as error:  # such as an instant that is no number
        raise msgspec.DecodeError(f"{piece.path}: {error}") from None


def _labels(spans: Spans, rows: Positions) -> dict[str, pa.Array]:
    """Return what the resources say of the cell."""
    of_resource = {
        name: pa.array([str(each.get(f"taskscope.{name}", "")) for each in spans.resources])
        for name in ("scenario", "framework", "variant")
    }
    numbers = [int(each.get("taskscope.repetition", -1)) for each in spans.resources]
    of_resource["repetition"] = pa.array(numbers, pa.int64())
    places = pa.array(spans.resource[rows])
    return {name: column.take(places) for name, column in of_resource.items()}


def _attempts(spans: Spans, rows: Positions) -> pa.Table:
    start, end = (_instants(spans, name, rows) for name in ("startTime", "endTime"))
    outcome = spans.text("taskqueue.outcome", rows)
    taken_back = compute.is_in(outcome, pa.array(_TAKEN_BACK))
    never_ran = compute.and_(taken_back, compute.equal(start, end))
    started = compute.if_else(never_ran, pa.scalar(None, pa.int64()), start)
    instances = pa.array([str(each.get("service.instance.id", "")) for each in spans.resources])
    instance = instances.take(pa.array(spans.resource[rows]))
    known = {
        **_labels(spans, rows),
        "task_id": spans.text("messaging.message.id", rows),
        "trace_id": spans.field("traceId").take(pa.array(rows)),
        "span_id": spans.field("spanId").take(pa.array(rows)),
        "task": spans.text("taskqueue.task", rows),
        "queue": spans.text("messaging.destination.name", rows),
        "outcome": outcome,
        "attempt": spans.number("taskqueue.attempt", rows),
        "worker": compute.binary_join_element_wise(instance, spans.text("process.pid", rows), "/"),
        "started_ns": started,
        "completed_ns": end,
    }
    for name in ("scheduled", "sent", "due", "received", "acked"):
        known[f"{name}_ns"] = spans.number(f"taskqueue.{name}_unix_nano", rows)
    return _table(known, TASK_COLUMNS)


def _publishes(spans: Spans, rows: Positions) -> pa.Table:
    status = compute.struct_field(spans.field("status"), "code").take(pa.array(rows))
    known = {
        **_labels(spans, rows),
        "task_id": spans.text("messaging.message.id", rows),
        "scheduled_ns": spans.number("taskqueue.scheduled_unix_nano", rows),
        "sent_ns": _instants(spans, "startTime", rows),
        "accepted_ns": _instants(spans, "endTime", rows),
        "failed": compute.fill_null(compute.equal(status, ERROR), fill_value=False),
    }
    return _table(known, _SENT_COLUMNS)


def _instants(spans: Spans, name: str, rows: Positions) -> pa.Array:
    return spans.field(f"{name}UnixNano").take(pa.array(rows)).cast(pa.int64())


def _table(known: dict[str, pa.Array], types: dict[str, str]) -> pa.Table:
    for name, kind in types.items():
        if kind != "Int64" and (missing := known[name].null_count):
            raise pa.ArrowInvalid(f"{missing} spans of tasks lack their {name}")
    return pa.table({name: known[name] for name in types})


def of_cell(frame: pd.DataFrame, cell: CellRecord, column: str) -> pd.DataFrame:
    """Return the rows of one cell whose `column` lies between its marks; warm-up lies before."""
    if cell.start is None or cell.end is None:
        return frame.iloc[:0]
    inside = frame[column].between(int(cell.start * _NS), int(cell.end * _NS))
    return frame[
        (frame["scenario"] == cell.scenario)
        & (frame["variant"] == cell.variant)
        & (frame["repetition"] == cell.repetition)
        & inside.fillna(value=False)
    ]


def of_cells(attempts: pd.DataFrame, cells: Sequence[CellRecord]) -> pd.DataFrame:
    """Return the attempts that were measured: those started between the marks of a cell."""
    chosen = [of_cell(attempts, cell, "started_ns") for cell in cells]
    return pd.concat(chosen, ignore_index=True) if chosen else attempts


def attempt_stages(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the intervals of each attempt in nanoseconds, a column a stage; <NA> where unknown.

    A task that is to wait may be received before it is due or after: its waits count from then.
    """
    sent, due, received = (attempts[f"{name}_ns"] for name in ("sent", "due", "received"))
    waited = due.fillna(sent)
    wanted = attempts["scheduled_ns"].fillna(waited)
    early = (received < due).fillna(value=False)
    return pd.DataFrame({
        "end_to_end": attempts["completed_ns"] - wanted,
        "delay": due - sent,
        "broker_wait": received - waited.mask(early, sent),
        "prefetch_wait": attempts["started_ns"] - received.mask(early, due),
        "execution": attempts["completed_ns"] - attempts["started_ns"],
        "ack": attempts["acked_ns"] - attempts["completed_ns"],
    })  # fmt: skip


def stages(attempts: pd.DataFrame, publishes: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """Return each stage's intervals, in nanoseconds, leaving out those with an unknown end."""
    columns = attempt_stages(attempts)
    intervals = {
        "schedule_lag": publishes["sent_ns"] - publishes["scheduled_ns"],
        "publish_duration": (publishes["accepted_ns"] - publishes["sent_ns"])[~publishes["failed"]],
        **{str(name): column for name, column in columns.items()},
        "end_to_end": columns["end_to_end"][attempts["outcome"] != "retry"],
    }
    return {name: column.dropna().to_numpy(np.int64) for name, column in intervals.items()}


def results(manifest: Manifest, attempts: pd.DataFrame, publishes: pd.DataFrame) -> Iterator[Row]:
    """Yield the traces' own figures for every measured cell, in the dataset's long form."""
    for cell in manifest.cells:
        if not cell.measured:
            continue
        figures = _figures(
            of_cell(attempts, cell, "completed_ns"), of_cell(publishes, cell, "sent_ns")
        )
        for metric, (value, unit) in figures.items():
            yield row(cell, manifest.session, metric, value, unit)


def row(cell: CellRecord, session: str, metric: str, value: float, unit: str) -> Row:
    """Return a figure of a cell in the dataset's long form."""
    return {
        **cell.labels(session), "repetition": cell.repetition, "metric": metric, "value": value,
        "lower": None, "upper": None, "unit": unit, "source": "traces", "query": "",
    }  # fmt: skip


def figures_of_attempts(attempts: pd.DataFrame) -> dict[str, tuple[float, str]]:
    """Return all figures, with their units, that need nothing of how tasks were published."""
    nothing = pd.DataFrame({n: pd.Series(dtype=kind) for n, kind in _SENT_COLUMNS.items()})
    return _figures(attempts, nothing)


def _figures(attempts: pd.DataFrame, publishes: pd.DataFrame) -> dict[str, tuple[float, str]]:
    ran = attempts["started_ns"].notna()
    outcomes = attempts.loc[ran, "outcome"].value_counts()
    stopped = sum(int(outcomes.get(outcome, 0)) for outcome in _TAKEN_BACK)  # while they ran
    figures: dict[str, tuple[float, str]] = {
        "tasks_sent": (float((~publishes["failed"]).sum()), "tasks"),
        "tasks_started": (float(ran.sum()), "attempts"),
        "tasks_completed": (float(outcomes.get("success", 0)), "attempts"),
        "tasks_failed": (float(outcomes.get("failure", 0) + stopped), "attempts"),
        "tasks_retried": (float(outcomes.get("retry", 0)), "attempts"),
        "tasks_discarded": (float((~ran).sum()), "tasks"),
    }
    final = attempts[attempts["outcome"] != "retry"]
    if len(final):
        busy = (attempts["completed_ns"].max() - attempts["started_ns"].min()) / _NS
        figures["throughput"] = (len(final) / busy, "tasks/s")
    if len(publishes):
        sending = (publishes["accepted_ns"].max() - publishes["sent_ns"].min()) / _NS
        figures["enqueue_rate"] = (len(publishes) / sending, "tasks/s")
    for stage, intervals in stages(attempts, publishes).items():
        figures |= _stage_figures(stage, intervals)
    return figures


def _stage_figures(stage: str, intervals: np.ndarray[Any, Any]) -> dict[str, tuple[float, str]]:
    """Quantiles by nearest rank (numpy's `inverted_cdf`): each is a value that really occurred."""
    if not len(intervals):
        return {}
    figures = {
        f"{stage}_{name}": (float(np.quantile(intervals, q, method="inverted_cdf")) / _NS, "s")
        for name, q in QUANTILES.items()
    }
    figures[f"{stage}_mean"] = (float(intervals.mean()) / _NS, "s")
    figures[f"{stage}_count"] = (float(len(intervals)), "intervals")
    return figures

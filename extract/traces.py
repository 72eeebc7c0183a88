"""Results from the traces: one row a task, and the same figures as by PromQL, exactly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from extract.manifest import CellRecord, Manifest
from extract.otlp import CONSUMER, ERROR, PRODUCER, Plain, Span, plain, read_spans

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
_SENT_COLUMNS = {
    "task_id": "string", "scenario": "string", "variant": "string", "repetition": "int64",
    "scheduled_ns": "Int64", "sent_ns": "Int64", "accepted_ns": "Int64", "failed": "bool",
}  # fmt: skip

type Row = dict[str, Any]


def read_traces(directory: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read all trace files; return the attempts (CONSUMER spans) and the publishes (PRODUCER)."""
    attempts: list[Row] = []
    publishes: list[Row] = []
    for path in sorted(directory.glob("*.jsonl")):
        for resource, span in read_spans(path):
            facts = plain(span.attributes)
            if "taskqueue.task" not in facts:
                continue  # a span of the task's own, which may well send to other queues
            if span.kind == CONSUMER:
                attempts.append(_attempt(resource, span, facts))
            elif span.kind == PRODUCER:
                publishes.append(_publish(resource, span, facts))
    return _frame(attempts, TASK_COLUMNS), _frame(publishes, _SENT_COLUMNS)


def _frame(rows: list[Row], columns: dict[str, str]) -> pd.DataFrame:
    # By way of objects: with a missing instant among them, pandas would make the others floats,
    # which hold Unix nanoseconds only to the next 256.
    return pd.DataFrame(rows, columns=pd.Index(columns), dtype=object).astype(columns)


def _labels(resource: Plain) -> Row:
    return {
        "scenario": resource.get("taskscope.scenario", ""),
        "framework": resource.get("taskscope.framework", ""),
        "variant": resource.get("taskscope.variant", ""),
        "repetition": int(resource.get("taskscope.repetition", -1)),
    }


def _attempt(resource: Plain, span: Span, facts: Plain) -> Row:
    outcome = facts["taskqueue.outcome"]
    never_ran = outcome in _TAKEN_BACK and span.startTimeUnixNano == span.endTimeUnixNano
    return {
        **_labels(resource),
        "task_id": facts["messaging.message.id"],
        "trace_id": span.traceId,
        "span_id": span.spanId,
        "task": facts["taskqueue.task"],
        "queue": facts["messaging.destination.name"],
        "outcome": outcome,
        "attempt": facts["taskqueue.attempt"],
        "worker": f"{resource.get('service.instance.id', '')}/{facts['process.pid']}",
        "scheduled_ns": facts.get("taskqueue.scheduled_unix_nano"),
        "sent_ns": facts.get("taskqueue.sent_unix_nano"),
        "due_ns": facts.get("taskqueue.due_unix_nano"),
        "received_ns": facts.get("taskqueue.received_unix_nano"),
        "started_ns": None if never_ran else int(span.startTimeUnixNano),
        "completed_ns": int(span.endTimeUnixNano),
        "acked_ns": facts.get("taskqueue.acked_unix_nano"),
    }


def _publish(resource: Plain, span: Span, facts: Plain) -> Row:
    return {
        **_labels(resource),
        "task_id": facts["messaging.message.id"],
        "scheduled_ns": facts.get("taskqueue.scheduled_unix_nano"),
        "sent_ns": int(span.startTimeUnixNano),
        "accepted_ns": int(span.endTimeUnixNano),
        "failed": span.status.code == ERROR,
    }


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
            yield {
                **cell.labels(manifest.session), "repetition": cell.repetition, "metric": metric,
                "value": value, "lower": None, "upper": None, "unit": unit, "source": "traces",
                "query": "",
            }  # fmt: skip


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

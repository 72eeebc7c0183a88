"""What `taskscope trace` shows: attempts chosen from a run, explained, with their exceptions."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from extract import clocks
from extract.dataset import Dataset
from extract.exceptions import Failure, failures
from extract.manifest import Manifest
from extract.samples import Timeline
from extract.slow import choose, explain
from taskscope import grafana
from taskscope.errors import UsageError

type Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """Which attempts: the slowest so many, all of one task, or only those that failed."""

    count: int
    task_id: str | None = None
    failed: bool = False


def answer(directory: Path, manifest: Manifest, data: Dataset, question: Question) -> list[Record]:
    """Return one record for each attempt that was asked for; UsageError for an unknown task."""
    tasks = data.tasks
    rows = choose(tasks, question.count, task_id=question.task_id, failed=question.failed)
    if question.task_id and not rows:
        what = "failed" if question.failed else "was measured"
        raise UsageError(f"No task {question.task_id} {what} in this run.",
                         "taskscope trace DIR --slowest 20 lists some.")  # fmt: skip
    samples = Timeline(data.timeline, manifest.cells)
    records = [slow.record() for slow in explain(tasks, rows, samples)]
    found = _failures(directory, records)
    return [
        {**record, "error": _plain(found.get(record["span_id"])),
         "clock": clocks.of_record(data.clocks, record)}
        for record in records
    ]  # fmt: skip


def with_addresses(records: Iterable[Record], base: str, datasource: str) -> list[Record]:
    """Add where each trace can be seen, in the Grafana at `base`."""
    return [{**r, "trace_url": grafana.trace_url(base, datasource, r)} for r in records]


def _plain(failure: Failure | None) -> dict[str, str] | None:
    return {"type": failure.type, "message": failure.message} if failure else None


def _failures(directory: Path, records: Iterable[Record]) -> dict[str, Failure]:
    span_ids = {record["span_id"] for record in records if record["outcome"] != "success"}
    try:
        return failures(directory / "traces", span_ids)
    except msgspec.DecodeError as error:
        raise UsageError(f"A trace file is damaged: {error}.",
                         "Restore it from a copy.") from None  # fmt: skip
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}.",
                         "Check that you may read the run's files.") from None  # fmt: skip

"""Slow tasks: which they were, where their time went, and why.

Everything comes from the dataset's tasks: their instants, and those of all others at the time.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from extract.causes import Case, Cause, Cell, NoSamples, Samples
from extract.decide import decide
from extract.intervals import Overlaps
from extract.life import MISSING, Life
from extract.standstill import standstills
from extract.surroundings import Surroundings
from extract.traces import attempt_stages

_MS: Final = 1e6
_NAMED: Final = 5
_CELL = ["scenario", "framework", "variant", "repetition"]
_FACTS = ["task_id", "trace_id", "span_id", *_CELL, "task", "queue", "outcome", "attempt", "worker"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another attempt, and for how long of the stage in question it was there."""

    task_id: str
    task: str
    overlap_ms: float
    execution_ms: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How many there were, and the ones that were there longest."""

    count: int
    longest: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Slow:
    """One attempt, explained."""

    #: Its row of the dataset: ids, names, outcome, and all stages in milliseconds.
    facts: dict[str, Any]
    life: Life
    cause: Cause
    second: Cause | None
    #: Tasks that lay in its queue when it was sent; None where nobody noted that.
    queue_depth: int | None
    #: What its process executed, and its worker held, during its longest stage.
    executing: Neighbours
    held: Neighbours
    worker_cpu_cores: float | None

    def record(self) -> dict[str, Any]:
        """Return everything as plain data, durations in milliseconds; for JSON and reports."""
        origin = self.life.segments[0].start_ns if self.life.segments else 0
        return {
            **self.facts,
            "total_ms": self.life.ns / _MS,
            "begin_ns": origin,
            "stages": [
                {"stage": s.stage, "start_ms": (s.start_ns - origin) / _MS,
                 "duration_ms": s.ns / _MS, "share": self.life.share(s.ns)}
                for s in self.life.segments
            ],
            "clocks_disagree": list(self.life.backwards),
            "cause": self._plain(self.cause),
            "second": self._plain(self.second) if self.second else None,
            "queue_depth": self.queue_depth,
            "executing": asdict(self.executing),
            "held": asdict(self.held),
            "worker_cpu_cores": self.worker_cpu_cores,
        }  # fmt: skip

    def _plain(self, cause: Cause) -> dict[str, Any]:
        return {"kind": cause.kind, "explains_ms": cause.explains_ns / _MS,
                "share": self.life.share(cause.explains_ns), "evidence": list(cause.evidence),
                "remedy": cause.remedy}  # fmt: skip


def choose(
    tasks: pd.DataFrame, count: int, *, task_id: str | None = None, failed: bool = False
) -> list[int]:
    """Return the positions of the `count` slowest attempts end to end, the slowest first.

    `task_id` chooses all attempts of one task instead, in their order; `failed` leaves out what
    ended well or was retried.
    """
    wanted = np.ones(len(tasks), dtype=np.bool_)
    if task_id is not None:
        wanted &= (tasks["task_id"] == task_id).to_numpy(dtype=np.bool_, na_value=False)
    if failed:
        wanted &= (tasks["outcome"] == "failure").to_numpy(dtype=np.bool_, na_value=False)
    rows = np.flatnonzero(wanted)
    if task_id is not None:
        by = tasks["started_ns"].iloc[rows].to_numpy(dtype=np.int64, na_value=MISSING)
        return [int(row) for row in rows[np.argsort(by, kind="stable")]]
    took = attempt_stages(tasks)["end_to_end"].iloc[rows]
    by = -took.to_numpy(dtype=np.int64, na_value=MISSING)
    return [int(row) for row in rows[np.argsort(by, kind="stable")[:count]]]


def explain(
    tasks: pd.DataFrame, positions: list[int], samples: Samples | None = None
) -> list[Slow]:
    """Explain the attempts at these positions of the dataset's tasks."""
    cells: dict[Cell, tuple[Surroundings, Any]] = {}
    found = []
    stages = _stages(tasks.iloc[positions])
    for number, position in enumerate(positions):
        cell = Cell(*(_plain(tasks[name].iloc[position]) for name in _CELL))
        if cell not in cells:
            cells[cell] = _surroundings(tasks, cell)
        around, rows = cells[cell]
        facts = {name: _plain(tasks[name].iloc[position]) for name in _FACTS}
        facts |= {str(name): _plain(stages[name].iloc[number]) for name in stages}
        row = int(np.searchsorted(rows, position))
        found.append(_explained(cell, around, row, facts, samples or NoSamples()))
    return found


def slowest(
    tasks: pd.DataFrame, count: int, samples: Samples | None = None
) -> list[dict[str, Any]]:
    """Return the slowest attempts, explained, as plain records."""
    return [slow.record() for slow in explain(tasks, choose(tasks, count), samples)]


def _surroundings(tasks: pd.DataFrame, cell: Cell) -> tuple[Surroundings, Any]:
    same = np.ones(len(tasks), dtype=np.bool_)
    for name in _CELL:
        same &= (tasks[name] == getattr(cell, name)).to_numpy(dtype=np.bool_, na_value=False)
    rows = np.flatnonzero(same)
    return Surroundings(tasks.iloc[rows]), rows


def _stages(chosen: pd.DataFrame) -> pd.DataFrame:
    """Return the stages as the dataset has them, in milliseconds."""
    stages = attempt_stages(chosen)
    stages["schedule_lag"] = chosen["sent_ns"] - chosen["scheduled_ns"].fillna(chosen["sent_ns"])
    return (stages.astype("Float64") / _MS).add_suffix("_ms")


def _plain(value: Any) -> Any:
    if value is pd.NA or value is None:
        return None
    return value.item() if isinstance(value, np.generic) else value


def _explained(
    cell: Cell, around: Surroundings, row: int, facts: dict[str, Any], samples: Samples
) -> Slow:
    life = around.life(row)
    span = (life.segments[0].start_ns, life.segments[-1].end_ns) if life.segments else (0, 0)
    pauses = tuple(standstills(around, int(around.instance[row]), *span))
    case = Case(cell, around, row, life, pauses, samples)
    first, second = decide(case)
    longest = life.longest().span
    executing = around.executing(case.worker).within(*longest)
    held = around.held(case.instance).within(*longest)
    return Slow(
        facts=facts, life=life, cause=first, second=second, queue_depth=_depth(case),
        executing=_neighbours(case, executing), held=_neighbours(case, held),
        worker_cpu_cores=samples.worker_cpu_cores(cell, *longest),
    )  # fmt: skip


def _depth(case: Case) -> int | None:
    if case.around.entered(case.row) == MISSING:
        return None
    return case.around.waiting(case.queue).count(case.around.entered(case.row))


def _neighbours(case: Case, some: Overlaps) -> Neighbours:
    others = some.where(some.rows != case.row)
    attempts, took = case.around.attempts, case.around.execution_ns
    first = np.argsort(-others.overlap_ns, kind="stable")[:_NAMED]
    named = tuple(
        Neighbour(str(attempts["task_id"].iloc[row]), str(attempts["task"].iloc[row]),
                  float(ns) / _MS, float(took[row]) / _MS)
        for row, ns in zip(others.rows[first], others.overlap_ns[first], strict=True)
    )  # fmt: skip
    return Neighbours(len(others), named)

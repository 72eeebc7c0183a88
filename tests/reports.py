"""Made-up runs for the report: a manifest and a dataset, without anything being measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from datasets import dataset

from extract import timeline
from extract.dataset import Dataset
from extract.manifest import CellRecord, Manifest
from extract.report import Run
from extract.traces import TASK_COLUMNS

START = 1_795_308_000
TASKS = 200

type Values = Mapping[tuple[str, str], Sequence[float | None]]


def scenario(name: str, variants: Sequence[str], arrivals: str = "asap") -> dict[str, Any]:
    return {
        "name": name, "title": f"Title of {name}", "description": "What it is for.",
        "headline": list(variants[:2]) if len(variants) > 1 else [],
        "load": {"arrivals": {"kind": arrivals, "numbers": {}}, "in_flight": 8},
        "run": {"seed": 1, "repetitions": 3},
        "variants": [{"name": v, "framework": "f", "description": "", "settings": {}}
                     for v in variants],
    }  # fmt: skip


def run(
    scenarios: Mapping[str, tuple[Values, Mapping[tuple[str, int], str]]],
    arrivals: str = "asap",
    overhead: pd.DataFrame | None = None,
) -> Run:
    """Each scenario has values by (variant, metric), and the cells that failed their audit."""
    tables = [dataset(v, failed, scenario=name) for name, (v, failed) in scenarios.items()]
    results, audit = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    cells = [
        CellRecord(str(s), "f", str(v), int(r), TASKS, START + 100.0 * r, START + 100.0 * r + 50)
        for (s, v, r), _ in audit.groupby(["scenario", "variant", "repetition"], sort=False)
    ]  # fmt: skip
    tasks = pd.concat([_tasks(cell, arrivals) for cell in cells], ignore_index=True)
    traces = [row for cell in cells for row in _means(cell)]
    results = pd.concat([results, pd.DataFrame(traces)], ignore_index=True)
    agreement = pd.DataFrame(columns=["metric", "traces", "difference"])
    followed = timeline.table(row for cell in cells for row in _followed(cell))
    known = {name: list(dict.fromkeys(v for v, _ in values)) for name, (values, _) in
             scenarios.items()}  # fmt: skip
    manifest = Manifest(
        session="x", created="2026-11-22T01:02:03+00:00", status="complete",
        command=("run", "throughput"), prometheus="native", redis="native",
        machine={"cpu": "Some CPU", "cores": 2.0, "doubts": []}, versions={"python": "3.12"},
        scenarios=tuple(scenario(n, vs, arrivals) for n, vs in known.items()),
        order=tuple(str(i) for i in range(len(cells))), cells=tuple(cells),
    )  # fmt: skip
    settings = {n: {v: {"framework": "f", "pool": v} for v in vs} for n, vs in known.items()}
    return Run(manifest, Dataset(results, tasks, audit, agreement, followed), settings, overhead)


def _tasks(cell: CellRecord, arrivals: str) -> pd.DataFrame:
    rng = np.random.default_rng(cell.repetition)
    sent = (START + 100 * cell.repetition) * 10**9 + np.sort(rng.integers(0, 10**9, TASKS))
    received = sent + rng.integers(10**6, 10**8, TASKS)
    started = received + rng.integers(10**5, 10**6, TASKS)
    completed = started + rng.integers(0, 10**7, TASKS)
    frame = pd.DataFrame(index=range(TASKS), columns=pd.Index(TASK_COLUMNS), dtype=object)
    frame = frame.assign(
        scenario=cell.scenario, framework="f", variant=cell.variant, repetition=cell.repetition,
        task="<script>alert(1)</script>", outcome="success", attempt=1, sent_ns=sent,
        task_id=[f"{cell.variant}-{cell.repetition}-{n}" for n in range(TASKS)], queue="q",
        worker="host:1/1",
        received_ns=received, started_ns=started, completed_ns=completed,
        scheduled_ns=sent - 10**5 if arrivals != "asap" else pd.NA,
    )  # fmt: skip
    return frame.astype(TASK_COLUMNS)


def _means(cell: CellRecord) -> list[dict[str, Any]]:
    return [
        {**cell.labels("x"), "repetition": cell.repetition, "metric": f"{stage}_mean",
         "value": value * cell.repetition, "unit": "s", "source": "traces", "query": ""}
        for stage, value in (("broker_wait", 0.05), ("execution", 0.005))
    ]  # fmt: skip


def _followed(cell: CellRecord) -> list[dict[str, Any]]:
    return [
        {**cell.labels("x"), "repetition": cell.repetition, "metric": "queue_depth_over_time",
         "seconds": float(second), "value": 10.0 * second, "unit": "tasks", "query": "q"}
        for second in range(3)
    ]  # fmt: skip


FASTER: Values = {
    ("a", "throughput"): [4000.0, 4100.0, 4050.0, 3950.0, 4020.0],
    ("b", "throughput"): [1000.0, 1010.0, 1005.0, 995.0, 1002.0],
    ("a", "end_to_end_p99"): [0.1, 0.11, 0.1, 0.105, 0.1],
    ("b", "end_to_end_p99"): [0.4, 0.41, 0.4, 0.405, 0.42],
}

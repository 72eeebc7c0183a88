"""Run directories whose dataset is made up: for commands that read one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from datasets import Cell, dataset

from extract.dataset import Dataset
from extract.manifest import CellRecord, Manifest

MACHINE = {"cpu": "a CPU", "cores": 2.0, "architecture": "x", "platform": "Linux"}


def made_run(  # noqa: PLR0913 - what a run can differ in
    directory: Path,
    values: Mapping[tuple[str, str], Sequence[float | None]],
    *,
    scenario: str = "s",
    session: str = "x",
    created: str = "2026-11-21T12:00:00+00:00",
    failed: Mapping[Cell, str] | None = None,
    machine: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    count: int = 200,
    bounds: Mapping[tuple[str, str], tuple[float, float]] | None = None,
) -> Path:
    """Write a run of one scenario with these values, and return its directory."""
    results, audit = dataset(values, failed, scenario=scenario, session=session, bounds=bounds)
    variants = list(dict.fromkeys(variant for variant, _ in values))
    repetitions = max(len(series) for series in values.values())
    cells = tuple(
        CellRecord(scenario, "f", variant, repetition, count, start=1.0, end=2.0)
        for repetition in range(1, repetitions + 1)
        for variant in variants
    )
    manifest = Manifest(
        session, created, "complete", (), "native", "native", {**MACHINE, **(machine or {})},
        dict(versions or {"python": "3.12"}), (_scenario(scenario, variants, repetitions, count),),
        tuple(f"{c.scenario}/{c.variant}/{c.repetition}" for c in cells), cells,
    )  # fmt: skip
    directory.mkdir(parents=True)
    manifest.write(directory)
    Dataset(results, pd.DataFrame(), audit, pd.DataFrame()).write(directory / "dataset")
    return directory


def _scenario(name: str, variants: list[str], repetitions: int, count: int) -> dict[str, Any]:
    return {
        "name": name,
        "title": "Made up",
        "headline": variants[:2] if len(variants) > 1 else [],
        "workload": {"task": "noop", "count": count, "arguments": {}},
        "load": {"arrivals": {"kind": "asap", "numbers": {}}, "in_flight": 50},
        "run": {"repetitions": repetitions, "warmup": 1, "concurrency": 10, "seed": 1,
                "queue": "q"},
        "variants": [
            {"name": v, "framework": "celery", "description": "Made up.", "settings": {}}
            for v in variants
        ],
    }  # fmt: skip

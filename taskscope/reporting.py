"""The report of a run, from its directory: everything it needs, gathered and handed over."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from extract import overhead, report
from extract.dataset import Dataset
from extract.manifest import Manifest
from taskscope.errors import TaskscopeError
from taskscope.overhead_show import sentence
from taskscope.summary import doubts, headline, settings


def write_report(directory: Path, manifest: Manifest, data: Dataset) -> list[Path]:
    """Write `report/` into the run directory; return its files, the page first."""
    run = report_run(directory, manifest, data)
    folder = directory / "report"
    try:
        return report.write(folder, run)
    except OSError as error:
        raise TaskscopeError(
            f"{folder} cannot be written: {error.strerror or error}.",
            "Make room, or copy the run to where you may write.",
        ) from None


def report_run(directory: Path, manifest: Manifest, data: Dataset) -> report.Run:
    """Return all that a report is written from."""
    timed = overhead.read(directory / "dataset")
    return report.Run(
        manifest,
        data,
        {s["name"]: {v["name"]: settings(s, v) for v in s["variants"]} for s in manifest.scenarios},
        timed,
        {} if timed is None else {s["name"]: _cost(timed, s) for s in manifest.scenarios},
    )


def _cost(timed: pd.DataFrame, scenario: Mapping[str, Any]) -> report.Cost:
    pair = headline(scenario)
    found = overhead.ledger(timed, scenario["name"], pair)
    words = sentence(found, [name for name in pair if name])
    return report.Cost(words, tuple(doubts(found, pair)))

"""The report of a run, from its directory: everything it needs, gathered and handed over."""

from pathlib import Path

import pandas as pd

from extract import report
from extract.dataset import Dataset
from extract.manifest import Manifest
from taskscope.errors import TaskscopeError
from taskscope.summary import settings


def write_report(directory: Path, manifest: Manifest, data: Dataset) -> list[Path]:
    """Write `report/` into the run directory; return its files, the page first."""
    run = report.Run(
        manifest,
        data,
        {s["name"]: {v["name"]: settings(s, v) for v in s["variants"]} for s in manifest.scenarios},
        _overhead(directory / "dataset" / "overhead.parquet"),
    )
    folder = directory / "report"
    try:
        return report.write(folder, run)
    except OSError as error:
        raise TaskscopeError(
            f"{folder} cannot be written: {error.strerror or error}.",
            "Make room, or copy the run to where you may write.",
        ) from None


def _overhead(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.exists() else None

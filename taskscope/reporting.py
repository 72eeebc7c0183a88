"""The report of a run, from its directory: everything it needs, gathered and handed over."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pandas as pd

from extract import flames, overhead, report
from extract.dataset import Dataset
from extract.flames import Stacks
from extract.manifest import Manifest, Problem, ProfileRecord
from taskscope.errors import TaskscopeError
from taskscope.overhead_show import sentence
from taskscope.summary import headline, settings


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
        [] if timed is None else list(_costs(timed, manifest)),
        [_profile(directory, record) for record in manifest.profiles],
    )


def _costs(timed: pd.DataFrame, manifest: Manifest) -> Iterator[str]:
    """Yield what the ledger says of each scenario's headline pair."""
    for scenario in manifest.scenarios:
        pair = [name for name in headline(scenario) if name]
        if words := sentence(overhead.ledger(timed, scenario["name"], pair), pair):
            yield words


def _profile(directory: Path, record: ProfileRecord) -> tuple[ProfileRecord, Stacks]:
    """Return a profile with its stacks; where these are not there, with a problem that says so."""
    if not record.stacks:
        return record, {}
    try:
        return record, flames.read(directory / record.stacks)
    except (OSError, ValueError) as error:
        problem = Problem("profile", f"{record.stacks} cannot be read: {error}", "Copy it too.")
        lost = msgspec.structs.replace(record, page="", problems=(*record.problems, problem))
        return lost, {}

"""From a run directory to its dataset, by Prometheus on the stored TSDB or the one that scraped."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from compose.native import replayed_prometheus
from extract import dataset
from extract.dataset import Dataset
from extract.manifest import Manifest
from taskscope import prometheus_api, spans_endpoint, tempo_api
from taskscope.errors import TaskscopeError, UsageError


def derive(
    directory: Path,
    manifest: Manifest,
    prometheus_url: str | None,
    tempo_url: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Derive the dataset again from what the run stored, and write it into `dataset/`.

    Traces are fetched from Tempo first, where its URL is given; `report` hears how far that is.
    UsageError if a part of the run is missing or damaged, ServiceError without a Prometheus.
    """
    if tempo_url:
        _fetch(directory, manifest, tempo_url, report)
    if not (directory / "traces").is_dir():
        raise _incomplete(directory, "traces", "spans")
    if manifest.prometheus == "native":
        derived = _from_stored(directory, manifest)
    elif prometheus_url:
        prometheus_api.check(prometheus_url)
        derived = _from(directory, manifest, prometheus_url)
    else:
        raise UsageError(
            f"This run was recorded by the Prometheus at {manifest.prometheus}.",
            "Give its address with --prometheus-url.",
        )
    try:
        derived.write(directory / "dataset")
    except OSError as error:
        raise TaskscopeError(
            f"{directory / 'dataset'} cannot be written: {error.strerror or error}.",
            "Make room, or copy the run to where you may write.",
        ) from None
    return derived


def _fetch(
    directory: Path, manifest: Manifest, tempo_url: str, report: Callable[[str], None]
) -> None:
    if manifest.traces == spans_endpoint.NATIVE:
        raise UsageError(
            "The spans of this run lie in its own traces/ folder, not in a Tempo.",
            "Leave --tempo-url out.",
        )
    tempo_api.check(tempo_url)
    fetched = tempo_api.fetch(tempo_url, manifest, directory / "traces", report)
    if fetched.unfinished:
        report(
            f"{fetched.unfinished:,} traces hold no attempt at a task: its spans were lost, or "
            "come later. Derive again to see: taskscope extract"
        )


def _from(directory: Path, manifest: Manifest, url: str) -> Dataset:
    try:
        with prometheus_api.explained(url):
            return dataset.derive(directory, manifest, prometheus_api.connect(url))
    except msgspec.DecodeError as error:
        raise UsageError(
            f"A trace file is damaged: {error}.",
            "Restore it from a copy. Or take the line out: the audit will count what is missing.",
        ) from None


def _from_stored(directory: Path, manifest: Manifest) -> Dataset:
    tsdb = directory / "prometheus"
    if not tsdb.is_dir():
        raise _incomplete(directory, "prometheus", "series")
    with (
        tempfile.TemporaryDirectory(prefix="taskscope-") as scratch,
        replayed_prometheus(tsdb, Path(scratch)) as url,
    ):
        return _from(directory, manifest, url)


def _incomplete(directory: Path, folder: str, what: str) -> UsageError:
    return UsageError(
        f"{directory} has no {folder}/ folder: the {what} it was measured by are missing.",
        "Copy the whole run directory: manifest.json, prometheus/ and traces/ belong together.",
    )


def load(directory: Path, manifest: Manifest, prometheus_url: str | None = None) -> Dataset:
    """Return the dataset if it was derived before and is whole, else derive it."""
    try:
        return dataset.read(directory / "dataset")
    except (OSError, ValueError):  # pyarrow calls a damaged file either
        return derive(directory, manifest, prometheus_url)

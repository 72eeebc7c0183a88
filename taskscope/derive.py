"""From a run directory to its dataset, by Prometheus on the stored TSDB or the one that scraped."""

import tempfile
from pathlib import Path

from prometheus_api_client import PrometheusConnect

from compose.native import replayed_prometheus
from extract import dataset
from extract.dataset import Dataset
from extract.manifest import Manifest
from taskscope.errors import UsageError


def derive(directory: Path, manifest: Manifest, prometheus_url: str | None) -> Dataset:
    """Derive the dataset again from what the run stored, and write it into `dataset/`."""
    if manifest.prometheus == "native":
        derived = _from_stored(directory, manifest)
    elif prometheus_url:
        derived = dataset.derive(directory, manifest, PrometheusConnect(url=prometheus_url))
    else:
        raise UsageError(
            f"This run was recorded by the Prometheus at {manifest.prometheus}.",
            "Give its address with --prometheus-url.",
        )
    derived.write(directory / "dataset")
    return derived


def _from_stored(directory: Path, manifest: Manifest) -> Dataset:
    tsdb = directory / "prometheus"
    if not tsdb.is_dir():
        raise UsageError(
            f"{directory} has no prometheus/ folder: the series it was measured by are missing.",
            "Copy the whole run directory: manifest.json, prometheus/ and traces/ belong together.",
        )
    with (
        tempfile.TemporaryDirectory(prefix="taskscope-") as scratch,
        replayed_prometheus(tsdb, Path(scratch)) as url,
    ):
        return dataset.derive(directory, manifest, PrometheusConnect(url=url))


def load(directory: Path, manifest: Manifest, prometheus_url: str | None = None) -> Dataset:
    """Return the dataset if it was derived before, else derive it."""
    try:
        return dataset.read(directory / "dataset")
    except FileNotFoundError:
        return derive(directory, manifest, prometheus_url)

"""`taskscope export`: the dataset of a run in another form."""

from collections.abc import Callable, Iterator
from pathlib import Path

from extract import legacy
from extract.dataset import Dataset
from extract.legacy import Export
from extract.manifest import Manifest
from taskscope import rundir, together
from taskscope.derive import load
from taskscope.errors import UsageError

FOLDER = "results"
FORMATS: dict[str, Callable[[Manifest, Dataset], Iterator[Export]]] = {
    legacy.FORMAT: legacy.exports,
}


def export(directory: Path, form: str, out: Path | None) -> list[str]:
    """Write every scenario of a run, and return the paths of the files.

    UsageError for a directory that is no run, or one that cannot be written.
    """
    manifest = rundir.open_run(directory)
    together.refuse(manifest, directory)
    target = directory / FOLDER if out is None else out
    exports = FORMATS[form](manifest, load(directory, manifest))
    try:
        return [str(path) for each in exports for path in each.write(target)]
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}.",
            "Name a directory on a writable disk with --out.",
        ) from None

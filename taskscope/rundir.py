"""The run directory: named, made, never overwritten."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import ENOTDIR
from pathlib import Path

import msgspec

from extract import manifest, overhead
from extract.manifest import Manifest
from taskscope.errors import TaskscopeError, UsageError

DEFAULT_PARENT = Path("runs")


def create(out: Path | None, name: str) -> Path:
    """Make a run's directory: `out`, or runs/<time>-<name>; UsageError if it exists already."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    directory = out or DEFAULT_PARENT / f"{stamp}-{name}"
    try:
        _make_parents(directory)
        directory.mkdir()
        probe = directory / ".writable"
        probe.write_bytes(b"1")
        probe.unlink()
    except FileExistsError:
        raise UsageError(
            f"{directory} exists already; a run is never overwritten.",
            "Name another directory with --out, or leave the option out.",
        ) from None
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be made or written: {error.strerror or error}.",
            "Name a directory on a writable disk with room for the run (--out DIR).",
        ) from None
    return directory.resolve()


def _make_parents(directory: Path) -> None:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # not to be taken for the run's own directory
        raise NotADirectoryError(ENOTDIR, "a folder above it is a file") from error


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Explain a disk that fails or fills up in the middle."""
    try:
        yield
    except OSError as error:
        raise TaskscopeError(
            f"{directory} cannot be written any more: {error.strerror or error}.",
            "Free some space, or name a directory on another disk with --out.",
        ) from None


def open_run(directory: Path) -> Manifest:
    """Read the manifest of an existing run. UsageError if the directory is no run."""
    if overhead.is_ledger(directory):
        raise UsageError(
            f"{directory} holds a ledger of `taskscope overhead`, not a run.",
            "Its figures are in dataset/. `taskscope overhead --into RUN` puts one beside a run's.",
        )
    try:
        found = manifest.read(directory)
    except FileNotFoundError:
        what = "has no manifest.json" if directory.is_dir() else "does not exist"
        raise UsageError(
            f"{directory} is not a run directory: it {what}.",
            f"Give a directory that `taskscope run` made, such as those in {DEFAULT_PARENT}/.",
        ) from None
    except NotADirectoryError:
        raise UsageError(f"{directory} is a file, not a run directory.",
                         "Give the directory that holds manifest.json.") from None  # fmt: skip
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{directory / manifest.FILE_NAME} is damaged: {error}.",
            "Restore it from a copy: without its marks the run cannot be evaluated.",
        ) from None
    except OSError as error:
        raise UsageError(
            f"{directory / manifest.FILE_NAME} cannot be read: {error.strerror or error}.",
            "Check that it is a file, and that you may read it.",
        ) from None
    if found.format != manifest.FORMAT:
        raise UsageError(
            f"{directory} has format {found.format}; this taskscope reads {manifest.FORMAT}.",
            "Use the version of taskscope that made it: see versions in its manifest.json.",
        )
    return found

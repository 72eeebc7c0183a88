"""The run directory: named, made, never overwritten."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from extract import manifest
from extract.manifest import Manifest
from taskscope.errors import UsageError

DEFAULT_PARENT = Path("runs")


def create(out: Path | None, name: str) -> Path:
    """Make a run's directory: `out`, or runs/<time>-<name>; UsageError if it exists already."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    directory = out or DEFAULT_PARENT / f"{stamp}-{name}"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
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


def open_run(directory: Path) -> Manifest:
    """Read the manifest of an existing run. UsageError if the directory is no run."""
    try:
        return manifest.read(directory)
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

"""A TOML file as a mapping, or an error that says which file and which line."""

import tomllib
from pathlib import Path

from taskscope.errors import UsageError


def load(path: Path) -> dict[str, object]:
    """Read a TOML file. UsageError where it cannot be read, is not UTF-8, or is not TOML."""
    text = _decoded(path, _content(path))
    try:
        return tomllib.loads(text)
    # TOMLDecodeError is a ValueError; so is the limit on digits, and nesting has its own.
    except (ValueError, RecursionError) as error:
        last = f"at line {text.count('\n') + 1}, the end of the file"
        reason = str(error).replace("at end of document", last)
        raise UsageError(
            f"{path}: not valid TOML: {reason}",
            "Correct that line; text stands in quotes, and a table begins with [its.name].",
        ) from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{path}: cannot be read: {reason}", "Check the path, and that you may read the file."
        ) from error


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{path}: not UTF-8 text (line {line})", "Save the file as UTF-8, as TOML requires."
        ) from error

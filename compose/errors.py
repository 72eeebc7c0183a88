"""What can go wrong with a service: it says which, why, and shows its last log lines."""

from pathlib import Path

_TAIL_LINES = 12


class ServiceError(Exception):
    """A service did not start, is not what it should be, or ended by itself."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


def tail(log: Path) -> str:
    """Return the last lines of a log, indented, to stand below an error."""
    try:
        lines = log.read_text(errors="replace").rstrip().splitlines()[-_TAIL_LINES:]
    except OSError:
        return "    (no log)"
    return "\n".join(f"    {line}" for line in lines) or "    (the log is empty)"

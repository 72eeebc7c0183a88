"""Leaves no process behind, even when taskscope itself is killed with SIGKILL.

Every process of a stack inherits an environment variable with the session's mark. The guardian, in
a session of its own, holds the read end of a pipe that only taskscope holds the other end of.
When that end closes, however taskscope ended, it ends every process that bears the mark.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil

from compose.command import python

MARK = "TASKSCOPE_SESSION"
_GRACE_SECONDS = 3.0
_SWEEPS = 20


def start(mark: str) -> subprocess.Popen[bytes]:
    """Start a guardian; closing its stdin, or dying, sets it to work."""
    environ = {key: value for key, value in os.environ.items() if key != MARK}
    return subprocess.Popen(
        python("compose.guardian", mark),
        stdin=subprocess.PIPE,
        env=environ,
        start_new_session=True,
    )


def marked(mark: str) -> list[psutil.Process]:
    """Return all live processes that bear the mark."""
    return [p for p in psutil.process_iter() if _mark_of(p) == mark]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def sweep(mark: str) -> None:
    """End every marked process: first politely, then for good, until none is left."""
    for process in (found := marked(mark)):
        _send(process, "terminate")
    psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for _ in range(_SWEEPS):
        if not (found := marked(mark)):
            return
        for process in found:
            _send(process, "kill")
        time.sleep(0.1)


def _send(process: psutil.Process, how: str) -> None:
    with suppress(psutil.Error):
        getattr(process, how)()


if __name__ == "__main__":
    sys.stdin.buffer.read()
    sweep(sys.argv[1])

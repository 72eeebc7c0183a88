"""One service as a child process: started, watched until it is ready, and stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from compose.command import Command
from compose.errors import ServiceError, tail

_POLL_SECONDS = 0.02
_REAP_SECONDS = 1.0


class Process:
    """A running service. Its output goes to `log`, its process group is its own.

    Ctrl-C in the terminal therefore reaches only taskscope, which stops the services in order.
    It works in `cwd`: Celery imports from there before anything else.
    """

    def __init__(  # noqa: PLR0913 - what starting a process takes
        self,
        name: str,
        command: Command,
        log: Path,
        environ: Mapping[str, str] = os.environ,
        *,
        cwd: Path | None = None,
        piped: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        pipe = subprocess.PIPE if piped else subprocess.DEVNULL
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command.argv,
                cwd=cwd,
                env={**environ, **command.environ},
                stdin=pipe,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, and its group's."""
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        """Where to write to, if piped."""
        assert self._popen.stdin is not None  # noqa: S101
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Where to read from, if piped."""
        assert self._popen.stdout is not None  # noqa: S101
        return self._popen.stdout

    def exit_code(self) -> int | None:
        """Return None while it runs; a negative number is the signal that killed it."""
        return self._popen.poll()

    def has_ended(self) -> bool:
        """Whether it ended, or is about to: its connections close a moment before."""
        return self._wait(_REAP_SECONDS) is not None

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait for `ready`; ServiceError, with the last log lines, if it ends or takes longer."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code() is not None:
                raise self.died()
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{self.name} was not ready after {seconds:g} s. Its last lines:\n"
                    + tail(self.log),
                    f"See {self.log}; on a busy machine, try again when it is idle.",
                )
            time.sleep(_POLL_SECONDS)

    def died(self) -> ServiceError:
        """Return the error that says it ended by itself, with its last log lines."""
        code = self._wait(_REAP_SECONDS)  # its pipes close a moment before
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else (
            f"ended with exit code {code}")  # fmt: skip
        last_lines = tail(self.log)
        remedy = f"See {self.log}."
        if "ddress already in use" in last_lines:
            remedy = "Something else took the port. Run again: another free port will be chosen."
        return ServiceError(f"{self.name} {how}. Its last lines:\n{last_lines}", remedy)

    def stop(self, grace_seconds: float) -> bool:
        """Ask it to end, insist after the grace; return whether it went by itself."""
        descendants = self._descendants()
        self._signal(signal.SIGCONT)  # a stopped process could not obey
        self._signal(signal.SIGTERM)
        by_itself = self._wait(grace_seconds) is not None
        if not by_itself:
            self._popen.kill()
            self._popen.wait()
        for straggler in descendants:
            _kill(straggler)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # orphans, where it had ended before
        return by_itself

    def interrupt(self, grace_seconds: float) -> bool:
        """Send it SIGINT, as Ctrl-C would; return whether it has ended by the end of the grace."""
        self._signal(signal.SIGINT)
        return self._wait(grace_seconds) is not None

    def _wait(self, seconds: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(seconds)
        return None

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _signal(self, number: int) -> None:
        if self._popen.poll() is None:
            self._popen.send_signal(number)


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()

"""Profilers of a worker: py-spy samples where its CPU time goes, memray traces what it allocates.

py-spy looks from outside, at a worker that was started as ever. memray must be there from the
start: attaching later would need a debugger, and would miss what was allocated before.
"""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from compose.command import Command, python
from compose.errors import ServiceError

PY_SPY = "py-spy"
READY = b"Sampling process"  # what py-spy says once it has attached
_SAMPLES_A_SECOND = 200
_SECONDS = 30
INSTALL = "Install it: uv sync --extra profile, or pip install py-spy memray."
_ALLOW = (
    "Run as root; or allow it once: sudo setcap cap_sys_ptrace=eip {program}; or for all programs: "
    "sudo sysctl kernel.yama.ptrace_scope=0. A container needs --cap-add SYS_PTRACE."
)


def find() -> str:
    """Return the path of py-spy, beside this Python or on PATH. ServiceError if there is none."""
    beside = Path(sys.executable).with_name(PY_SPY)
    found = str(beside) if beside.exists() else shutil.which(PY_SPY)
    if found is None:
        raise ServiceError(f"--profile needs {PY_SPY}, which is not installed.", INSTALL)
    return found


def check(program: str) -> None:
    """ServiceError unless py-spy may look into a process of this user's that it did not start."""
    wait = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as looked_at:
        assert looked_at.stdin is not None  # noqa: S101 - it was started with pipes
        assert looked_at.stdout is not None  # noqa: S101
        looked_at.stdout.readline()
        try:
            dump = [program, "dump", "--pid", str(looked_at.pid)]
            done = subprocess.run(
                dump, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"{program} does not run: {error}.", INSTALL) from None
        finally:
            looked_at.kill()
    if done.returncode:
        words = " ".join(done.stderr.split())[:300]
        denied = "ermission" in words or "not permitted" in words
        cause = f"{PY_SPY} may not look into processes (ptrace)" if denied else f"{PY_SPY} failed"
        remedy = _ALLOW.format(program=program) if denied else INSTALL
        raise ServiceError(f"{cause}: {words}", remedy)


def remembers() -> bool:
    """Whether memray is installed."""
    return find_spec("memray") is not None


def py_spy(program: str, pid: int, svg: Path) -> Command:
    """Return py-spy on a process and its descendants; it writes the flame graph on SIGINT."""
    return Command((
        program, "record", "--pid", str(pid), "--subprocesses", "--function",
        "--rate", str(_SAMPLES_A_SECOND), "--format", "flamegraph", "--output", str(svg),
    ))  # fmt: skip


def memray(worker: Command, output: Path) -> Command:
    """Return a worker's command under memray: OUTPUT is written, and OUTPUT.PID by each fork.

    `worker` must run a module of this Python, as `command.python` has it.
    """
    before = python("memray", "run", "--quiet", "--force", "--follow-fork", "--output", str(output))
    module = worker.argv[len(python("")) - 2 :]
    return Command((*before, *module), worker.environ)


def memray_page(output: Path, html: Path) -> Command:
    """Return the command that draws memray's own flame graph, which loads nothing."""
    return Command(python("memray", "flamegraph", "--no-web", "--force", "--output", str(html),
                          str(output)))  # fmt: skip

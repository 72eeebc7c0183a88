"""The command line as a user has it, for tests: run to its end, or started and interfered with."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import requests

from compose import guardian

TASKSCOPE = (sys.executable, "-m", "taskscope.cli")
KEYS = ["scenario", "variant", "repetition"]
_RUN_SECONDS = 600.0


def eventually[T](look: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """Poll until `look` returns something true."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"never seen: {what}; last: {seen!r}"
        time.sleep(0.02)
    return seen


def taskscope(
    *arguments: object, seconds: float = _RUN_SECONDS, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*TASKSCOPE, *map(str, arguments)],
        env=_environment(environ),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    # A width at which no message is broken where a test looks for it.
    return {**os.environ, "COLUMNS": "400", "NO_COLOR": "1", **more}


@dataclass
class Run:
    """A run that goes on, and its directory."""

    process: subprocess.Popen[bytes]
    directory: Path
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "manifest.json").read_text())
        return found

    def wait_measuring(self, number: int) -> None:
        """Wait until that cell's tasks are being sent."""
        self._eventually(
            lambda: re.search(rf"(cell|pair) {number} of .* measuring", self.output),
            f"cell {number}",
            180,
        )

    def wait_worker(self) -> int:
        """Wait until a worker runs."""
        return int(self._eventually(lambda: self.roles().get("worker"), "a worker")[0])

    def roles(self) -> dict[str, list[int]]:
        """Return the processes of each role, of all cells there are."""
        found: dict[str, list[int]] = {}
        for path in sorted((self.directory / "stack").glob("roles*.json")):
            for role, pids in json.loads(path.read_text()).items():
                found[role] = list(dict.fromkeys([*found.get(role, []), *pids]))
        return found

    def ask(self, query: str) -> float:
        """Ask the run's own Prometheus; 0 for no answer."""
        command = psutil.Process(self.roles()["monitoring"][0]).cmdline()
        address = next(w.partition("=")[2] for w in command if w.startswith("--web.listen-address"))
        answer = requests.get(
            f"http://{address}/api/v1/query", params={"query": query}, timeout=5
        ).json()["data"]["result"]
        return float(answer[0]["value"][1]) if answer else 0.0

    def wait_completed(self, variant: str, tasks: int) -> None:
        """Wait until Prometheus has seen that many of the variant's tasks completed."""
        query = f'sum(taskqueue_execution_seconds_count{{variant="{variant}"}})'
        self._eventually(lambda: self.ask(query) >= tasks, f"{tasks} tasks of {variant}")

    def end(self, seconds: float = 60.0) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(seconds)

    def _eventually[T](self, look: Callable[[], T], what: str, seconds: float = 30.0) -> T:
        def alive() -> T:
            assert self.process.poll() is None, f"ended before {what}:\n{self.output}"
            return look()

        return eventually(alive, what, seconds)


@contextmanager
def started(
    directory: Path, *arguments: object, command: str = "run", **environ: str
) -> Iterator[Run]:
    """Start `taskscope run … --out directory`; whatever happens, nothing of it stays behind."""
    log = directory.with_suffix(".out")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*TASKSCOPE, command, *map(str, arguments), "--out", str(directory)],
            env=_environment(environ),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    run = Run(process, directory, log)
    try:
        yield run
    finally:
        if process.poll() is None:
            process.kill()  # the guardian does the rest
            process.wait()
        if (directory / "manifest.json").exists():
            assert_nothing_left(run.manifest["session"])


def assert_nothing_left(session: str) -> None:
    """Wait until no process bears the session's mark."""
    eventually(lambda: not guardian.marked(session), "the end of all processes", 60)


@dataclass(frozen=True)
class Finished:
    """A run that ended."""

    directory: Path
    code: int
    stdout: str
    stderr: str

    @property
    def session(self) -> str:
        return str(manifest(self.directory)["session"])


def manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    return found


def table(directory: Path, name: str) -> pd.DataFrame:
    """Read a table of the dataset."""
    return pd.read_parquet(directory / "dataset" / f"{name}.parquet")


def values(directory: Path, variant: str, source: str = "promql") -> dict[str, float]:
    """Return a variant's figures, of its only repetition."""
    rows = table(directory, "results")
    rows = rows[(rows["variant"] == variant) & (rows["source"] == source)]
    assert rows["metric"].is_unique
    return dict(zip(rows["metric"], rows["value"], strict=True))


def failed_checks(directory: Path, variant: str) -> dict[str, str]:
    """Return the checks of a variant that do not hold, with what was found."""
    rows = table(directory, "audit")
    rows = rows[(rows["variant"] == variant) & ~rows["ok"].astype(bool)]
    return dict(zip(rows["check"], rows["found"], strict=True))


def digest(directory: Path) -> dict[str, str]:
    """Return a hash of every file below a folder."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }

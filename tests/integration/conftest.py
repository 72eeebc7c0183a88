"""Runs that several tests look at: each cell takes about ten seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline import Finished, Run, started

from compose.ports import free_port

#: Five cells: two untouched, a worker paused, one killed, and one that refuses to start.
FAULTS = """
name = "faults"
title = "Known answer, with faults"
description = "Sleeps of 50 ms at 40 a second, four at once."
headline = ["asynctasq", "celery-killed"]

[workload]
task = "sleep"
count = 140
arguments = { seconds = 0.05 }

[load]
arrivals = "constant"
rate = 40.0
in_flight = 8

[run]
repetitions = 1
warmup = 8
concurrency = 6
seed = 3
queue = "taskscope"

[variants.asynctasq]
framework = "asynctasq"
description = "Left alone."

[variants.celery]
framework = "celery"
description = "Left alone."
[variants.celery.settings]
pool = "threads"
task_acks_late = true
task_ignore_result = true

[variants.asynctasq-paused]
framework = "asynctasq"
description = "Stopped for two seconds."

[variants.celery-killed]
framework = "celery"
description = "Killed while it measures."
[variants.celery-killed.settings]
pool = "prefork"
task_acks_late = true
task_ignore_result = true

[variants.celery-refused]
framework = "celery"
description = "No such pool: the worker does not start."
[variants.celery-refused.settings]
pool = "swimming"
"""
PAUSE_SECONDS = 2.0


@pytest.fixture(scope="session")
def throughput_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Measure the headline pair once, by the installed command, as JSON.

    In a folder of somebody's project, which has a tasks.py of its own as often as not; and with a
    Grafana that is not there.
    """
    place = tmp_path_factory.mktemp("throughput")
    for name in ("tasks", "queries", "compose", "celery", "extract"):
        (place / f"{name}.py").write_text(f"raise SystemExit('not our {name}')")
    directory = place / "run"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("taskscope"),
            *("run", "throughput", "--quick", "--tasks", "500", "--repetitions", "1", "--json"),
            *("--out", directory),
        ],
        cwd=place,
        env={**os.environ, "TASKSCOPE_GRAFANA_URL": f"http://127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Finished(directory, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def faulty_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run FAULTS, and do to the workers what the variants' names say."""
    place = tmp_path_factory.mktemp("faults")
    (place / "faults.toml").write_text(FAULTS)
    with started(place / "run", place / "faults.toml") as run:
        for number, cell in enumerate(_order(run), start=1):
            if cell.endswith("paused"):
                run.wait_measuring(number)
                _pause(run, cell)
            elif cell.endswith("killed"):
                run.wait_measuring(number)
                run.wait_completed(cell, 20)
                os.kill(run.roles()["worker"][0], signal.SIGKILL)
        code = run.end(120)
        return Finished(run.directory, code, "", run.output)


def _order(run: Run) -> list[str]:
    path = run.directory / "manifest.json"
    run._eventually(path.exists, "the manifest")
    order: list[str] = json.loads(path.read_text())["order"]
    return [cell.split("/")[1] for cell in order]


def _pause(run: Run, variant: str) -> None:
    run.wait_completed(variant, 20)
    worker = run.roles()["worker"][0]
    os.kill(worker, signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)  # the two seconds that must show
    os.kill(worker, signal.SIGCONT)


@pytest.fixture(scope="session")
def copy_run() -> Callable[[Path, Path], Path]:
    """Copy of a run just what must suffice to recompute every number."""

    def copy(source: Path, target: Path) -> Path:
        target.mkdir()
        shutil.copy(source / "manifest.json", target)
        for folder in ("prometheus", "traces"):
            shutil.copytree(source / folder, target / folder)
        return target

    return copy

"""Processes are started, watched and ended; none stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest
from pipeline import eventually

import prometheus
from compose import guardian
from compose.cell import Cell
from compose.command import Command
from compose.errors import ServiceError, tail
from compose.process import Process

STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); "
WAIT = "import time; time.sleep(60)"
#: Starts a child in its own process group, says its id, and waits.
PARENT = (
    "import subprocess,sys,time; c=subprocess.Popen([sys.executable,'-c','import time;"
    "time.sleep(60)']); print(c.pid, flush=True); time.sleep(60)"
)


def process(tmp_path: Path, code: str, **options: bool) -> Process:
    command = Command((sys.executable, "-u", "-c", code))
    return Process("sample", command, tmp_path / "log", **options)


def test_a_process_that_obeys_ends_by_itself(tmp_path: Path) -> None:
    assert process(tmp_path, WAIT).stop(5) is True


def test_a_stopped_process_obeys_too(tmp_path: Path) -> None:
    sample = process(tmp_path, WAIT)
    os.kill(sample.pid, signal.SIGSTOP)
    assert sample.stop(5) is True


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    sample = process(tmp_path, STUBBORN + WAIT)
    eventually(lambda: "up" in (tmp_path / "log").read_text(), "its handler")
    assert sample.stop(0.2) is False
    assert sample.exit_code() == -signal.SIGKILL


@pytest.mark.parametrize("killed_before", [False, True])
def test_its_children_end_with_it(tmp_path: Path, killed_before: bool) -> None:  # noqa: FBT001
    sample = process(tmp_path, PARENT)
    child = psutil.Process(int(eventually((tmp_path / "log").read_text, "the child's id")))
    if killed_before:
        os.kill(sample.pid, signal.SIGKILL)
        eventually(lambda: sample.exit_code() is not None, "its end")
    sample.stop(5)
    eventually(lambda: not child.is_running() or child.status() == "zombie", "the child's end")


def test_one_that_ends_at_start_shows_its_last_lines(tmp_path: Path) -> None:
    sample = process(tmp_path, "print('no such broker'); raise SystemExit(7)")
    with pytest.raises(ServiceError, match="ended with exit code 7") as end:
        sample.wait_ready(lambda: False, 20)
    assert "no such broker" in end.value.cause
    assert str(tmp_path / "log") in end.value.remedy


def test_one_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    sample = process(tmp_path, WAIT)
    with pytest.raises(ServiceError, match=r"was not ready after 0\.1 s"):
        sample.wait_ready(lambda: False, 0.1)
    sample.stop(5)


def test_its_death_is_told_right_even_at_the_instant_its_pipes_close(tmp_path: Path) -> None:
    sample = process(tmp_path, WAIT, piped=True)
    os.kill(sample.pid, signal.SIGKILL)
    assert sample.stdout.read() == b""
    assert "was killed by SIGKILL" in sample.died().cause


def test_a_tail_is_short_and_never_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == "    (no log)"
    log.write_bytes(b"")
    assert tail(log) == "    (the log is empty)"
    log.write_bytes(b"\xff\n" + b"".join(b"line %d\n" % n for n in range(30)))
    assert tail(log).splitlines()[0] == "    line 18"
    assert len(tail(log).splitlines()) == 12


def test_the_guardian_ends_what_bears_the_mark_and_nothing_else(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    command = Command((sys.executable, "-u", "-c", STUBBORN + WAIT))
    ours = [Process("a", command, tmp_path / f"{n}", {**os.environ, guardian.MARK: mark})
            for n in range(2)]  # fmt: skip
    other = Process("b", command, tmp_path / "b", {**os.environ, guardian.MARK: "other"})
    watcher = guardian.start(mark)
    for name in ("0", "1", "b"):
        eventually(lambda name=name: "up" in (tmp_path / name).read_text(), "its handler")
    assert {p.pid for p in guardian.marked(mark)} == {p.pid for p in ours}
    assert watcher.stdin
    watcher.stdin.close()  # as when its starter is killed
    watcher.wait(20)
    assert not guardian.marked(mark)
    assert all(p.exit_code() == -signal.SIGKILL for p in ours)
    assert other.exit_code() is None
    other.stop(0.1)


def test_a_generator_that_is_gone_does_not_keep_the_cell_from_stopping(tmp_path: Path) -> None:
    """Half a line may be left in the pipe's buffer: closing it fails once more."""
    cell = object.__new__(Cell)
    cell._targets = tmp_path
    cell.generator, worker, cell.exporters = (process(tmp_path, WAIT, piped=True)
                                              for _ in range(3))  # fmt: skip
    cell.workers, cell.needed, cell._announced = [worker], {}, []
    cell._processes = [cell.generator, worker, cell.exporters]
    (tmp_path / f"worker-{worker.pid}.json").write_text("[]")
    (tmp_path / "theirs.json").write_text("[]")
    os.kill(cell.generator.pid, signal.SIGKILL)
    with pytest.raises(ServiceError, match="SIGKILL"):
        eventually(lambda: cell.send({"a": "b" * 100_000}) and False, "a broken pipe")
    assert cell.stop() == []
    assert worker.exit_code() is not None
    assert [path.name for path in tmp_path.glob("*.json")] == ["theirs.json"]


def test_promtool_accepts_the_configuration() -> None:
    checked = subprocess.run(
        [str(shutil.which("promtool")), "check", "config", prometheus.CONFIG],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert "3 rule files found" in checked.stdout

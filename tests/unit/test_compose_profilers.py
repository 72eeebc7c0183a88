"""Profilers are asked for what they need before anything is measured, and say what is missing."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from compose import profilers
from compose.command import Command, python
from compose.errors import ServiceError


def program(folder: Path, text: str) -> str:
    path = folder / "py-spy"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def refused(path: str) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        profilers.check(path)
    return error.value


def test_without_py_spy_it_is_said_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError) as error:
        profilers.find()
    assert "py-spy, which is not installed" in error.value.cause
    assert "uv sync --extra profile" in error.value.remedy


def test_a_py_spy_that_does_not_start_is_named(tmp_path: Path) -> None:
    error = refused(str(tmp_path / "none"))
    assert f"{tmp_path / 'none'} does not run" in error.cause


def test_what_py_spy_says_is_passed_on(tmp_path: Path) -> None:
    error = refused(program(tmp_path, "echo 'Error: out of order' >&2; exit 1"))
    assert error.cause == "py-spy failed: Error: out of order"


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="NOT TESTED: only root can take away from itself what py-spy needs",
)
def test_where_ptrace_is_forbidden_it_is_said_how_to_allow_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = program(tmp_path, f'exec setpriv --reuid=65534 --clear-groups {profilers.find()} "$@"')
    error = refused(path)
    assert "py-spy may not look into processes (ptrace): Permission Denied" in error.cause
    assert f"setcap cap_sys_ptrace=eip {path}" in error.remedy
    assert "--cap-add SYS_PTRACE" in error.remedy


def test_memray_runs_the_workers_module_with_its_arguments() -> None:
    worker = Command(python("instrumentation", "some", "worker", "--queues", "q"), {"A": "1"})
    found = profilers.memray(worker, Path("/x/y.bin"))
    assert found.argv[:4] == (sys.executable, "-P", "-m", "memray")
    assert found.argv[-6:] == ("-m", "instrumentation", "some", "worker", "--queues", "q")
    assert found.argv[found.argv.index("--output") + 1] == "/x/y.bin"
    assert "--follow-fork" in found.argv
    assert found.environ == {"A": "1"}

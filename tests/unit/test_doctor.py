"""The doctor's judgements on made-up machines, and the reading of this one."""

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taskscope.doctor import Check, as_json, diagnose, exit_status, read_machine, render
from taskscope.machine import (
    Machine,
    foreign_processes,
    found_busy,
    load_maker,
    version_output,
)
from taskscope.quota import available_memory, read_line, usable_cores

GIB = 2**30
REDIS = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a94\n"
PROMETHEUS = (
    "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5)\n  build: x\n"
)
GOOD = Machine(
    python=(3, 12, 1),
    redis_server=REDIS,
    prometheus=PROMETHEUS,
    cores=8,
    memory_available_bytes=16 * GIB,
    load_1m=0.5,
    clock_source="tsc",
    swap_used_bytes=0,
    open_files=4096,
    runs="runs",
    disk_free_bytes=50 * GIB,
    governors=("performance",),
    busy=(),
)


def check(name: str, **facts: Any) -> Check:
    found = diagnose(dataclasses.replace(GOOD, **facts))
    return next(check for check in found if check.name == name)


def test_a_good_machine_is_ok_throughout_and_still_says_what_was_found() -> None:
    checks = diagnose(GOOD)
    assert {check.status for check in checks} == {"ok"}
    assert all(check.found and not check.remedy for check in checks)
    assert len({check.name for check in checks}) == 12
    assert exit_status(checks) == 0


@pytest.mark.parametrize(
    ("name", "facts", "status", "found", "remedy"),
    [
        ("python", {"python": (3, 11, 2)}, "fail", "3.11.2", "Python 3.12"),
        ("redis-server", {"redis_server": None}, "fail", "not on the PATH", "--redis-url"),
        ("redis-server", {"redis_server": ""}, "fail", "tells no version", "make setup"),
        ("redis-server", {"redis_server": "Redis server v=6.0.16 sha"}, "fail", "6.0.16", "6.2"),
        ("redis-server", {"redis_server": "Redis server v=6.2.0 sha"}, "ok", "6.2.0", ""),
        ("prometheus", {"prometheus": None}, "fail", "not on the PATH", "--prometheus-url"),
        ("prometheus", {"prometheus": "prometheus, version 2.9.1 (b"}, "fail", "2.9.1", "2.33"),
        ("prometheus", {"prometheus": "prometheus, version 3.1.0 (b"}, "ok", "3.1.0", ""),
        ("cores", {"cores": 4}, "ok", "4 usable", ""),
        ("cores", {"cores": 2}, "doubt", "2 usable", "share them"),
        ("cores", {"cores": 1.5}, "fail", "1.5 usable", "at least 2"),
        ("memory", {"memory_available_bytes": 2 * GIB}, "ok", "2.0 GiB", ""),
        ("memory", {"memory_available_bytes": GIB}, "fail", "1.0 GiB", "2 GiB"),
        ("load", {"load_1m": 2.0}, "ok", "2.00", ""),
        ("load", {"load_1m": 2.1}, "doubt", "2.10", "below 2"),
        ("load", {"load_1m": 2.0, "cores": 4}, "doubt", "4 cores", "below 1"),
        ("clock source", {"clock_source": "kvm-clock"}, "ok", "kvm-clock", ""),
        ("clock source", {"clock_source": "arch_sys_counter"}, "ok", "arch_sys", ""),
        ("clock source", {"clock_source": "hpet"}, "doubt", "hpet", "slow"),
        ("clock source", {"clock_source": None}, "doubt", "not readable", "slow"),
        ("swap", {"swap_used_bytes": 300 * 2**20}, "doubt", "300 MiB", "swapoff"),
        ("swap", {"swap_used_bytes": 1}, "doubt", "1 MiB", "swapoff"),
        ("open files", {"open_files": 1024}, "doubt", "1024", "ulimit -n 4096"),
        ("disk", {"disk_free_bytes": GIB}, "doubt", "1.0 GiB free at runs", "delete old runs"),
        ("CPU governor", {"governors": ()}, "ok", "not readable", ""),
        ("CPU governor", {"governors": ("performance", "powersave")}, "doubt", "powersave", "set"),
        ("other workers", {"busy": ("redis-server (pid 7)",)}, "doubt", "pid 7", "Stop"),
    ],
)
def test_each_fact_is_judged(
    name: str, facts: dict[str, Any], status: str, found: str, remedy: str
) -> None:
    judged = check(name, **facts)
    assert judged.status == status
    assert found in judged.found
    assert remedy in judged.remedy
    assert bool(judged.remedy) == (status != "ok")


def test_a_doubt_stops_nobody_and_a_failure_does() -> None:
    doubtful = diagnose(dataclasses.replace(GOOD, cores=2))
    failing = diagnose(dataclasses.replace(GOOD, cores=2, redis_server=None))
    assert (as_json(doubtful)["verdict"], exit_status(doubtful)) == ("doubt", 0)
    assert (as_json(failing)["verdict"], exit_status(failing)) == ("fail", 1)


def test_json_holds_every_check() -> None:
    checks = diagnose(dataclasses.replace(GOOD, python=(3, 10, 0)))
    stored = json.loads(json.dumps(as_json(checks)))
    assert [Check(**item) for item in stored["checks"]] == checks


def test_the_table_shows_all_and_reads_nothing_as_markup() -> None:
    checks = diagnose(dataclasses.replace(GOOD, busy=("[celeryd] (pid 7)",)))
    console = Console(file=io.StringIO(), width=240)
    console.print(render(checks))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for judged in checks:
        assert judged.name in shown
        assert judged.found in shown
        assert judged.remedy in shown
    assert "this machine: doubt" in shown


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/usr/bin/redis-server *:6379"], "redis-server"),
        (["redis-server", "--port", "0"], "redis-server"),
        (["/v/bin/python", "/v/bin/celery", "-A", "app", "worker"], "celery worker"),
        (["python3", "-m", "celery", "-A", "app", "worker"], "celery worker"),
        (["[celeryd: celery@host:MainProcess] -active- (worker -A app)"], "celery worker"),
        (["/v/bin/python3.12", "/v/bin/asynctasq", "worker"], "asynctasq worker"),
        (["celery", "inspect", "ping"], None),
        (["vim", "celery", "worker.py"], None),
        (["redis-cli"], None),
        (["python3"], None),
        ([], None),
        ([""], None),
    ],
)
def test_workers_and_brokers_are_known_by_their_command(
    command: list[str], name: str | None
) -> None:
    assert load_maker(command) == name


def test_processes_of_one_kind_are_one_line() -> None:
    worker = ["celery", "worker"]
    processes = [(5, worker), (6, worker), (7, ["bash"]), (8, ["redis-server"]), (9, worker)]
    assert found_busy(processes) == ("celery worker (pid 5 and 2 more)", "redis-server (pid 8)")


def test_what_this_process_started_is_not_foreign() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        pids = {pid for pid, _ in foreign_processes()}
        child.kill()
    assert child.pid not in pids
    assert os.getpid() in pids


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    machine = read_machine(tmp_path / "not" / "there")
    assert machine.python == sys.version_info[:3]
    assert machine.cores > 0
    assert machine.memory_available_bytes > 0
    assert machine.disk_free_bytes > 0
    assert machine.open_files > 0
    assert re.search(r"v=\d", machine.redis_server or "")
    assert "version" in (machine.prometheus or "")


def test_an_absent_program_and_a_broken_one_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version_output("absent") is None
    assert version_output("broken") == ""


def test_an_unreadable_file_has_no_line(tmp_path: Path) -> None:
    assert read_line(tmp_path / "absent") is None
    (tmp_path / "two").write_text(" first \nsecond\n")
    assert read_line(tmp_path / "two") == "first"


def test_the_limits_of_a_container_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
    assert available_memory(tmp_path) > 5000
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("5000\n")
    assert usable_cores(tmp_path) == 0.5
    assert available_memory(tmp_path) == 5000
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))

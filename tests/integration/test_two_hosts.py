"""Workers on another host, which taskscope did not start, and whose clock is another."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from pipeline import eventually, failed_checks, manifest, table, taskscope
from two_hosts import NAME, OtherHost, needs_two_hosts, other_host

from compose import broker, services
from compose.command import WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework
from compose.ports import free_port
from compose.process import Process
from extract.clocks import sentence
from taskscope import clocks

pytestmark = needs_two_hosts
SECRET = "s3cret"  # noqa: S105 - of a Redis that lives as long as these tests
SHIFT_NS = 350_000_000
COUNT = 120
PORTS = {"asynctasq": 9464, "celery": 9465}
VARIANTS = ("asynctasq", "celery-prefork-late-ack")
SCENARIO = f"""
name = "apart"
title = "Two hosts"
description = "No-ops, as fast as they can be sent."
headline = ["asynctasq", "celery-prefork-late-ack"]

[workload]
task = "noop"
count = {COUNT}
arguments = {{}}

[load]
arrivals = "asap"
in_flight = 4

[run]
repetitions = 2
warmup = 10
concurrency = 4
seed = 3
queue = "taskscope"

[variants.asynctasq]
framework = "asynctasq"
description = "Elsewhere."

[variants.celery-prefork-late-ack]
framework = "celery"
description = "Elsewhere."
[variants.celery-prefork-late-ack.settings]
pool = "prefork"
task_acks_late = true
task_ignore_result = true
"""


@dataclass(frozen=True)
class Apart:
    directory: Path
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherHost]:
    with other_host(tmp_path_factory.mktemp("hostb"), SHIFT_NS) as other:
        yield other


@pytest.fixture(scope="module")
def redis_url(host: OtherHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis here that the other host reaches."""
    directory = tmp_path_factory.mktemp("redis")
    port = free_port()
    command = services.redis_server(port, directory, host=host.here, password=SECRET)
    url = f"redis://:{SECRET}@{host.here}:{port}"
    process = Process("redis", command, directory / "log")
    try:
        process.wait_ready(lambda: broker.is_own(url, directory), 60)
        yield url
    finally:
        process.stop(5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("apart")
    (place / "apart.toml").write_text(SCENARIO)
    return place


@pytest.fixture(scope="module")
def workers(host: OtherHost, redis_url: str, place: Path) -> Iterator[dict[str, str]]:
    """Start a worker of each framework there, as a user would; return their addresses."""
    started = []
    for name, port in PORTS.items():
        settings = WorkerSettings(framework(name).WATCHED[1], 4, "taskscope", redis_url)
        started.append(host.start(name, framework(name).worker(settings), {
            "OTEL_EXPORTER_PROMETHEUS_HOST": host.there,
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
            "TASKQUEUE_TRACES_DIR": str(place / "run" / "traces"),  # a shared folder
        }))  # fmt: skip
    addresses = {name: f"{host.there}:{port}" for name, port in PORTS.items()}
    for address in addresses.values():
        eventually(lambda address=address: _answers(address), f"a worker at {address}")
    yield addresses
    for process in started:
        process.stop(10)


def _answers(address: str) -> bool:
    try:
        return clocks.read(address) is not None
    except ServiceError:
        return False


@pytest.fixture(scope="module")
def apart(workers: dict[str, str], redis_url: str, place: Path) -> Apart:
    done = taskscope(
        "run", place / "apart.toml", "--out", place / "run", "--redis-url", redis_url,
        "--worker-at", f"asynctasq={workers['asynctasq']}",
        "--worker-at", f"celery-prefork-late-ack={workers['celery']}",
    )  # fmt: skip
    return Apart(place / "run", done.returncode, done.stdout, done.stderr)


def test_every_cell_is_exact_though_nobody_started_its_worker(apart: Apart) -> None:
    assert apart.code == 0, apart.stdout + apart.stderr
    for variant in VARIANTS:
        assert not failed_checks(apart.directory, variant)
    tasks = table(apart.directory, "tasks")
    assert len(tasks) == COUNT * 4
    assert set(tasks["worker"].str.split(":").str[0]) == {NAME}
    assert set(tasks["framework"]) == set(PORTS)
    assert set(tasks["repetition"]) == {1, 2}


def test_the_offset_of_the_clock_is_known_within_its_uncertainty(apart: Apart) -> None:
    found = table(apart.directory, "clocks")
    assert len(found) == 4
    assert set(found["host"]) == {NAME}
    assert set(found["reference"]) == {socket.gethostname()}
    assert ((found["offset_ns"] - SHIFT_NS).abs() <= found["uncertainty_ns"]).all()
    assert (found["least_wait_ns"] >= found["offset_ns"] - found["uncertainty_ns"]).all()


def test_it_stands_beside_every_interval_that_crosses(apart: Apart) -> None:
    rows = table(apart.directory, "clocks").to_dict("records")
    said = {sentence(row).partition(",")[0] for row in rows}
    assert all(row["offset_ns"] == pytest.approx(SHIFT_NS, rel=0.01) for row in rows)
    here = socket.gethostname()
    assert all(one.endswith(f" ms ahead of that of {here}") for one in said)
    doubts = [line for line in apart.stdout.splitlines() if line.startswith("Doubt: clocks")]
    (doubt,) = doubts
    assert "(end to end p99)" in doubt  # the only one of what decides that crosses
    assert any(one in doubt for one in said)
    assert "Synchronise the clocks" in doubt
    shown = taskscope("trace", apart.directory, "--slowest", 3)
    assert any(f"Between hosts: {one}" in shown.stdout for one in said)
    one = table(apart.directory, "tasks")["task_id"].iloc[0]
    shown = taskscope("trace", apart.directory, "--task", one)
    assert any(f"Between hosts: {one}" in shown.stdout for one in said)


def test_nothing_is_corrected(apart: Apart) -> None:
    tasks = table(apart.directory, "tasks")
    waits = tasks["received_ns"] - tasks["sent_ns"]
    assert waits.min() > SHIFT_NS * 0.9
    for variant in VARIANTS:
        rows = table(apart.directory, "results")
        rows = rows[(rows["variant"] == variant) & (rows["metric"] == "broker_wait_p50")]
        assert (rows["value"] > SHIFT_NS * 0.9e-9).all()


def test_what_was_announced_is_withdrawn_and_the_workers_go_on(
    apart: Apart, workers: dict[str, str]
) -> None:
    assert not list((apart.directory / "stack" / "targets").iterdir())
    assert all(_answers(address) for address in workers.values())


def test_figures_of_processes_elsewhere_are_absent_and_not_zero(apart: Apart) -> None:
    rows = table(apart.directory, "results")
    absent = {"worker_cpu_cores", "worker_memory_peak", "broker_cpu_per_1000"}
    assert not set(rows["metric"]) & absent
    assert (rows[rows["metric"] == "throughput"]["value"] > 0).all()


def test_the_dataset_is_the_same_when_derived_again(apart: Apart) -> None:
    before = table(apart.directory, "clocks")
    done = taskscope("extract", apart.directory)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(apart.directory, "clocks"), before)


def test_no_password_is_stored(apart: Apart) -> None:
    assert SECRET not in (apart.directory / "manifest.json").read_text()
    assert manifest(apart.directory)["cells"][0]["clocks"]
    assert SECRET not in apart.stdout + apart.stderr

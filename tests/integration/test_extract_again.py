"""`extract` needs manifest.json, prometheus/ and traces/, gives the same, and changes nothing."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from pipeline import Finished, digest, manifest, table, taskscope
from prometheus_api_client.exceptions import PrometheusApiClientException

import queries
from compose.native import replayed_prometheus
from extract import promql
from extract.manifest import read
from taskscope import prometheus_api
from taskscope.derive import derive
from taskscope.errors import UsageError

type Copy = Callable[[Path, Path], Path]
TABLES = ("results", "tasks", "audit", "agreement", "timeline")


@pytest.fixture
def copy(throughput_run: Finished, tmp_path: Path, copy_run: Copy) -> Path:
    return copy_run(throughput_run.directory, tmp_path / "copy")


def test_spans_that_lie_here_are_not_asked_of_a_tempo(throughput_run: Finished) -> None:
    done = taskscope("extract", throughput_run.directory, "--tempo-url", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert "The spans of this run lie in its own traces/ folder, not in a Tempo." in done.stderr
    assert "Leave --tempo-url out." in done.stderr


def test_the_dataset_is_the_same_to_the_last_digit(throughput_run: Finished, copy: Path) -> None:
    before = digest(copy)
    done = taskscope("extract", copy, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trustworthy"] is True
    for name in TABLES:
        again, first = table(copy, name), table(throughput_run.directory, name)
        pd.testing.assert_frame_equal(again, first, check_exact=True)
    for name in ("results", "audit", "agreement"):
        file = Path("dataset", f"{name}.csv")
        assert (copy / file).read_bytes() == (throughput_run.directory / file).read_bytes()
    after = {k: v for k, v in digest(copy).items() if not k.startswith("dataset/")}
    assert after == before


def test_a_truncated_trace_file_costs_its_last_line_and_is_noticed(
    throughput_run: Finished, copy: Path
) -> None:
    """Without this, the test above would pass on numbers that came from elsewhere."""
    file = next((copy / "traces").glob("worker-*.jsonl"))
    file.write_bytes(file.read_bytes()[:-40])
    done = taskscope("extract", copy)
    assert done.returncode == 4
    assert "counts by traces" in done.stdout
    audit = table(copy, "audit")
    assert set(audit[~audit["ok"]]["check"]) >= {"counts by traces"}
    assert 0 < len(table(copy, "tasks")) < len(table(throughput_run.directory, "tasks"))


def test_a_damaged_line_is_named(copy: Path) -> None:
    file = next((copy / "traces").glob("worker-*.jsonl"))
    file.write_bytes(b'{"resourceSpans": 5}\n' + file.read_bytes())
    with pytest.raises(UsageError, match=f"{file}, line 1") as refusal:
        derive(copy, read(copy), None)
    assert "Restore it from a copy" in refusal.value.remedy


@pytest.mark.parametrize("folder", ["prometheus", "traces"])
def test_a_missing_folder_is_named(copy: Path, folder: str) -> None:
    shutil.rmtree(copy / folder)
    with pytest.raises(UsageError, match=f"has no {folder}/ folder") as refusal:
        derive(copy, read(copy), None)
    assert "Copy the whole run directory" in refusal.value.remedy


def test_an_empty_prometheus_folder_makes_every_cell_invalid(copy: Path) -> None:
    shutil.rmtree(copy / "prometheus")
    (copy / "prometheus").mkdir()
    done = taskscope("extract", copy)
    assert done.returncode == 4
    assert "counts by prometheus" in done.stdout


def test_without_prometheus_on_path_it_says_what_to_install(copy: Path) -> None:
    done = taskscope("extract", copy, PATH=os.devnull)
    assert done.returncode == 3
    assert "prometheus is not installed" in done.stderr
    assert "make setup" in done.stderr


@pytest.fixture(scope="module")
def replay(throughput_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("replay")
    with replayed_prometheus(throughput_run.directory / "prometheus", scratch) as url:
        yield url


def test_every_query_is_valid_promql(replay: str, throughput_run: Finished) -> None:
    run = read(throughput_run.directory)
    client = prometheus_api.connect(replay)
    answered = {
        name
        for name, query in queries.catalogue().items()
        if promql.ask(client, query, run.cells[0], run.session) is not None
    }
    unanswered = set(queries.catalogue()) - answered
    elsewhere = (
        "schedule_lag",
        "delay",
        "mock_api",
    )  # of runs on a schedule, or with what it needs
    assert all(name.startswith(elsewhere) for name in unanswered), unanswered


def test_a_query_that_is_no_promql_would_be_noticed(replay: str, throughput_run: Finished) -> None:
    run = read(throughput_run.directory)
    broken = queries.Query("broken", "s", "lower", "", "sum(taskqueue_tasks_sent_total{$cell}")
    with pytest.raises(PrometheusApiClientException):
        promql.ask(prometheus_api.connect(replay), broken, run.cells[0], run.session)


def test_the_manifest_holds_no_result(throughput_run: Finished) -> None:
    cells = manifest(throughput_run.directory)["cells"]
    facts = {"scenario", "framework", "variant", "repetition", "planned", "start", "end",
             "problems", "clocks"}  # fmt: skip
    assert all(set(cell) == facts for cell in cells)
    assert all(cell["clocks"] == [] for cell in cells)  # all on one host
    assert msgspec.json.decode(throughput_run.stdout)["session"] == throughput_run.session

"""`taskscope overhead` for real, in the mode that runs have, then what may go wrong."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pipeline import Finished, manifest, started, table, taskscope

from compose import guardian

pytestmark = pytest.mark.timeout(900)
TASKS = 2000
WARMUP = 500
CELERY = "celery-prefork-cores"
# Each timing takes a quarter of a minute, and checks itself what its mode's telemetry told.
MODES = {"asynctasq": {"bare", "default"}, CELERY: {"bare", "default"}}


@dataclass(frozen=True)
class Taken:
    """A ledger that was put into a run."""

    run: Path
    document: dict[str, Any]

    @property
    def directory(self) -> Path:
        return self.run / "overhead"


@pytest.fixture(scope="module")
def taken(
    throughput_run: Finished,
    tmp_path_factory: pytest.TempPathFactory,
    copy_run: Callable[[Path, Path], Path],
) -> Taken:
    run = copy_run(throughput_run.directory, tmp_path_factory.mktemp("overhead") / "run")
    done = taskscope("overhead", "--into", run, "--repetitions", 1, "--tasks", TASKS, "--json",
                     "--mode", "default", seconds=800)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Taken(run, json.loads(done.stdout))


def test_every_mode_is_timed_once(taken: Taken) -> None:
    found = manifest(taken.directory)
    assert found["status"] == "complete"
    timings = [(t["variant"], t["mode"], t["repetition"]) for t in found["timings"]]
    assert sorted(timings) == sorted((v, m, 1) for v, modes in MODES.items() for m in modes)
    assert found["order"] == ["/".join(map(str, one)) for one in timings]
    assert found["skipped"] == {}
    assert found["versions"]["redis-server"]


def test_every_timing_is_exact(taken: Taken) -> None:
    for timing in manifest(taken.directory)["timings"]:
        assert timing["problems"] == [], timing
        assert timing["marks"]["released"]["backlog"] == TASKS
        assert TASKS > timing["marks"]["steady"]["backlog"] > timing["marks"]["last"]["backlog"] > 0


def test_every_modes_telemetry_told_of_every_task(taken: Taken) -> None:
    told = {(t["variant"], t["mode"]): t["told"] for t in manifest(taken.directory)["timings"]}
    for (variant, mode), tasks in told.items():
        assert tasks == (None if mode == "bare" else TASKS + WARMUP), (variant, mode)


def test_the_dataset_is_in_the_run_and_beside_the_ledger(taken: Taken) -> None:
    rows = table(taken.run, "overhead")
    assert list(rows.columns) == [
        "session", "scenario", "framework", "variant", "mode", "repetition", "metric", "value",
        "unit",
    ]  # fmt: skip
    found = rows.groupby("variant")["mode"].apply(set).to_dict()
    assert found == MODES
    assert (rows[rows["metric"] == "throughput"]["value"] > 0).all()
    pd.testing.assert_frame_equal(rows, table(taken.directory, "overhead"))
    csv = pd.read_csv(taken.run / "dataset" / "overhead.csv")
    assert len(csv) == len(rows)
    assert len(table(taken.run, "overhead_summary"))


def test_the_document_has_costs_and_bias(taken: Taken) -> None:
    assert taken.document["trustworthy"]
    lines = taken.document["found"]["lines"]
    changed = {(x["subject"], x["mode"]) for x in lines if x["change"]}
    assert changed == {(v, m) for v, modes in MODES.items() for m in modes - {"bare"}}
    assert {x["mode"] for x in taken.document["found"]["bias"]} == MODES["asynctasq"]


def test_a_comparison_prints_it_and_extracting_again_keeps_it(taken: Taken) -> None:
    for command in ("extract", "compare"):
        done = taskscope(command, taken.run)
        assert done.returncode == 0, done.stderr
        assert "Instrumentation costs asynctasq" in done.stdout, command
        assert "differential bias" in done.stdout
    (comparison,) = json.loads(taskscope("compare", taken.run, "--json").stdout)["comparisons"]
    assert comparison["overhead"]["lines"]


def test_a_report_shows_it(taken: Taken) -> None:
    done = taskscope("report", taken.run)
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "summary.md"):
        assert "Instrumentation costs asynctasq" in (taken.run / "report" / name).read_text(), name


def test_a_run_without_a_ledger_says_nothing_of_one(throughput_run: Finished) -> None:
    done = taskscope("compare", throughput_run.directory)
    assert "Instrumentation costs" not in done.stdout


def test_nothing_is_left_and_spans_are_not_kept(taken: Taken) -> None:
    assert not guardian.marked(manifest(taken.directory)["session"])
    assert list((taken.directory / "traces").iterdir()) == []


def test_a_ledger_is_no_run_and_is_not_overwritten(taken: Taken) -> None:
    done = taskscope("compare", taken.directory)
    assert done.returncode == 2
    assert "holds a ledger" in done.stderr
    done = taskscope("overhead", "--into", taken.run)
    assert done.returncode == 2
    assert "has a ledger already" in done.stderr


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    arguments = ("--repetitions", "1", "--tasks", "800", "--variant", "asynctasq")
    with started(tmp_path / "ledger", *arguments, command="overhead") as run:
        run._eventually(lambda: "timing 2 of 4" in run.output, "the second timing", 90)
        os.kill(run.process.pid, signal.SIGINT)
        assert run.end() == 130, run.output
        assert not guardian.marked(run.manifest["session"])
    assert run.manifest["status"] == "interrupted"
    assert len(run.manifest["timings"]) == 1
    assert "Timings taken: 1. What they amount to" in run.output
    assert "Traceback" not in run.output
    assert len(table(run.directory, "overhead")["mode"].unique()) == 1


def test_a_worker_that_does_not_start_spoils_its_timings_only(tmp_path: Path) -> None:
    scenario = tmp_path / "mine.toml"
    builtin = Path(__file__).parents[2] / "taskscope" / "scenarios" / "throughput.toml"
    text = builtin.read_text().replace('pool = "prefork"', 'pool = "swimming"')
    scenario.write_text(text)
    done = taskscope("overhead", scenario, "--repetitions", 1, "--tasks", 2000, "--mode", "bare",
                     "--out", tmp_path / "ledger", seconds=200)  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert f"{CELERY}/bare/1" in done.stdout
    assert "ended with exit code" in done.stdout
    assert set(table(tmp_path / "ledger", "overhead")["variant"]) == {"asynctasq"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mode", "lives"), "the nearest is live"),
        (("--variant", "asyncta"), "has no variant 'asyncta'"),
        (("--repetitions", "0"), "repetitions"),
        (("nope",), "unknown scenario 'nope'"),
        (("--into", "."), "is not a run directory"),
    ],
)
def test_what_a_user_may_get_wrong(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    out = () if "--into" in arguments else ("--out", tmp_path / "ledger")
    done = taskscope("overhead", *arguments, *out)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ledger").exists()


def test_into_and_out_exclude_each_other(tmp_path: Path) -> None:
    done = taskscope("overhead", "--into", tmp_path, "--out", tmp_path / "ledger")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_without_prometheus_nothing_is_begun(tmp_path: Path) -> None:
    redis_server = shutil.which("redis-server")
    assert redis_server
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to(redis_server)
    done = taskscope("overhead", "--out", tmp_path / "ledger", PATH=str(tmp_path / "bin"))
    assert done.returncode == 3, done.stderr
    assert "prometheus is not installed" in done.stderr
    assert not (tmp_path / "ledger").exists()

"""Every other mode of the ledger, once: each is timed, and its own telemetry told of every task."""

from pathlib import Path

import pytest
from pipeline import manifest, table, taskscope

pytestmark = pytest.mark.timeout(600)
TASKS, WARMUP = 800, 500
CELERY = "celery-prefork-cores"
MODES = ("metrics", "live", "stock", "events")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("modes") / "ledger"
    modes = [word for mode in MODES for word in ("--mode", mode)]
    done = taskscope("overhead", "--variant", CELERY, *modes, "--repetitions", 1,
                     "--tasks", TASKS, "--out", directory, seconds=500)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_every_mode_is_timed_exactly(ledger: Path) -> None:
    timings = {t["mode"]: t for t in manifest(ledger)["timings"]}
    assert set(timings) == {"bare", *MODES}
    for mode, timing in timings.items():
        assert timing["problems"] == [], mode


def test_the_modes_own_telemetry_told_of_every_task(ledger: Path) -> None:
    told = {t["mode"]: t["told"] for t in manifest(ledger)["timings"]}
    for mode in ("metrics", "live", "stock"):
        assert told[mode] == TASKS + WARMUP, mode
    assert told["events"] > 0


def test_every_mode_has_its_figures(ledger: Path) -> None:
    rows = table(ledger, "overhead")
    for metric in ("throughput", "cpu_per_task"):
        found = rows[rows["metric"] == metric]
        assert set(found["mode"]) == {"bare", *MODES}
        assert (found["value"] > 0).all()

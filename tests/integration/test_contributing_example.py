"""CONTRIBUTING's example of a new scenario, done as it says, in a copy of `tasks/`."""

import re
import shutil
from pathlib import Path

import pytest
from pipeline import table, taskscope

ROOT = Path(__file__).parents[2]


def _blocks() -> list[str]:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## A new scenario")[2]
    section = section.partition("\n## ")[0]
    return re.findall(r"```(?:python|toml)\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run of the example."""
    place = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "tasks", place / "path" / "tasks")
    workload, for_celery, for_asynctasq, scenario = _blocks()
    for name, block in (("workloads", workload), ("celery", for_celery),
                        ("asynctasq", for_asynctasq)):  # fmt: skip
        with (place / "path" / "tasks" / f"{name}.py").open("a") as file:
            file.write(f"\n\n{block}")
    (place / "words.toml").write_text(scenario)
    done = taskscope("run", place / "words.toml", "--quick", "--out", place / "run",
                     PYTHONSAFEPATH="1", PYTHONPATH=str(place / "path"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all 4 cells are exact" in " ".join(done.stdout.split())
    return place / "run"


def test_each_point_of_the_example_has_every_task_of_both_sides(example: Path) -> None:
    results = table(example, "results")
    completed = results[results["metric"] == "tasks_completed"]
    assert set(completed["value"]) == {100.0}
    assert {(s, v) for s, v in zip(completed["scenario"], completed["variant"], strict=True)} == {
        (f"words-concurrency-{c}", v) for c in (2, 4) for v in ("asynctasq", "celery-threads")
    }


def test_its_tasks_bear_the_functions_name(example: Path) -> None:
    assert set(table(example, "tasks")["task"]) == {"count_words"}


def test_its_report_draws_the_curve_and_shows_the_reasons(example: Path) -> None:
    done = taskscope("report", example)
    assert done.returncode == 0, done.stderr
    page = (example / "report" / "report.html").read_text()
    assert 'id="family-words"' in page
    assert "too short for a process of its own to pay" in page
    assert (example / "report" / "charts" / "words-curve-throughput.svg").exists()

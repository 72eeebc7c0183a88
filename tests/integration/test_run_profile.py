"""`taskscope run --profile` with real workers: profiles of both sides, which are in no figure."""

import json
import re
from pathlib import Path

import pytest
from pipeline import Finished, manifest, table, taskscope

from compose import profilers
from compose.errors import ServiceError
from extract import flames
from extract.flames import CHILDREN, WORKER

SCENARIO = """
name = "profiled"
title = "To be profiled"
description = "Two pools, and enough to do for each."
headline = ["asynctasq", "celery"]

[workload]
task = "noop"
count = 300
arguments = {}

[load]
arrivals = "asap"
in_flight = 20

[run]
repetitions = 1
warmup = 20
concurrency = 2
seed = 1
queue = "taskscope"

[variants.asynctasq]
framework = "asynctasq"
description = "As it comes."

[variants.celery]
framework = "celery"
description = "Two pool processes."
[variants.celery.settings]
pool = "prefork"
task_ignore_result = true
"""


def _forbidden() -> str:
    try:
        profilers.check(profilers.find())
    except ServiceError as error:
        return f"{error.cause} {error.remedy}"
    return ""


pytestmark = pytest.mark.skipif(bool(_forbidden()), reason=f"NO PROFILE TAKEN: {_forbidden()}")


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    place = tmp_path_factory.mktemp("profiled")
    (place / "profiled.toml").write_text(SCENARIO)
    done = taskscope("run", place / "profiled.toml", "--profile", "--out", place / "run", "--json",
                     seconds=280)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Finished(place / "run", done.returncode, done.stdout, done.stderr)


def test_both_sides_have_both_profiles(profiled: Finished) -> None:
    found = manifest(profiled.directory)["profiles"]
    assert {(p["variant"], p["kind"]) for p in found} == {
        (variant, kind) for variant in ("asynctasq", "celery") for kind in ("cpu", "memory")
    }
    for profile in found:
        assert profile["problems"] == []
        assert profile["tasks"] >= 300
        stacks = flames.read(profiled.directory / profile["stacks"])
        assert sum(stacks.values()) > 100, profile
        calls = {name for stack in stacks for name in stack}
        assert any(profile["framework"] in name for name in calls), calls
        assert {stack[0] for stack in stacks} <= {WORKER, CHILDREN}
        page = (profiled.directory / profile["page"]).read_text()
        assert not re.search(r'<(script|link|img)[^>]*(src|href)="http', page)  # loads nothing


def test_pool_processes_are_profiled_too(profiled: Finished) -> None:
    for kind in ("cpu", "memory"):
        path = profiled.directory / "profiles" / f"profiled-celery-{kind}.folded"
        assert CHILDREN in {stack[0] for stack in flames.read(path)}, kind


def test_profiles_are_in_no_table_and_leave_no_spans(profiled: Finished) -> None:
    directory = profiled.directory
    for name in ("results", "audit", "tasks", "timeline"):
        assert set(table(directory, name)["repetition"]) == {1}, name
    tasks = table(directory, "tasks")
    assert tasks.groupby("variant").size().to_dict() == {"asynctasq": 300, "celery": 300}
    assert "profile-" not in "".join(p.read_text() for p in (directory / "traces").iterdir())
    assert {p.suffix for p in (directory / "profiles").iterdir()} == {".svg", ".html", ".folded"}
    done = taskscope("export", directory, "--out", directory / "legacy")
    assert done.returncode == 0, done.stderr
    (exported,) = (directory / "legacy").glob("*.csv")
    assert len(exported.read_text().splitlines()) == 3  # its header, and a cell of each side


def test_the_report_draws_and_links_them(profiled: Finished) -> None:
    done = taskscope("report", profiled.directory, "--json")
    assert done.returncode == 0, done.stderr
    page = Path(json.loads(done.stdout)["page"])
    links = re.findall(r'href="(\.\./profiles/[^"]+)"', page.read_text())
    assert len(links) == 4
    for link in links:
        assert (page.parent / link).is_file(), link
    (profiled.directory / "profiles" / "profiled-celery-cpu.folded").unlink()
    done = taskscope("report", profiled.directory)
    assert done.returncode == 0, done.stderr
    assert "profiled-celery-cpu.folded cannot be read" in page.read_text()

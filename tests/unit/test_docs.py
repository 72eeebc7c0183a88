"""What the docs say is what there is."""

import re
from pathlib import Path
from typing import get_args

from typer.testing import CliRunner

import grafana
from compose.command import WorkerSettings
from compose.frameworks import framework
from compose.modes import modes
from extract import causes, standstill
from extract.causes import Kind as Cause
from extract.doubts import Kind
from extract.surroundings import FEWEST_PEERS
from instrumentation.collector import Collector
from instrumentation.recorder import Recorder
from loadgen.schedule import PARAMETERS
from queries.__main__ import markdown
from tasks.mock_metrics import Metrics
from taskscope.commands.app import app
from taskscope.fairness_page import page as fairness_page
from taskscope.grafana_api import TOKEN_VARIABLE
from taskscope.scenario import FRAMEWORKS, builtin_scenarios, load_scenario

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md",
        ROOT / "instrumentation" / "README.md"]  # fmt: skip


def test_the_catalogue_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "queries.md").read_text()
    assert page == markdown(), "run: .venv/bin/python -m queries > docs/queries.md"


def test_the_page_of_fairness_is_up_to_date() -> None:
    page = (ROOT / "docs" / "fairness.md").read_text()
    command = "run: .venv/bin/python -m taskscope.fairness_page > docs/fairness.md"
    assert page == fairness_page(), command


#: What else a card may give the reason of: what is set in code, and not by a variant.
IN_CODE = {"redis-py", "requests.Session", "httpx.AsyncClient", "httpx.Limits", "logging",
           "defaults"}  # fmt: skip


def test_every_scenario_is_documented() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text()
    for scenario in builtin_scenarios():
        assert f"| `{scenario.name}` |" in page


def test_every_reason_is_of_a_setting_that_somebody_has() -> None:
    for scenario in builtin_scenarios():
        for card in scenario.fairness:
            assert card.reasons, (scenario.name, card.variant)
            own = [v for v in scenario.variants if card.variant in {v.name, v.framework}]
            known = {name for v in own for name in v.settings} | IN_CODE | {"concurrency"}
            named = {name for r in card.reasons for name in re.split(", | and ", r.setting)}
            assert named <= known, (scenario.name, card.variant, named - known)


def test_every_setting_of_every_variant_has_a_reason() -> None:
    for scenario in builtin_scenarios():
        for variant in scenario.variants:
            cards = [c for c in scenario.fairness if c.variant in {variant.name, variant.framework}]
            explained = " ".join(reason.setting for card in cards for reason in card.reasons)
            own = ["concurrency"] if variant.concurrency else []
            missing = [name for name in (*variant.settings, *own) if name not in explained]
            assert not missing, (scenario.name, variant.name, missing)


def test_every_metric_of_the_mock_api_is_documented() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    for family in Metrics().collect():
        assert family.name in page


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"taskscope {command.callback.__name__}" in readme, command.callback.__name__
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            assert f"taskscope {group.name} {command.callback.__name__}" in readme


def test_every_metric_of_the_instrumentation_is_documented() -> None:
    exposition = Collector(Recorder(), lambda _: 0).exposition()
    documented = "".join(path.read_text() for path in DOCS)
    for metric in re.findall(r"^# TYPE (\S+)", exposition, re.MULTILINE):
        assert metric in documented, metric


def test_every_kind_of_doubt_is_documented() -> None:
    page = (ROOT / "docs" / "statistics.md").read_text()
    for kind in get_args(Kind.__value__):
        assert f"| {kind} |" in page, kind


def test_every_dashboard_is_described() -> None:
    page = (ROOT / "docs" / "grafana.md").read_text()
    for dashboard in grafana.dashboards().values():
        assert f"*{dashboard['title'].removeprefix('taskscope: ')}*" in page
    assert TOKEN_VARIABLE in page


def test_every_command_has_help_with_an_example() -> None:
    for name in ("run", "capacity", "extract", "compare", "report", "export", "overhead", "trace",
                 "grafana push"):  # fmt: skip
        result = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "120"})
        assert result.exit_code == 0
        assert "Example" in result.stdout
        assert f"taskscope {name}" in result.stdout


def test_links_between_docs_lead_somewhere() -> None:
    for page in DOCS:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_nothing_names_a_machine() -> None:
    for page in DOCS:
        assert not re.search(r"(^|[\s`(])/(home|root|work|tmp)/", page.read_text()), page.name


def test_every_mode_of_watching_is_explained() -> None:
    page = (ROOT / "docs" / "overhead.md").read_text()
    for name in FRAMEWORKS:
        for mode in modes(name):
            assert f"| `{mode}` |" in page, mode


def test_every_cause_of_slowness_is_documented_with_its_bounds() -> None:
    page = (ROOT / "docs" / "slow-tasks.md").read_text()
    for kind in get_args(Cause.__value__):
        assert f"| {kind} |" in page, kind
    rows = {line.split(" | ")[0]: line for line in page.splitlines() if line.startswith("| ")}
    assert f"half ({causes.STUCK})" in rows["| stuck behind a prefetched long task"]
    assert f"Long is {standstill.LONG:g} times" in rows["| stuck behind a prefetched long task"]
    assert f"{causes.LONG_SECONDS} s at least" in rows["| stuck behind a prefetched long task"]
    assert f"executed {standstill.LONG:g} times" in rows["| slow itself"]
    assert f"took {standstill.LONG:g} times" in rows["| slow to acknowledge"]
    assert f"{causes.LATE_SECONDS} s or more" in rows["| generator late"]
    for said in (f"a fifth ({causes.COUNTS})", f"up to {causes.NORMAL} times its typical",
                 f"half ({causes.MAIN}) of it", f"fewer than {FEWEST_PEERS} of the task",
                 f"for {standstill.LEAST_SECONDS} s", f"explains {causes.CLOSE} of what",
                 f"(executed {causes.FULL} of that)",
                 f"each {standstill.LONG:g} times", f"up to {causes.IDLE_CORES} cores",
                 f"from {causes.BUSY_CORES} on"):  # fmt: skip
        assert said in " ".join(page.split()), said


def test_a_worker_elsewhere_is_started_as_a_run_would_start_it() -> None:
    page = " ".join((ROOT / "docs" / "remote.md").read_text().replace("\\\n", " ").split())
    scenario = load_scenario("throughput")
    variant = scenario.variant("celery-prefork-late-ack")
    settings = WorkerSettings(
        variant.settings, scenario.run.concurrency, scenario.run.queue,
        "redis://:password@10.0.0.5:6379",
    )  # fmt: skip
    command = framework(variant.framework).worker(settings)
    assert " ".join(("python", *command.argv[1:])) in page
    variables = framework(variant.framework).client_environment(settings)
    for name, value in variables.items():
        assert f"{name}={value}" in page.replace("'", ""), name


def test_every_kind_of_arrivals_is_documented_with_its_numbers() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for kind, numbers in PARAMETERS.items():
        (row,) = re.findall(rf"^ *\| .*`{kind}`.*$", page, re.MULTILINE)
        assert all(f"`{number}`" in row for number in numbers), kind

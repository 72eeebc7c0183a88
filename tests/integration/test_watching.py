"""A run with both sides at once: every question of every dashboard, to a real Prometheus.

The run also shows what `--together` promises, and is what promtool reads real expositions of.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import requests
from made_runs import made_run
from pipeline import Finished, Run, manifest, started, table, taskscope
from promtool import promtool
from recording_grafana import Grafana, recording_grafana
from typer.testing import CliRunner

from compose.affinity import halves
from compose.native import replayed_prometheus
from extract.promql import selector
from grafana.questions import Question, questions
from queries.rules import known, recorded
from queries.watching import live
from taskscope.commands.app import app
from taskscope.errors import UsageError

VARIANTS = {"asynctasq": "asynctasq", "celery-late-ack": "celery"}
#: 8 seconds of it: long enough for every rate.
SCENARIO = """
name = "watched"
title = "To be watched"
description = "Sleeps of 20 ms at 30 a second."
headline = ["asynctasq", "celery-late-ack"]

[workload]
task = "sleep"
count = 240
arguments = { seconds = 0.02 }

[load]
arrivals = "constant"
rate = 30.0
in_flight = 8

[run]
repetitions = 1
warmup = 8
concurrency = 4
seed = 3
queue = "taskscope"

[variants.asynctasq]
framework = "asynctasq"
description = "One side."

[variants.celery-late-ack]
framework = "celery"
description = "The other."
[variants.celery-late-ack.settings]
pool = "prefork"
task_acks_late = true
task_ignore_result = true
"""
#: What has no answer in a run in which all goes well, and why: no more than this.
EMPTY = {"alerts_firing": "only a fault makes an alert fire"}
#: Each question, about each side; about its own, where the dashboard is of one framework.
CASES = [
    pytest.param(question, variant, id=f"{question.dashboard}-{question.place}-{variant}")
    for question in questions()
    for variant, framework in VARIANTS.items()
    if question.kind != "traces"
    and question.dashboard.removeprefix("taskscope-") not in {*VARIANTS.values()} - {framework}
]


FIRING = 'ALERTS{alertstate="firing"}'

type Ask = Callable[..., Any]


def _get(url: str, path: str, parameters: Mapping[str, object]) -> Any:
    answer = requests.get(f"{url}/api/v1/{path}", params=dict(parameters), timeout=30)
    assert answer.ok, (parameters, answer.text)
    return answer.json()["data"]


@dataclass(frozen=True)
class Watched:
    """The run, what its processes told Prometheus, on which cores they ran, and its series."""

    run: Finished
    expositions: dict[str, str]
    cores: dict[str, set[int]]
    url: str
    grafana: Grafana

    @property
    def range(self) -> tuple[float, float]:
        """The last 20 seconds of it, at least 10 of which are the load."""
        end = manifest(self.run.directory)["cells"][0]["end"]
        return end - 20, end

    def get(self, path: str, **parameters: object) -> Any:
        return _get(self.url, path, parameters)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    place = tmp_path_factory.mktemp("watched")
    (place / "watched.toml").write_text(SCENARIO)
    with (
        recording_grafana() as grafana,
        started(
            place / "run", place / "watched.toml", "--together", "--grafana-url", grafana.url,
            TASKSCOPE_GRAFANA_TOKEN="editor-token",  # noqa: S106 - the recording server's
        ) as run,
    ):  # fmt: skip
        run.wait_measuring(1)
        run.wait_completed("celery-late-ack", 60)
        expositions, cores = _expositions(run), _cores(run)
        finished = Finished(run.directory, run.end(120), "", run.output)
    with replayed_prometheus(finished.directory / "prometheus", place) as url:
        yield Watched(finished, expositions, cores, url, grafana)


def _expositions(run: Run) -> dict[str, str]:
    found = {}
    for file in (run.directory / "stack" / "targets").glob("*.json"):
        (target,) = json.loads(file.read_text())
        name = f"{target['labels']['component']} of {target['labels']['variant']}"
        text = requests.get(f"http://{target['targets'][0]}/metrics", timeout=5).text
        found[name] = text
    return found


def _cores(run: Run) -> dict[str, set[int]]:
    found = {}
    for variant in VARIANTS:
        roles = json.loads((run.directory / "stack" / f"roles-{variant}.json").read_text())
        processes = [psutil.Process(pid) for role in ("worker", "generator") for pid in roles[role]]
        processes += [child for one in processes for child in one.children(recursive=True)]
        found[variant] = {core for one in processes for core in one.cpu_affinity()}
    return found


def _answered(
    ask: Ask, question: Question, chosen: Mapping[str, str], span: tuple[float, float]
) -> set[str]:
    """Ask as Grafana would; return which variants have values in the answer.

    Those that were asked about, where an answer does not tell variants apart.
    """
    path, parameters = question.request(chosen, *span)
    found = ask(path, **parameters)
    asked = _about(question, chosen) - {""}
    if question.kind == "labels":
        return asked if found else set()
    return {
        one
        for series in found["result"]
        if series.get("values", series.get("value"))
        for one in ([series["metric"]["variant"]] if "variant" in series["metric"] else asked)
    }


def _chosen(session: str, scenario: str, left: str, right: str) -> dict[str, str]:
    return {"session": session, "scenario": scenario, "variant": left, "left": left,
            "right": right, "repetition": ".*"}  # fmt: skip


def _about(question: Question, chosen: Mapping[str, str]) -> set[str]:
    named = {chosen[name] for name in ("left", "right") if f"${name}" in question.text}
    return named or {chosen["variant"]}


@pytest.mark.parametrize(("question", "variant"), CASES)
def test_every_question_has_an_answer_of_each_side_that_it_is_about(
    watched: Watched, question: Question, variant: str
) -> None:
    (other,) = set(VARIANTS) - {variant}
    chosen = _chosen(watched.run.session, "watched", variant, other)
    answered = _answered(watched.get, question, chosen, watched.range)
    expected = _about(question, chosen)
    if question.name == "alerts_firing":  # of one side, of both or of none, by the machine
        fired = set(_series(watched, FIRING))
        assert expected & fired <= answered
        assert fired or not answered
    else:
        assert expected <= answered


@dataclass(frozen=True)
class InTurn:
    """A run whose sides ran one after the other, and its series."""

    session: str
    span: tuple[float, float]
    url: str

    def get(self, path: str, **parameters: object) -> Any:
        return _get(self.url, path, parameters)


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InTurn]:
    place = tmp_path_factory.mktemp("in-turn")
    (place / "watched.toml").write_text(SCENARIO)
    done = taskscope("run", place / "watched.toml", "--tasks", "150", "--out", place / "run")
    run = manifest(place / "run")
    assert len(run["cells"]) == len(VARIANTS), done.stderr
    span = min(c["start"] for c in run["cells"]) - 60, max(c["end"] for c in run["cells"])
    with replayed_prometheus(place / "run" / "prometheus", place) as url:
        yield InTurn(run["session"], span, url)


COMPARISON = [
    pytest.param(question, id=question.place)
    for question in questions()
    if question.dashboard == "taskscope-comparison"
]


@pytest.mark.parametrize("question", COMPARISON)
def test_the_comparison_can_be_read_where_the_sides_ran_in_turn(
    in_turn: InTurn, question: Question
) -> None:
    chosen = _chosen(in_turn.session, "watched", *VARIANTS)
    answered = _answered(in_turn.get, question, chosen, in_turn.span)
    assert _about(question, chosen) <= answered or live()[question.name].empty


@pytest.mark.parametrize("question", COMPARISON)
def test_with_one_side_only_that_has_its_answers(in_turn: InTurn, question: Question) -> None:
    chosen = _chosen(in_turn.session, "watched", "asynctasq", "")
    answered = _answered(in_turn.get, question, chosen, in_turn.span)
    if "$left" in question.text and "$right" not in question.text:
        assert answered == {"asynctasq"} or live()[question.name].empty
    else:
        assert answered <= {*VARIANTS}


def test_exemplars_come_with_the_panels_own_query(in_turn: InTurn) -> None:
    asked = [q for q in questions() if q.name.endswith("_p99_with_exemplars")]
    assert len(asked) == 2
    for question in asked:
        chosen = _chosen(in_turn.session, "watched", *VARIANTS)
        _, parameters = question.request(chosen, *in_turn.span)
        found = in_turn.get("query_exemplars", query=parameters["query"],
                            start=in_turn.span[0], end=in_turn.span[1])  # fmt: skip
        assert {group["seriesLabels"]["variant"] for group in found} == {"asynctasq"}


def test_nothing_else_is_allowed_to_have_no_answer() -> None:
    """Of what else may be empty in some run, this one has it: a schedule, late acks, marks."""
    may_be_empty = {name: query.empty for name, query in live().items() if query.empty}
    here = {"ack_quantiles", "schedule_lag_quantiles", "marks", "run_mark", "together"}
    assert {name: why for name, why in may_be_empty.items() if name not in here} == EMPTY


def test_every_rule_has_recorded_something_for_both_frameworks(watched: Watched) -> None:
    for rule in recorded():
        if rule.labels.get("stage") != "delay":  # nothing is delayed here
            labels = selector({**rule.labels, "session": watched.run.session})
            assert set(_series(watched, f"{rule.record}{{{labels}}}")) == set(VARIANTS), rule
    for rule in known():
        (variant,) = set(_series(watched, rule.record))
        assert rule.record.startswith(VARIANTS[variant])


@pytest.mark.parametrize(("variant", "framework"), VARIANTS.items())
def test_the_names_that_people_know_say_the_same(
    watched: Watched, variant: str, framework: str
) -> None:
    ours = {
        "tasks_total": "taskqueue_execution_seconds_count",
        "tasks_sent_total": "taskqueue_tasks_sent_total",
        "task_duration_seconds_count": "taskqueue_execution_seconds_count",
        'task_duration_seconds_bucket{le="+Inf"}': "taskqueue_execution_seconds_count",
    }
    for name, same in ours.items():
        recorded_at = _series(watched, f"timestamp({framework}_{name})")[variant]
        query = f'{same}{{variant="{variant}"}}'
        (value,) = watched.get("query", query=query, time=recorded_at)["result"]
        assert _series(watched, f"{framework}_{name}")[variant] == float(value["value"][1]) > 100
    mean = f"{framework}_task_duration_seconds_sum / {framework}_task_duration_seconds_count"
    assert _series(watched, mean)[variant] >= 0.02


def test_the_newest_session_is_offered_first(watched: Watched) -> None:
    question = next(question for question in questions() if question.name == "sessions")
    path, parameters = question.request({}, *watched.range)
    offered = watched.get(path, **parameters)["result"]
    assert [series["metric"] for series in offered] == [{"session": watched.run.session}]


def test_marks_are_instants_and_not_rounded_to_a_step(watched: Watched) -> None:
    cell = manifest(watched.run.directory)["cells"][0]
    marks = watched.get(
        "query", query="max_over_time(taskscope_mark_timestamp_seconds[10m])", time=cell["end"]
    )["result"]
    for variant in VARIANTS:
        found = {mark["metric"]["mark"]: float(mark["value"][1]) for mark in marks
                 if mark["metric"]["variant"] == variant}  # fmt: skip
        assert found["run"] < found["warm-up"] < found["start"] < found["drained"] < cell["end"]
        assert found["start"] == pytest.approx(cell["start"], abs=1e-3)


def test_promtool_finds_nothing_to_say_of_what_is_exposed(watched: Watched) -> None:
    assert len(watched.expositions) == 6
    for name, exposition in watched.expositions.items():
        said = promtool("check", "metrics", stdin=exposition)
        assert (said.returncode, said.stdout + said.stderr) == (0, ""), name


def test_promtool_accepts_what_prometheus_was_given(watched: Watched) -> None:
    said = promtool("check", "config", watched.run.directory / "stack" / "prometheus.yml")
    assert said.returncode == 0, said.stderr
    assert "3 rule files found" in said.stdout
    assert "FAILED" not in said.stdout


def test_together_each_side_has_half_of_the_machine_and_it_is_stated(watched: Watched) -> None:
    stated = {share["variant"]: share for share in manifest(watched.run.directory)["together"]}
    assert {share["concurrency"] for share in stated.values()} == {2}
    if halves():
        assert watched.cores == {name: set(share["cores"]) for name, share in stated.items()}
        assert not watched.cores["asynctasq"] & watched.cores["celery-late-ack"]
    for share in stated.values():
        assert f"{share['variant']}: concurrency 2, " in watched.run.stderr


def test_together_both_sides_are_measured_at_the_same_time(watched: Watched) -> None:
    one, other = manifest(watched.run.directory)["cells"]
    assert (one["start"], one["end"]) == (other["start"], other["end"])
    tasks = table(watched.run.directory, "tasks")
    began, ended = (tasks.groupby("variant")["started_ns"].agg(how) for how in ("min", "max"))
    assert began.max() < ended.min()
    assert all(f"  {variant}: tasks/s" in watched.run.stderr for variant in VARIANTS)


def test_together_is_no_fault_but_kept_out_of_verdicts(watched: Watched) -> None:
    audit = table(watched.run.directory, "audit")
    failed = audit[~audit["ok"].astype(bool)]
    assert set(failed["variant"]) == set(VARIANTS)
    others = set(failed["check"]) - {"measured alone", "generator on schedule", "no scrape gap"}
    assert not others  # those two are a busy machine's
    assert watched.run.code == (0 if set(failed["check"]) == {"measured alone"} else 4)
    assert "invalid" not in watched.run.stderr


@pytest.mark.parametrize("command", ["compare", "report", "export"])
def test_together_there_is_no_result_to_be_had(watched: Watched, command: str) -> None:
    error = _refused(command, watched.run.directory)
    assert "was made with --together: both sides ran at once, so it has no results." in error.cause
    assert error.remedy.startswith("Measure without --together.")


def test_together_is_no_baseline_either(watched: Watched, tmp_path: Path) -> None:
    newer = made_run(tmp_path / "newer", {("asynctasq", "throughput"): [1.0, 1.0, 1.0]})
    error = _refused("compare", newer, "--baseline", watched.run.directory)
    assert "was made with --together" in error.cause


def test_together_there_is_no_ledger_to_put_into_it(watched: Watched) -> None:
    error = _refused("overhead", "--into", watched.run.directory)
    assert "was made with --together" in error.cause


def _refused(*arguments: object) -> UsageError:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, UsageError), result.output
    return result.exception


def test_together_single_tasks_can_be_looked_at(watched: Watched) -> None:
    result = CliRunner().invoke(
        app, ["trace", str(watched.run.directory), "--slowest", "3", "--json"]
    )
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)) == 3


def test_the_run_was_marked_in_grafana_after_it_was_measured(watched: Watched) -> None:
    recorded = manifest(watched.run.directory)
    tags = [mark["tags"] for mark in watched.grafana.annotations]
    session = recorded["session"]
    assert tags[-1] == ["taskscope", session, "run"]
    assert {mark[3] for mark in tags if mark[2] == "repetition"} == set(VARIANTS)
    for mark, cell in zip(watched.grafana.annotations, recorded["cells"], strict=False):
        assert mark["time"] == round(cell["start"] * 1000)
        assert mark["timeEnd"] == round(cell["end"] * 1000)


def test_the_run_tells_where_to_watch_it_and_where_it_was(watched: Watched) -> None:
    said = watched.run.stderr
    assert f"Watch it: {watched.grafana.url}/d/taskscope-comparison?from=now-15m" in said
    (line,) = (line for line in said.splitlines() if line.startswith("In Grafana: "))
    asked = {key: value for key, (value,) in parse_qs(urlsplit(line).query).items()}
    cell = manifest(watched.run.directory)["cells"][0]
    assert 0 <= int(asked["to"]) - cell["end"] * 1000 <= 1000
    assert int(asked["from"]) <= cell["start"] * 1000
    assert (asked["var-left"], asked["var-right"]) == tuple(VARIANTS)


def _series(watched: Watched, query: str) -> dict[str, float]:
    """Return the newest value of each variant, in the range that is looked at."""
    begin, end = watched.range
    found = watched.get("query_range", query=query, start=begin, end=end, step=1)["result"]
    return {series["metric"].get("variant", ""): float(series["values"][-1][1]) for series in found}

"""The dashboards are generated, complete, and ask nothing that the catalogue does not have."""

import re
from pathlib import Path
from typing import Any

import pytest

import grafana
from extract.audit import LAG_BOUND_SECONDS
from grafana.__main__ import files
from grafana.questions import SCALE, Question, charts, questions
from queries.rules import alerts
from queries.watching import live, searches

ROOT = Path(__file__).parents[2]
DASHBOARDS = grafana.dashboards()
PANELS = [(uid, panel) for uid, board in DASHBOARDS.items() for panel in charts(board)]
QUESTIONS = list(questions())
#: Units of which too much is known: of others it depends on the workload and the machine.
ABSOLUTE = {"s", "records", "intervals", "keys", "reads", "true"}


def _id(value: Any) -> str:
    if isinstance(value, Question):
        return f"{value.dashboard}-{value.place}".replace(" ", "_")
    return str(value["title"]).replace(" ", "_") if isinstance(value, dict) else str(value)


def test_the_committed_json_is_what_the_code_says() -> None:
    committed = {path.name: path.read_text() for path in grafana.FOLDER.glob("*.json")}
    assert committed == files(), "run: make generated"


def test_all_five_are_there_and_comparison_comes_first() -> None:
    assert [board["title"].removeprefix("taskscope: ") for board in DASHBOARDS.values()] == [
        "Comparison", "AsyncTasQ", "Celery", "Slow tasks", "System",
    ]  # fmt: skip


@pytest.mark.parametrize(("uid", "panel"), PANELS, ids=_id)
def test_a_panel_says_what_it_shows_in_which_unit_and_what_is_too_much(
    uid: str, panel: dict[str, Any]
) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["description"].rstrip().endswith("."), uid
    assert defaults["unit"]
    first, *levels = [step["value"] for step in defaults["thresholds"]["steps"]]
    assert first is None
    known = {**live(), **searches()}
    shown = [known[target["refId"].removesuffix(SCALE)] for target in panel["targets"]]
    assert tuple(levels) in {query.bounds for query in shown}
    assert levels or all(query.unit not in ABSOLUTE for query in shown)
    names = [target["refId"] for target in panel["targets"]]
    assert len(set(names)) == len(names)


def test_late_is_what_the_audit_calls_late() -> None:
    assert live()["schedule_lag_quantiles"].bounds[-1] == LAG_BOUND_SECONDS
    (alert,) = (alert for alert in alerts() if alert.name == "GeneratorBehindSchedule")
    assert alert.text.strip().endswith(f"> {LAG_BOUND_SECONDS}")


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_panels_fill_their_rows_and_never_overlap(uid: str) -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in DASHBOARDS[uid]["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARDS[uid]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + dx, place["y"] + dy)
                 for dx in range(place["w"]) for dy in range(place["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("question", QUESTIONS, ids=_id)
def test_every_query_is_one_of_the_catalogue(question: Question) -> None:
    """The text of the named query, with Grafana's variables in place of its placeholders."""
    known = {**live(), **searches()}[question.name]
    fixed = re.split(r"\\\$\w+", re.escape(known.text.strip()))
    asked = re.sub(r"^label_values\((.*), \w+\)$", r"\1", question.text)
    assert re.fullmatch(".+".join(fixed), asked, re.DOTALL), question.text


def test_the_code_of_the_dashboards_holds_no_promql() -> None:
    for path in (ROOT / "grafana").glob("*.py"):
        assert not re.search(r"taskqueue_|taskscope:\w|\brate\(|sum by", path.read_text()), path


def test_no_query_is_there_for_nothing() -> None:
    watch = (ROOT / "taskscope" / "watch.py").read_text()
    asked = {question.name for question in QUESTIONS}
    unused = [name for name in live() if name not in asked and f'"{name}"' not in watch]
    assert not unused


@pytest.mark.parametrize("question", QUESTIONS, ids=_id)
def test_every_variable_in_a_query_is_one_of_its_dashboard_or_of_grafana(
    question: Question,
) -> None:
    board = DASHBOARDS[question.dashboard]
    known = {variable["name"] for variable in board["templating"]["list"]}
    known |= {"__rate_interval", "__range"}
    assert set(re.findall(r"\$(\w+)", question.text)) <= known


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_has_variables_marks_and_links(uid: str) -> None:
    board = DASHBOARDS[uid]
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert {"metrics", "session", "scenario", "repetition"} <= set(names)
    marks = [mark["name"] for mark in board["annotations"]["list"]]
    assert marks == ["Run", "Warm-up", "Repetition", "Fault", "Pushed by taskscope run"]
    assert board["links"][0]["tags"] == board["tags"] == [grafana.TAG]
    assert board["links"][0]["keepTime"]
    assert board["links"][0]["includeVars"]


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_variable_comes_after_those_that_it_needs(uid: str) -> None:
    before: set[str] = {"__range"}
    for variable in DASHBOARDS[uid]["templating"]["list"]:
        needed = set(re.findall(r"\$(\w+)", str(variable.get("query", ""))))
        assert needed - {"metrics"} <= before, variable["name"]
        before.add(variable["name"])


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_grafana_11_and_12_can_read_it(uid: str) -> None:
    """Schema 39 is that of Grafana 11.0; both bring older ones up to their own as they read."""
    board = DASHBOARDS[uid]
    assert board["schemaVersion"] == 39
    assert "id" not in board  # it would claim to be some other Grafana's dashboard
    assert re.fullmatch(r"[a-z-]{8,40}", board["uid"])
    sources = {str(panel["datasource"]["uid"]) for panel in charts(board)}
    assert sources <= {"${metrics}", "${traces}"}


def test_both_sides_are_in_every_row_of_the_comparison() -> None:
    rows: dict[int, list[str]] = {}
    for panel in charts(DASHBOARDS[grafana.COMPARISON_UID]):
        rows.setdefault(panel["gridPos"]["y"], []).append(panel["title"])
    _ratios, *sides = rows.values()
    for left, right in sides:
        assert left.startswith("$left: ")
        assert right == left.replace("$left", "$right")


def test_links_lead_to_dashboards_that_exist() -> None:
    for uid, panel in PANELS:
        for link in panel.get("links", []):
            target = re.match(r"/d/([\w-]+)\?", link["url"])
            assert target, (uid, panel["title"])
            assert target[1] in DASHBOARDS


def test_exemplars_lead_to_the_traces_of_tempo() -> None:
    prometheus, tempo = grafana.data_sources("http://prometheus:9090", "http://tempo:3200")
    (exemplars,) = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplars == {"name": "trace_id", "datasourceUid": tempo["uid"]}
    asked = [q for q in QUESTIONS if q.name.endswith("_p99_with_exemplars")]
    assert len(asked) == 2
    with_exemplars = [
        target["refId"]
        for _, panel in PANELS
        for target in panel["targets"]
        if target.get("exemplar")
    ]
    assert with_exemplars == [question.name for question in asked]
    assert grafana.data_sources("http://prometheus:9090", None) != [prometheus, tempo]


@pytest.mark.parametrize(
    ("seconds", "step", "window"),
    [(20, 1, "4s"), (300, 1, "4s"), (900, 5, "6s"), (3600, 15, "16s")],
)
def test_a_question_is_sent_as_grafana_would(seconds: int, step: int, window: str) -> None:
    question = Question("d", "p", "n", "range", "rate(x[$__rate_interval]) + y[$__range]", 250)
    path, parameters = question.request({}, 1000.0, 1000.0 + seconds)
    assert path == "query_range"
    assert parameters["step"] == step
    assert parameters["query"] == f"rate(x[{window}]) + y[{seconds}s]"

"""`taskscope grafana push`, to a server that answers as Grafana's API does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from recording_grafana import Grafana, recording_grafana
from typer.testing import CliRunner

import grafana as dashboards
from compose.ports import free_port
from taskscope import grafana_api
from taskscope.commands.app import app
from taskscope.errors import TaskscopeError

PROMETHEUS, TEMPO = "http://prometheus:9090", "http://tempo:3200"
BOTH = ("--prometheus-url", PROMETHEUS, "--tempo-url", TEMPO)
SOURCES = {dashboards.PROMETHEUS_UID, dashboards.TEMPO_UID}


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with recording_grafana() as server:
        yield server


def push(url: str, *arguments: str, who: str = "admin-token") -> Result:
    return CliRunner().invoke(
        app, ["grafana", "push", "--grafana-url", url, *arguments],
        env={grafana_api.TOKEN_VARIABLE: who},
    )  # fmt: skip


def outcomes(result: Result) -> set[str]:
    assert result.exit_code == 0, result.exception
    return {line.rpartition(": ")[2] for line in result.stdout.splitlines()}


def refused(result: Result) -> TaskscopeError:
    assert isinstance(result.exception, TaskscopeError), result.output
    return result.exception


def test_all_is_installed_in_an_empty_grafana(grafana: Grafana) -> None:
    result = push(grafana.url, *BOTH)
    assert outcomes(result) == {"created"}
    assert len(result.stdout.splitlines()) == 2 + 1 + 5
    assert set(grafana.sources) == SOURCES
    assert grafana.sources[dashboards.PROMETHEUS_UID]["url"] == PROMETHEUS
    assert set(grafana.folders) == {dashboards.FOLDER_UID}
    for uid, board in dashboards.dashboards().items():
        stored = grafana.boards[uid]
        assert stored["dashboard"]["panels"] == board["panels"]
        assert stored["meta"]["folderUid"] == dashboards.FOLDER_UID


def test_a_second_push_changes_nothing(grafana: Grafana) -> None:
    push(grafana.url, *BOTH)
    grafana.requests.clear()
    assert outcomes(push(grafana.url, *BOTH)) == {"unchanged"}
    assert not grafana.written


def test_what_somebody_changed_is_put_right_and_the_rest_is_kept(grafana: Grafana) -> None:
    push(grafana.url, *BOTH)
    source = grafana.sources[dashboards.PROMETHEUS_UID]
    source |= {"url": "http://old:9090", "isDefault": True}
    uid = dashboards.COMPARISON_UID
    grafana.boards[uid]["dashboard"]["title"] = "Mine"
    result = push(grafana.url, *BOTH)
    assert "taskscope Prometheus: updated" in result.stdout
    assert "taskscope Tempo: unchanged" in result.stdout
    assert "taskscope: Comparison: updated" in result.stdout
    assert "taskscope: System: unchanged" in result.stdout
    source = grafana.sources[dashboards.PROMETHEUS_UID]
    assert (source["url"], source["isDefault"]) == (PROMETHEUS, True)
    assert grafana.boards[uid]["dashboard"]["version"] == 2


def test_a_dashboard_that_was_moved_comes_back_into_its_folder(grafana: Grafana) -> None:
    push(grafana.url)
    grafana.boards["taskscope-system"]["meta"]["folderUid"] = "elsewhere"
    assert "taskscope: System: updated" in push(grafana.url).stdout
    assert grafana.boards["taskscope-system"]["meta"]["folderUid"] == dashboards.FOLDER_UID


def test_what_files_provide_is_left_alone(grafana: Grafana) -> None:
    push(grafana.url, *BOTH)
    grafana.sources[dashboards.PROMETHEUS_UID] |= {"readOnly": True, "url": "http://own:9090"}
    board: dict[str, Any] = grafana.boards["taskscope-system"]
    board["meta"]["provisioned"], board["dashboard"]["title"] = True, "Mine"
    result = push(grafana.url, *BOTH)
    assert result.exit_code == 0
    assert "taskscope Prometheus: provisioned" in result.stdout
    assert "dashboard   Mine" not in result.stdout
    assert "taskscope: System: provisioned" in result.stdout


def test_without_addresses_no_data_source_is_touched(grafana: Grafana) -> None:
    result = push(grafana.url, who="editor-token")
    assert outcomes(result) == {"created"}
    assert not grafana.sources
    assert len(grafana.boards) == 5


def test_json_is_one_document(grafana: Grafana) -> None:
    pushed = json.loads(push(grafana.url, *BOTH, "--json").stdout)
    assert pushed[0] == {"what": "data source", "name": "taskscope Prometheus",
                         "outcome": "created"}  # fmt: skip


def test_credentials_of_a_data_source_are_not_in_its_address(grafana: Grafana) -> None:
    result = push(grafana.url, "--prometheus-url", "https://me:s%40cret@host/prom")
    assert result.exit_code == 0
    assert "cret" not in result.output
    _, _, body = next(r for r in grafana.requests if r[:2] == ("POST", "/datasources"))
    assert body["url"] == "https://host/prom"
    assert (body["basicAuth"], body["basicAuthUser"]) == (True, "me")
    assert body["secureJsonData"] == {"basicAuthPassword": "s@cret"}


def test_grafana_may_lie_below_a_path() -> None:
    with recording_grafana("/grafana") as server:
        assert outcomes(push(server.url + "/", *BOTH)) == {"created"}
        assert len(server.boards) == 5


def test_the_token_never_shows(grafana: Grafana) -> None:
    result = push(grafana.url, who="glsa_very_secret")
    error = refused(result)
    assert "glsa_very_secret" not in result.output + error.cause + error.remedy


def test_without_a_token(grafana: Grafana) -> None:
    error = refused(push(grafana.url, who=""))
    assert error.exit_code == 2
    assert error.cause.startswith("TASKSCOPE_GRAFANA_TOKEN is not set")
    assert "service account" in error.remedy
    assert not grafana.requests


def test_a_wrong_token(grafana: Grafana) -> None:
    error = refused(push(grafana.url, *BOTH, who="wrong"))
    assert error.exit_code == 2
    assert "does not accept the token in TASKSCOPE_GRAFANA_TOKEN" in error.cause
    assert "make a new one" in error.remedy


@pytest.mark.parametrize(("who", "what"), [("editor-token", "write data sources"),
                                             ("viewer-token", "write data sources")])  # fmt: skip
def test_no_permission_names_what_is_missing(grafana: Grafana, who: str, what: str) -> None:
    error = refused(push(grafana.url, *BOTH, who=who))
    assert error.exit_code == 2
    assert f"may not {what}" in error.cause
    assert "Permissions needed: datasources:create" in error.cause
    assert "role Admin" in error.remedy


def test_a_viewer_may_not_make_a_folder_either(grafana: Grafana) -> None:
    error = refused(push(grafana.url, who="viewer-token"))
    assert "may not write folders" in error.cause


def test_nobody_there() -> None:
    error = refused(push(f"http://127.0.0.1:{free_port()}"))
    assert error.exit_code == 3
    assert "did not answer: [Errno 111] Connection refused." in error.cause
    assert "that Grafana runs there" in error.remedy


def test_somebody_who_does_not_answer(grafana: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana_api, "_TIMEOUT_SECONDS", 0.2)
    grafana.hangs = True
    assert "nothing within 0.2 s" in refused(push(grafana.url)).cause


def test_something_else_there() -> None:
    with recording_grafana("/grafana") as server:
        error = refused(push(server.url.removesuffix("/grafana")))
    assert error.exit_code == 3
    assert "is no Grafana" in error.cause
    assert "below a path" in error.remedy


def test_a_grafana_that_is_not_well(grafana: Grafana) -> None:
    grafana.fails = True
    error = refused(push(grafana.url))
    assert error.exit_code == 3
    assert "database is locked" in error.cause


def test_a_name_that_is_taken_by_another_data_source(grafana: Grafana) -> None:
    grafana.sources["theirs"] = {"uid": "theirs", "name": "taskscope Prometheus"}
    error = refused(push(grafana.url, *BOTH))
    assert "data source with the same name already exists" in error.cause


@pytest.mark.parametrize("url", ["prometheus:9090", "http://", "http://host:none", "ftp://host"])
def test_an_address_that_is_none(grafana: Grafana, url: str) -> None:
    error = refused(push(grafana.url, "--prometheus-url", url))
    assert "What was given as --prometheus-url is no address." in error.cause
    assert not grafana.requests


def test_no_grafana_at_all() -> None:
    result = CliRunner().invoke(app, ["grafana", "push"], env={"TASKSCOPE_GRAFANA_URL": ""})
    assert "No Grafana is configured" in refused(result).cause

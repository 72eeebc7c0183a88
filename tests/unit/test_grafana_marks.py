"""`taskscope run --grafana-url`: marks between cells, addresses, and never any harm."""

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from recording_grafana import Grafana, recording_grafana

from compose.ports import free_port
from extract.manifest import CellRecord, Manifest, Problem
from taskscope import grafana_api
from taskscope.grafana_marks import Marks
from taskscope.together import PROBLEM

SESSION = "0123456789ab"
PAIRS = {"one": ("asynctasq", "celery"), "two": ("asynctasq", "")}
CREATED = 1_795_000_000
BROKEN = Problem("cell ran to its end", "worker was killed", "See its log.")
CELLS = (
    CellRecord("one", "f", "celery", 1, 10, CREATED + 10.25, CREATED + 20.5),
    CellRecord("one", "f", "asynctasq", 1, 10, CREATED + 30.0, None, (BROKEN, PROBLEM)),
    CellRecord("two", "f", "asynctasq", 1, 10, CREATED + 50.0, CREATED + 60.001),
)


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    monkeypatch.setenv(grafana_api.TOKEN_VARIABLE, "editor-token")
    with recording_grafana() as server:
        yield server


def manifest(cells: tuple[CellRecord, ...] = CELLS) -> Manifest:
    created = "2026-11-18T11:06:40+00:00"  # CREATED
    return Manifest(SESSION, created, "complete", (), "native", "native", {}, {}, (), (), cells)


def marked(url: str, cells: tuple[CellRecord, ...] = CELLS) -> list[str]:
    told: list[str] = []
    marks = Marks(url, PAIRS, told.append)
    marks.begin(SESSION, "http://me:secret@127.0.0.1:9090")
    for cell in cells:
        marks.cells(SESSION, [cell])
    marks.end(manifest(cells))
    return told


def test_cells_faults_and_the_run_are_regions_with_tags(grafana: Grafana) -> None:
    marked(grafana.url)
    found = [(a["tags"], a["time"] - CREATED * 1000, a["timeEnd"], a["text"])
             for a in grafana.annotations]  # fmt: skip
    end = CREATED * 1000
    assert found == [
        (["taskscope", SESSION, "repetition", "celery"], 10_250, end + 20_500,
         "one, celery repetition 1"),
        (["taskscope", SESSION, "repetition", "asynctasq"], 30_000, None,
         "one, asynctasq repetition 1"),
        (["taskscope", SESSION, "fault", "asynctasq"], 30_000, None,
         "one, asynctasq repetition 1: worker was killed"),
        (["taskscope", SESSION, "repetition", "asynctasq"], 50_000, end + 60_001,
         "two, asynctasq repetition 1"),
        (["taskscope", SESSION, "run"], 0, end + 60_001, f"run {SESSION} of one, two: complete"),
    ]  # fmt: skip


def test_the_addresses_are_of_the_time_that_each_scenario_took(grafana: Grafana) -> None:
    told = marked(grafana.url)
    one, two = (urlsplit(line.removeprefix("In Grafana: ")) for line in told[-2:])
    assert f"{one.scheme}://{one.netloc}" == grafana.url
    assert one.path == "/d/taskscope-comparison"
    assert parse_qs(one.query) == {
        "from": [f"{CREATED}000"], "to": [f"{CREATED + 21}000"], "var-session": [SESSION],
        "var-scenario": ["one"], "var-left": ["asynctasq"], "var-right": ["celery"],
    }  # fmt: skip
    assert parse_qs(two.query)["from"] == [f"{CREATED + 50}000"]
    assert parse_qs(two.query)["to"] == [f"{CREATED + 61}000"]
    assert "var-right" not in parse_qs(two.query)


def test_at_first_it_tells_where_to_watch_without_credentials(grafana: Grafana) -> None:
    told = marked(grafana.url)
    assert "from=now-15m&to=now&refresh=5s" in told[0]
    assert f"var-session={SESSION}" in told[0]
    assert told[2].startswith("Its Prometheus: http://")
    assert "secret" not in "".join(told)


def test_a_run_without_a_measured_cell_has_no_address(grafana: Grafana) -> None:
    told = marked(grafana.url, (CellRecord("one", "f", "celery", 1, 10, problems=(BROKEN,)),))
    assert not [line for line in told if line.startswith("In Grafana")]
    assert not grafana.annotations


@pytest.mark.parametrize(
    ("secret", "why"),
    [("", "TASKSCOPE_GRAFANA_TOKEN is not set"), ("wrong", "does not accept the token"),
     ("viewer-token", "may not write annotations")],
)  # fmt: skip
def test_a_refusal_is_told_once_and_then_there_is_silence(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch, secret: str, why: str
) -> None:
    monkeypatch.setenv(grafana_api.TOKEN_VARIABLE, secret)
    told = marked(grafana.url)
    (line,) = (line for line in told if "not marked" in line)
    assert line.startswith("The run is not marked in Grafana, and goes on: ")
    assert why in line
    assert len(grafana.written) <= 1
    assert len([line for line in told if line.startswith("In Grafana: ")]) == 2


def test_nobody_there_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(grafana_api.TOKEN_VARIABLE, "editor-token")
    told = marked(f"http://127.0.0.1:{free_port()}")
    (line,) = (line for line in told if "not marked" in line)
    assert "Connection refused" in line


def test_a_grafana_that_hangs_is_waited_for_once(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grafana_api, "_TIMEOUT_SECONDS", 0.3)
    grafana.hangs = True
    began = time.monotonic()
    told = marked(grafana.url)
    assert time.monotonic() - began < 3  # one time-out, not one for each of five marks
    assert sum("nothing within 0.3 s" in line for line in told) == 1


def test_a_grafana_that_goes_away_in_the_middle_harms_nothing(grafana: Grafana) -> None:
    told: list[str] = []
    marks = Marks(grafana.url, PAIRS, told.append)
    marks.begin(SESSION, "http://127.0.0.1:9090")
    marks.cells(SESSION, CELLS[:1])
    grafana.fails = True
    marks.cells(SESSION, CELLS[1:])
    marks.end(manifest())
    assert len(grafana.annotations) == 1
    assert sum("database is locked" in line for line in told) == 1


def test_not_even_a_mistake_of_the_clients_harms(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(grafana_api, "connect", mistaken)
    told = marked(grafana.url)
    assert "ZeroDivisionError" in next(line for line in told if "not marked" in line)


def test_an_interruption_is_heard(grafana: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grafana_api, "connect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        marked(grafana.url)

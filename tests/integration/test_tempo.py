"""Spans sent to a real Tempo come back as the same dataset."""

import base64
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pandas as pd
import pytest
import requests
from pipeline import Finished, failed_checks, manifest, table, taskscope
from real_tempo import TempoServer, needs_tempo, running_tempo

from extract import manifest as manifests
from extract import tempo as traces_of
from extract.exceptions import Failure, failures
from grafana.questions import questions
from instrumentation.attempt import Attempt
from instrumentation.carrier import pack
from instrumentation.records import FAILURE
from instrumentation.spans import lines

pytestmark = needs_tempo
TRACE = "00000000000000000000000000000abc"  # Tempo's search leaves the zeros out


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TempoServer]:
    with running_tempo(tmp_path_factory.mktemp("tempo")) as running:
        yield running


@pytest.fixture(scope="module")
def sent(
    faulty_run: Finished, server: TempoServer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Send all spans of a run, failures and a killed worker's among them, to Tempo.

    Return a copy of the run without them.
    """
    for path in sorted((faulty_run.directory / "traces").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            answer = requests.post(f"{server.otlp}/v1/traces", data=line, timeout=10,
                                   headers={"Content-Type": "application/json"})  # fmt: skip
            assert answer.ok, answer.text
    copy = tmp_path_factory.mktemp("copies") / "run"
    shutil.copytree(faulty_run.directory, copy)
    shutil.rmtree(copy / "traces")
    (copy / "traces").mkdir()
    shutil.rmtree(copy / "dataset", ignore_errors=True)
    kept = msgspec.structs.replace(manifests.read(copy), traces=server.otlp)
    kept.write(copy)
    return copy


def by_span(tasks: pd.DataFrame) -> pd.DataFrame:
    return tasks.sort_values("span_id").reset_index(drop=True)


def test_the_dataset_is_the_same_as_from_the_files(
    sent: Path, faulty_run: Finished, server: TempoServer
) -> None:
    done = taskscope("extract", sent, "--tempo-url", server.url)
    assert done.returncode == faulty_run.code, done.stderr
    assert len(table(sent, "tasks")) > 300
    pd.testing.assert_frame_equal(
        by_span(table(sent, "tasks")), by_span(table(faulty_run.directory, "tasks"))
    )
    columns = ["variant", "metric", "source"]
    for name in ("results", "audit"):
        mine, theirs = table(sent, name), table(faulty_run.directory, name)
        sort = columns if name == "results" else ["variant", "check"]
        pd.testing.assert_frame_equal(mine.sort_values(sort).reset_index(drop=True),
                                      theirs.sort_values(sort).reset_index(drop=True))  # fmt: skip


def test_tempo_discarded_nothing(sent: Path, server: TempoServer) -> None:
    assert sent.exists()
    assert server.metric("tempo_discarded_spans_total") == 0


def test_a_search_that_is_too_large_is_divided(
    sent: Path, server: TempoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = manifests.read(sent)
    whole = traces_of.fetch(traces_of.Tempo(server.url), run, tmp_path)
    ids = trace_ids(tmp_path)
    monkeypatch.setattr(traces_of, "_MOST_FOUND", 10)
    again = traces_of.fetch(traces_of.Tempo(server.url), run, tmp_path)
    assert again == whole
    assert trace_ids(tmp_path) == ids


def trace_ids(directory: Path) -> set[str]:
    text = (directory / traces_of.FILE_NAME).read_text()
    documents = [msgspec.json.decode(line) for line in text.splitlines()]
    return {span["traceId"] for document in documents for resource in document["resourceSpans"]
            for scope in resource["scopeSpans"] for span in scope["spans"]}  # fmt: skip


@pytest.mark.parametrize("name", ["slowest", "failed"])
def test_the_searches_of_the_dashboards_find_their_traces(
    name: str, sent: Path, faulty_run: Finished, server: TempoServer
) -> None:
    (question,) = (one for one in questions() if one.kind == "traces" and one.name == name)
    run = manifest(sent)
    variables = {
        "session": run["session"], "scenario": run["cells"][0]["scenario"],
        "variant": ".*", "repetition": ".*", "slower": "500ms",
    }  # fmt: skip
    begin, end = run["cells"][0]["start"] - 60, run["cells"][-1]["end"]
    path, parameters = question.request(variables, begin, end)
    answer = requests.get(f"{server.url}/api/{path}", params=parameters, timeout=30)
    assert answer.ok, answer.text
    found = {trace["traceID"].rjust(32, "0") for trace in answer.json()["traces"]}
    right = _traces(table(faulty_run.directory, "tasks"), name)
    assert found <= right
    assert len(found) == min(len(right), parameters["limit"]) > 0


def _traces(tasks: pd.DataFrame, search: str) -> set[str]:
    """Return the traces that a search should find, by what the tasks dataset says."""
    if search == "failed":
        return set(tasks[tasks["outcome"] != "success"]["trace_id"])
    ended = tasks[["completed_ns", "acked_ns"]].max(axis=1)
    return set(tasks[ended - tasks["sent_ns"] > 500_000_000]["trace_id"])


@pytest.fixture(scope="module")
def live(server: TempoServer, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Measure both frameworks with their spans going to Tempo and nowhere else."""
    directory = tmp_path_factory.mktemp("live") / "run"
    done = taskscope(
        "run", "throughput", "--quick", "--tasks", "300", "--repetitions", "1",
        "--out", directory, "--tempo-url", server.url,
        "--otlp-endpoint", server.otlp.replace("//", "//me:s3cret@"),
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20t0ken,x-scope-orgid=single-tenant",
    )  # fmt: skip
    return Finished(directory, done.returncode, done.stdout, done.stderr)


def test_a_run_by_way_of_tempo_is_exact(live: Finished) -> None:
    assert live.code == 0, live.stderr
    assert len(table(live.directory, "tasks")) == 600
    for variant in ("asynctasq", "celery-prefork-late-ack"):
        assert not failed_checks(live.directory, variant)
    assert [path.name for path in (live.directory / "traces").iterdir()] == ["tempo.jsonl"]


def test_credentials_of_the_endpoint_are_nowhere(live: Finished) -> None:
    assert manifest(live.directory)["traces"].startswith("http://***@127.0.0.1:")
    secret = base64.b64encode(b"me:s3cret")
    for path in live.directory.rglob("*"):
        if path.is_file() and "prometheus" not in path.parts:
            data = path.read_bytes()
            assert not any(word in data for word in (b"s3cret", b"t0ken", secret)), path
    assert "s3cret" not in live.stdout + live.stderr


def test_a_failed_tasks_exception_comes_too(server: TempoServer, tmp_path: Path) -> None:
    """A search shows no events: what failed is fetched by its id."""
    now = time.time()
    failed = Attempt()
    failed.task, failed.queue, failed.task_id, failed.outcome = "boom", "q", "a1", FAILURE
    failed.span_id, failed.error = "00000000000000ab", ("ValueError", "no such thing", "stack")
    failed.carrier = pack(f"00-{TRACE}-00000000000000cd-00", 0, int(now * 1e9))
    failed.received, failed.started, failed.completed = (
        int((now + seconds) * 1e9) for seconds in (0.1, 0.2, 0.3)
    )
    resource = {"taskscope.session": "fa11ed", "taskscope.repetition": "1"}
    (line, _), = lines([failed], "celery", resource)  # fmt: skip
    headers = {"Content-Type": "application/json"}
    assert requests.post(f"{server.otlp}/v1/traces", line, headers=headers, timeout=10).ok
    cell = manifests.CellRecord("s", "f", "v", 1, 1, start=now - 1, end=now + 1)
    run = manifests.Manifest("fa11ed", "", "complete", (), "native", "native", {}, {}, (), (),
                             (cell,))  # fmt: skip
    fetched = traces_of.fetch(traces_of.Tempo(server.url), run, tmp_path)
    assert fetched == traces_of.Fetched(traces=1, by_id=1, unfinished=0)
    assert failures(tmp_path, ["00000000000000ab"]) == {
        "00000000000000ab": Failure("ValueError", "no such thing")
    }

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
from pipeline import Finished, eventually, failed_checks, manifest, table, taskscope
from real_tempo import TempoServer, needs_tempo, running_tempo

from extract import manifest as manifests
from extract import tempo as traces_of
from extract.exceptions import Failure, failures
from grafana.questions import questions
from instrumentation import spans
from instrumentation.attempt import Attempt
from instrumentation.carrier import pack
from instrumentation.records import FAILURE

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


def _found(
    server: TempoServer, search: str, variables: dict[str, str], span: tuple[float, float]
) -> set[str]:
    """Search as a dashboard does; return the traces that Tempo finds."""
    (question,) = (one for one in questions() if one.kind == "traces" and one.name == search)
    path, parameters = question.request({"repetition": ".*", **variables}, *span)
    answer = requests.get(f"{server.url}/api/{path}", params=parameters, timeout=30)
    assert answer.ok, answer.text
    return {trace["traceID"].rjust(32, "0") for trace in answer.json()["traces"]}


def test_a_dashboards_search_finds_slow_tasks(
    sent: Path, faulty_run: Finished, server: TempoServer
) -> None:
    run, tasks = manifest(sent), table(faulty_run.directory, "tasks")
    asked = {"session": run["session"], "scenario": run["cells"][0]["scenario"], "variant": ".*"}
    span = run["cells"][0]["start"] - 60, run["cells"][-1]["end"]
    found = _found(server, "slowest", {**asked, "slower": "500ms"}, span)
    instants = tasks[["sent_ns", "completed_ns", "acked_ns"]].assign(
        trace_id=tasks["trace_id"]  # of which one may have several attempts
    )
    first, last = (instants.groupby("trace_id").agg(how) for how in ("min", "max"))
    took = last[["completed_ns", "acked_ns"]].max(axis=1) - first["sent_ns"]
    slow = set(took[took > 500_000_000].index)
    assert found
    assert found & set(took.index) <= slow  # it finds tasks of the warm-up too
    assert slow <= found or len(found) == 20
    assert not _found(server, "slowest", {**asked, "slower": "10m"}, span)


def test_a_dashboards_search_finds_failed_tasks(server: TempoServer) -> None:
    now = time.time()
    asked = {"session": "5ea7c4", "scenario": "s", "variant": "v"}
    _send_failed(server, now, {f"taskscope.{name}": value for name, value in asked.items()})
    span = now - 60, now + 60
    found = eventually(lambda: _found(server, "failed", asked, span), "the failed task")
    assert found == {TRACE}
    assert not _found(server, "failed", {**asked, "session": "another"}, span)


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
    for variant in ("asynctasq", "celery-prefork-cores"):
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
    _send_failed(server, now, {"taskscope.session": "fa11ed"})
    cell = manifests.CellRecord("s", "f", "v", 1, 1, start=now - 1, end=now + 1)
    run = manifests.Manifest("fa11ed", "", "complete", (), "native", "native", {}, {}, (), (),
                             (cell,))  # fmt: skip
    fetched = traces_of.fetch(traces_of.Tempo(server.url), run, tmp_path)
    assert fetched == traces_of.Fetched(traces=1, by_id=1, unfinished=0)
    assert failures(tmp_path, ["00000000000000ab"]) == {
        "00000000000000ab": Failure("ValueError", "no such thing")
    }


def _send_failed(server: TempoServer, now: float, resource: dict[str, spans.Value]) -> None:
    """Send the span of a failed task, of the first repetition of the cell of that resource."""
    failed = Attempt()
    failed.task, failed.queue, failed.task_id, failed.outcome = "boom", "q", "a1", FAILURE
    failed.span_id, failed.error = "00000000000000ab", ("ValueError", "no such thing", "stack")
    failed.carrier = pack(f"00-{TRACE}-00000000000000cd-00", 0, int(now * 1e9))
    failed.received, failed.started, failed.completed = (
        int((now + seconds) * 1e9) for seconds in (0.1, 0.2, 0.3)
    )
    resource = {**resource, "taskscope.repetition": "1"}
    (line, _), = spans.lines([failed], "celery", resource)  # fmt: skip
    headers = {"Content-Type": "application/json"}
    assert requests.post(f"{server.otlp}/v1/traces", line, headers=headers, timeout=10).ok

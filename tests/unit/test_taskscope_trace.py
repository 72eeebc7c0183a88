"""taskscope trace on a small run: pictures, causes, exceptions and addresses."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from frames import attempt, calm, frame
from pipeline import taskscope
from typer.testing import CliRunner

from extract.dataset import Dataset
from extract.exceptions import Failure, failures
from extract.manifest import Manifest
from instrumentation.attempt import Attempt
from instrumentation.carrier import pack
from instrumentation.spans import lines
from taskscope import grafana
from taskscope.commands.app import app
from taskscope.errors import UsageError
from taskscope.waterfall import allot, printable

ROWS = [
    *calm(20),
    attempt("slow-one", 3000, 3001, 3002, 3402, outcome="failure"),
    attempt("twice", 4000, 4001, 4002, 4012, outcome="retry"),
    attempt("twice", 4512, 4513, 4514, 4524, scheduled=4000, attempt=2),
]
EVIL = "kaputt\n\x1b[31mred\x07 [bold]x[/bold]"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose dataset is hand-made, and the spans of its failure."""
    Manifest("x", "", "complete", (), "native", "native", {}, {}, (), ()).write(tmp_path)
    tasks = frame(ROWS)
    empty = pd.DataFrame({"ok": pd.Series(dtype=bool)})
    Dataset(empty, tasks, empty, empty).write(tmp_path / "dataset")
    (tmp_path / "traces").mkdir()
    rows = tasks[tasks["task_id"] == "slow-one"].to_dict("records")
    text = "".join(line.decode() for row in rows for line, _ in lines([_done(row)], "s", {}))
    (tmp_path / "traces" / "a.jsonl").write_text(text)
    return tmp_path


def _done(row: dict[str, Any]) -> Attempt:
    failed = Attempt()
    failed.task, failed.queue, failed.task_id, failed.outcome = (
        "job",
        "q",
        row["task_id"],
        "failure",
    )
    failed.span_id, failed.error = row["span_id"], ("LookupError", EVIL, "stack")
    failed.carrier = pack(f"00-{row['trace_id']}-{'1' * 16}-00", 0, row["sent_ns"])
    failed.received, failed.started, failed.completed = (
        row[f"{stage}_ns"] for stage in ("received", "started", "completed")
    )
    return failed


def shown(*arguments: object, width: int = 100, **environ: str) -> str:
    result = CliRunner().invoke(
        app, ["trace", *map(str, arguments)], env={"COLUMNS": str(width), **environ}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_slowest_with_their_stages_and_cause(run: Path) -> None:
    text = shown(run, "--slowest", 3)
    first = next(line for line in text.splitlines() if line.strip().startswith("twice"))
    assert "524 ms" in first
    assert "retried" in first
    assert "╌" * 20 in first
    slow = next(line for line in text.splitlines() if line.strip().startswith("slow-one"))
    assert "402 ms" in slow
    assert "slow itself" in slow
    assert "█" * 20 in slow
    assert "██ execution" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_wider_than_the_terminal(run: Path, width: int) -> None:
    for arguments in (("--slowest", 5), ("--task", "twice"), ("--task", "slow-one")):
        text = shown(run, *arguments, width=width)
        assert max(len(line) for line in text.splitlines()) <= width


def test_all_attempts_of_a_task_lie_on_one_axis(run: Path) -> None:
    text = shown(run, "--task", "twice")
    assert text.index("attempt 1: retry") < text.index("attempt 2: success")
    first, second = (line for line in text.splitlines() if line.startswith("execution"))
    assert first.index("█") < second.index("█")
    assert "Cause: retried" in text
    assert "Remedy:" in text


def test_a_failure_shows_its_exception_and_does_nothing_to_the_terminal(run: Path) -> None:
    for text in (shown(run, "--failed"), shown(run, "--task", "slow-one")):
        assert r"LookupError: kaputt \x1b[31mred\x07 [bold]x[/bold]" in " ".join(text.split())
        assert "\x1b" not in text
        assert "twice" not in text


def test_json_has_everything(run: Path) -> None:
    (record,) = json.loads(shown(run, "--failed", "--json"))
    assert record["error"] == {"type": "LookupError", "message": EVIL}
    assert record["cause"]["kind"] == "slow itself"
    assert [s["stage"] for s in record["stages"]] == ["broker_wait", "prefetch_wait", "execution"]
    assert "trace_url" not in record


def test_no_failure_is_said(run: Path) -> None:
    tasks = frame(calm(20))
    empty = pd.DataFrame({"ok": pd.Series(dtype=bool)})
    Dataset(empty, tasks, empty, empty).write(run / "dataset")
    assert shown(run, "--failed") == "No such task.\n"
    assert json.loads(shown(run, "--failed", "--json")) == []


def test_open_prints_where_the_trace_is(run: Path) -> None:
    (record,) = json.loads(shown(
        run, "--task", "slow-one", "--json", "--open", "--tempo-datasource", "mine",
        TASKSCOPE_GRAFANA_URL="https://me:secret@grafana.example:8443/sub/?token=secret",
    ))  # fmt: skip
    url = record["trace_url"]
    assert "secret" not in url
    assert url.startswith("https://grafana.example:8443/sub/explore?schemaVersion=1&")
    pane = json.loads(parse_qs(urlsplit(url).query)["panes"][0])["trace"]
    assert pane["datasource"] == pane["queries"][0]["datasource"]["uid"] == "mine"
    assert pane["queries"][0]["query"] == record["trace_id"]
    begin = record["begin_ns"] // 1_000_000
    assert int(pane["range"]["from"]) < begin < begin + 402 < int(pane["range"]["to"])
    text = shown(run, "--task", "slow-one", "--open", "--grafana-url", "http://g:3000", width=60)
    assert (
        f"http://g:3000/explore?{urlsplit(url).query.replace('mine', 'taskscope-tempo')}\n" in text
    )


@pytest.mark.parametrize(
    "url", ["redis://u:secret@g", "secret", "http://", "http://g:secret", "http://[secret"]
)
def test_what_is_no_grafana_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        grafana.base(url)
    assert "secret" not in f"{refused.value.cause}{refused.value.remedy}"
    assert "--grafana-url http://host:3000" in refused.value.remedy


def test_open_without_a_grafana_says_what_to_give(run: Path) -> None:
    done = taskscope("trace", run, "--open", TASKSCOPE_GRAFANA_URL="")
    assert done.returncode == 2
    assert "No Grafana is configured" in done.stderr
    assert "TASKSCOPE_GRAFANA_URL" in done.stderr


def test_an_unknown_task_is_an_error(run: Path) -> None:
    done = taskscope("trace", run, "--task", "none")
    assert done.returncode == 2
    assert "No task none was measured" in done.stderr


def test_exceptions_come_from_lines_that_matter(run: Path) -> None:
    path = run / "traces" / "a.jsonl"
    span_id = frame(ROWS)["span_id"][20]
    assert failures(run / "traces", {span_id}) == {span_id: Failure("LookupError", EVIL)}
    assert failures(run / "traces", {"f" * 16}) == failures(run / "traces", ()) == {}
    path.write_text("damaged\n" + path.read_text() + path.read_text()[:-20])
    assert set(failures(run / "traces", {span_id})) == {span_id}
    path.write_text(path.read_text().replace('{"resourceSpans', '{"x":}{'))
    done = taskscope("trace", run, "--failed")
    assert done.returncode == 2
    assert f"A trace file is damaged: {path}, line 2" in done.stderr
    path.unlink()
    assert "Its exception is not in traces/." in shown(run, "--task", "slow-one")


@pytest.mark.parametrize("shares", [[1.0], [0.5, 0.5], [0.001, 0.999], [1 / 3] * 3, [0.04] * 25])
def test_bars_are_filled_exactly(shares: list[float]) -> None:
    cells = allot(shares, 24)
    assert sum(cells) == 24
    assert all(abs(n - share * 24) < 1 for n, share in zip(cells, shares, strict=True))


def test_nothing_to_divide() -> None:
    assert allot([], 24) == []


def test_long_messages_are_cut() -> None:
    assert len(printable("x" * 500)) == 120

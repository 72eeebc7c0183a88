"""The report in a real browser: no error, no request, every chart drawn, the dataset's figures."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

import pandas as pd
import pytest
from pipeline import Finished, table, taskscope
from reports import FASTER, run

from extract import report
from extract.manifest import ProfileRecord

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="THE REPORT WAS NOT LOOKED AT: no chromium on PATH; apt-get install chromium",
)


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page: the document, and what its console says."""

    dom: str
    console: tuple[str, ...]

    def drawn(self) -> dict[str, int]:
        """How many marks each chart has."""
        parts = re.split(r'data-chart="([^"]+)"', self.dom)[1:]
        charts = zip(parts[::2], parts[1::2], strict=True)
        return {name: len(re.findall(r"<path aria-label=", rest)) for name, rest in charts}


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Seen]:
    def open_page(page: Path, *options: str) -> Seen:
        assert CHROMIUM is not None
        arguments = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}",
                     "--virtual-time-budget=60000", "--enable-logging=stderr", "--dump-dom",
                     *options, page.as_uri())  # fmt: skip
        done = subprocess.run(
            [CHROMIUM, *arguments], capture_output=True, text=True, timeout=120, check=True
        )
        console = re.findall(r'CONSOLE[:(]\d+\)?\] "(.*)", source', done.stderr)
        return Seen(done.stdout, tuple(console))

    return open_page


@pytest.fixture
def made(tmp_path: Path) -> Path:
    scenarios = {name: (FASTER, {("a", 2): "swapped"} if name == "t" else {}) for name in "stu"}
    record = ProfileRecord("s", "f", "a", "cpu", 100, 1.5, "profiles/x.folded", "profiles/x.svg")
    profiled = [(record, {("worker process", "<script>alert(1)</script>"): 3})]
    made = replace(run(scenarios, arrivals="constant"), profiles=profiled)
    return report.write(tmp_path / "report", made)[0]


@pytest.mark.parametrize("options", [(), ("--force-dark-mode",), ("--window-size=390,800",)])
def test_every_chart_is_drawn_without_an_error_or_a_request(
    made: Path, look: Callable[..., Seen], options: tuple[str, ...]
) -> None:
    seen = look(made, *options)
    assert seen.console == ()  # the policy makes any request an error
    specs = re.search(r'id="specs">(.*?)</script>', made.read_text())
    assert specs is not None
    drawn = seen.drawn()
    assert set(drawn) == set(json.loads(specs[1]))
    assert all(marks > 1 for marks in drawn.values()), drawn
    assert f'data-drawn="{len(drawn)}"' in seen.dom


def test_one_repetition_is_drawn_without_an_error(
    tmp_path: Path, look: Callable[..., Seen]
) -> None:
    values = {key: series[:1] for key, series in FASTER.items()}
    seen = look(report.write(tmp_path / "report", run({"s": (values, {})}))[0])
    assert seen.console == ()
    assert seen.drawn()["s-throughput"] > 1


@pytest.mark.parametrize(
    "broken",
    ['<img src="http://127.0.0.1:9/x.png">', "<script>alert(1)</script>",
     '<link rel="stylesheet" href="https://example.org/x.css">'],
)  # fmt: skip
def test_a_request_or_a_foreign_script_would_be_noticed(
    made: Path, look: Callable[..., Seen], broken: str
) -> None:
    made.write_text(made.read_text().replace("</header>", f"{broken}</header>"))
    assert any("Content Security Policy" in line for line in look(made).console)


def test_the_figures_of_a_real_run_are_the_datasets(
    throughput_run: Finished, look: Callable[..., Seen], copy_run: Callable[..., Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    directory = copy_run(throughput_run.directory, tmp_path / "copy")
    done = taskscope("report", directory, "--json")
    assert done.returncode == 0, done.stderr
    seen = look(Path(json.loads(done.stdout)["page"]))
    assert seen.console == ()
    results = table(directory, "results")
    shown = [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) | {"text": html.unescape(text)}
             for tag, text in re.findall(r'<a class="n" (.*?)>(.*?)</a>', seen.dom)]  # fmt: skip
    assert len(shown) > 100
    for number in shown:
        if "/" not in number["data-variant"]:
            assert float(number["data-value"]) == _expected(results, number), number
            assert _reads_as(number["text"], float(number["data-value"])), number

    _check_waterfalls(seen.dom, table(directory, "tasks"))


def _check_waterfalls(dom: str, tasks: pd.DataFrame) -> None:
    """Each time in a waterfall is that between two instants; the tasks are the slowest."""
    tasks = tasks.set_index(["variant", "repetition", "task_id", "attempt"])
    ends = {"broker_wait": ("sent_ns", "received_ns"),
            "prefetch_wait": ("received_ns", "started_ns"),
            "execution": ("started_ns", "completed_ns"), "ack": ("completed_ns", "acked_ns"),
            "total": ("sent_ns", "acked_ns")}  # fmt: skip
    drawn: dict[str, list[str]] = {}
    for tag, text in re.findall(r'<a class="ms" (.*?)>(.*?)</a>', dom):
        shown = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        row = tasks.loc[(shown["data-variant"], int(shown["data-repetition"]),
                         shown["data-task"], int(shown["data-attempt"]))]  # fmt: skip
        begin, end = (int(row[name]) for name in ends[shown["data-stage"]])
        assert float(shown["data-ms"]) == pytest.approx((end - begin) / 1e6, rel=1e-12)
        assert _reads_as(text, (end - begin) / 1e9), (text, shown)
        if shown["data-stage"] == "total":
            drawn.setdefault(shown["data-variant"], []).append(shown["data-task"])
    took = (tasks["completed_ns"] - tasks["sent_ns"]).sort_values(ascending=False)
    slowest = {v: list(took.loc[v].index.get_level_values("task_id")[:5]) for v in drawn}
    assert len(drawn) == 2
    assert {v: sorted(ids) for v, ids in drawn.items()} == {
        v: sorted(i) for v, i in slowest.items()
    }


def _expected(results: pd.DataFrame, number: dict[str, str]) -> float:
    by_traces = number["title"].startswith("trace")
    chosen = results[
        (results["metric"] == number["data-metric"])
        & (results["variant"] == number["data-variant"])
        & (results["source"] == ("traces" if by_traces else "promql"))
    ]
    return float((mean if by_traces else median)(chosen["value"].tolist()))


def _reads_as(text: str, value: float) -> bool:
    if text == "< 100 µs":
        return value <= 1e-4
    number, _, unit = text.partition(" ")
    factor = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "kB": 1e3, "MB": 1e6, "GB": 1e9}.get(unit, 1.0)
    read = float(number.replace(",", "")) * factor
    return abs(read - value) <= 0.006 * abs(value)


def test_a_run_without_its_dataset_gets_both(
    throughput_run: Finished, copy_run: Callable[..., Path], tmp_path: Path
) -> None:
    directory = copy_run(throughput_run.directory, tmp_path / "copy")
    done = taskscope("report", directory)
    assert done.returncode == 0, done.stderr
    assert str(directory / "report" / "report.html") in done.stdout
    followed = table(directory, "timeline")
    assert set(followed["metric"]) >= {"queue_depth_over_time", "worker_memory_over_time"}
    assert (followed["value"] >= 0).all()

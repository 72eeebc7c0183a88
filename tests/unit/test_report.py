"""The page says what the dataset says, whatever the dataset looks like."""

import math
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from frames import attempt, calm, frame
from reports import FASTER, START, run

from extract import clocks, report
from extract.manifest import Problem, ProfileRecord
from extract.report import distributions
from extract.report.answers import answer
from extract.report.charts import charts
from extract.report.flame import profiles
from extract.report.view import View, views
from extract.report.waterfalls import waterfalls
from extract.timeline import follow


class Page(HTMLParser):
    """The numbers of a page, and its text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: list[dict[str, str]] = []
        self.ids: set[str] = set()
        self.text = ""
        self._silent = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids.add(found.get("id", ""))
        self._silent = tag in {"script", "style"}
        if "data-value" in found:
            self.numbers.append(found)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._silent = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._silent else data


def page(tmp_path: Path, made: report.Run) -> Page:
    return Page(report.write(tmp_path, made)[0].read_text())


def only(made: report.Run) -> View:
    (view,) = views(made)
    return view


def test_the_verdict_comes_first_and_says_how_much_and_how_sure(tmp_path: Path) -> None:
    found = page(tmp_path, run({"s": (FASTER, {})}))
    words = " ".join(found.text.split())
    order = [words.index(part) for part in ("Choose a", "4.01× as high", "How sure: proven.",
                                            "5 repetitions", "Title of s: charts")]  # fmt: skip
    assert order == sorted(order)


def test_every_number_names_its_source_and_leads_to_it(tmp_path: Path) -> None:
    found = page(tmp_path, run({"s": (FASTER, {})}))
    assert len(found.numbers) > 10
    for number in found.numbers:
        assert number["title"].startswith(("query ", "trace statistic ", "ratio of "))
        assert number["href"].removeprefix("#") in found.ids, number


def test_the_numbers_are_the_datasets(tmp_path: Path) -> None:
    found = page(tmp_path, run({"s": (FASTER, {})}))
    values = {(n["data-variant"], n["data-metric"]): float(n["data-value"]) for n in found.numbers}
    assert values["a", "throughput"] == 4020
    assert values["b", "end_to_end_p99"] == 0.405
    logs = np.log(FASTER["a", "throughput"]) - np.log(FASTER["b", "throughput"])
    assert math.isclose(values["a/b", "throughput"], math.exp(logs.mean()))
    assert math.isclose(values["a", "broker_wait_mean"], 0.05 * 3)


def test_what_users_wrote_is_text(tmp_path: Path) -> None:
    made = run({"s": (FASTER, {("a", 1): "<img src=x onerror=alert(1)> | `x`"})})
    made.manifest.scenarios[0]["title"] = "</script><b>bold</b>"
    text = report.write(tmp_path, made)[0].read_text()
    assert "<img src=x" not in text
    assert "<b>bold" not in text
    assert text.count("</script>") == 2  # those of the page itself
    assert "\\<img" in (tmp_path / "summary.md").read_text()


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    text = report.write(tmp_path, run({"s": (FASTER, {})}))[0].read_text()
    assert "default-src 'none'" in text
    assert "unsafe-eval" not in text
    assert not [a for a in ('src="http', "src='http", 'href="http', "@import") if a in text]


def test_clocks_of_other_hosts_stand_on_the_page(tmp_path: Path) -> None:
    made = run({"s": (FASTER, {})})
    off = {
        **made.manifest.cells[0].labels("x"), "repetition": 1, "host": "elsewhere",
        "reference": "here", "offset_ns": 350_000_000, "uncertainty_ns": 1_000, "pings": 20,
        "least_wait_ns": 400_000_000,
    }  # fmt: skip
    crossed = replace(made, data=replace(made.data, clocks=clocks.frame([off])))
    for path in report.write(tmp_path / "crossed", crossed)[:2]:
        text = path.read_text()
        assert "the clock of elsewhere is 350 ms ahead of that of here" in text
        assert "Synchronise the clocks" in text
    (claim,) = (c for c in answer(crossed, only(crossed)).claims if "p99" in c.comparison.metric)
    assert "clocks" in {doubt.kind for doubt in claim.comparison.doubts}
    for path in report.write(tmp_path / "one-host", made)[:2]:
        assert "Synchronise the clocks" not in path.read_text()


def test_a_timeline_without_samples_says_so(tmp_path: Path) -> None:
    made = run({"s": (FASTER, {})})
    rows = made.data.timeline
    name = str(rows["metric"].iloc[0])
    less = replace(made, data=replace(made.data, timeline=rows[rows["metric"] != name]))
    (whole,), (empty,) = (
        [chart for chart in charts(only(one)) if chart.name == name.replace("_", "-")]
        for one in (made, less)
    )
    assert (whole.spec is None, empty.spec is None) == (False, True)
    assert "No scrape has any" in empty.caption
    assert "No scrape has any" not in whole.caption
    assert not [path for path in report.write(tmp_path, less) if whole.name in path.name]


def test_an_invalid_cell_is_left_out_and_says_why(tmp_path: Path) -> None:
    made = run({"s": (FASTER, {("a", 2): "9 pages swapped"})})
    found = page(tmp_path, made)
    assert "1 of 10 cells are invalid" in found.text
    assert "9 pages swapped" in found.text
    (throughput,) = {float(n["data-value"]) for n in found.numbers
                     if n["data-metric"] == "throughput" and n["data-variant"] == "a"}  # fmt: skip
    assert throughput == 4010  # the median without 4,100
    view = only(made)
    assert ("a", 2) not in {(c.variant, c.repetition) for c in view.cells}
    for table in (view.results, view.tasks, view.timeline):
        assert set(table.loc[table["variant"] == "a", "repetition"]) == {1, 3, 4, 5}


def test_without_any_valid_cell_there_is_a_page_without_a_verdict(tmp_path: Path) -> None:
    failed = {(v, r): "broken" for v in "ab" for r in range(1, 6)}
    made = run({"s": (FASTER, failed)})
    assert "No choice yet" in page(tmp_path, made).text
    assert not [chart for chart in charts(only(made)) if chart.spec]


def test_a_run_that_measured_nothing_has_a_page(tmp_path: Path) -> None:
    failed = {(v, r): "no worker" for v in "ab" for r in (1, 2)}
    made = run({"s": ({("a", "throughput"): [None] * 2, ("b", "throughput"): [None] * 2}, failed)})
    nothing = replace(made.data, results=made.data.results.iloc[:0])
    made = replace(made, data=nothing)
    assert "No verdict" in page(tmp_path, made).text


def test_one_repetition_is_no_verdict(tmp_path: Path) -> None:
    values = {key: series[:1] for key, series in FASTER.items()}
    made = run({"s": (values, {})})
    words = " ".join(page(tmp_path, made).text.split())
    assert answer(made, only(made)).choice.startswith("No choice yet")
    assert "There is no verdict on the throughput: 1 block is too few" in words


def test_one_variant_is_shown_by_itself(tmp_path: Path) -> None:
    values = {key: series for key, series in FASTER.items() if key[0] == "a"}
    found = page(tmp_path, run({"s": (values, {})}))
    assert "Nothing to compare: only a was measured" in found.text
    assert {n["data-variant"] for n in found.numbers} == {"a"}


def test_three_scenarios_have_a_verdict_each(tmp_path: Path) -> None:
    slower = {(v, m): FASTER["b" if v == "a" else "a", m] for v, m in FASTER}
    mixed = {**slower, ("a", "end_to_end_p99"): FASTER["a", "end_to_end_p99"],
             ("b", "end_to_end_p99"): FASTER["b", "end_to_end_p99"]}  # fmt: skip
    made = run({"s": (FASTER, {}), "t": (slower, {}), "u": (mixed, {})})
    choices = [answer(made, view).choice for view in views(made)]
    assert choices == ["Choose a", "Choose b",
                       "a for end-to-end time of the slowest 1 %; b for throughput"]  # fmt: skip
    words = page(tmp_path, made).text
    assert all(choice in words for choice in choices)


def test_what_is_the_same_is_not_chosen_between() -> None:
    same = {(v, "throughput"): [1000.0, 1001.0, 999.0, 1000.5, 1000.2] for v in "ab"}
    made = run({"s": (same, {})})
    assert answer(made, only(made)).choice == "Either will do: a and b are equivalent"


def test_on_a_schedule_latency_decides_and_lag_is_drawn() -> None:
    made = run({"s": (FASTER, {})}, arrivals="constant")
    primary = answer(made, only(made)).primary
    assert primary is not None
    assert primary.comparison.metric == "end_to_end_p99"
    lag = {chart.name: chart for chart in charts(only(made))}["lag"]
    assert lag.spec is not None
    assert {row["value"] for row in lag.spec["data"]["values"]} == {1e-4}


def test_failures_decide_only_where_there_are_any() -> None:
    for count, metrics in ((0.0, 2), (3.0, 3)):
        failures = {("a", "tasks_failed"): [0.0] * 5, ("b", "tasks_failed"): [count] * 5}
        made = run({"s": ({**FASTER, **failures}, {})})
        assert len(answer(made, only(made)).claims) == metrics


def test_overhead_is_shown_where_it_was_measured(tmp_path: Path) -> None:
    units = {"throughput": "tasks/s", "cpu_per_task": "us/task", "window": "s"}
    ledger = pd.DataFrame([
        {"session": "x", "framework": "f", "variant": "a", "mode": mode, "repetition": r,
         "metric": metric, "value": value + r, "unit": unit}
        for mode, value in (("bare", 5000.0), ("default", 4900.0)) for r in (1, 2, 3)
        for metric, unit in units.items()
    ])  # fmt: skip
    bare = page(tmp_path, run({"s": (FASTER, {})})).text
    assert "Not measured in this run: taskscope overhead --into DIR" in bare
    costs = ["Instrumentation costs a little."]
    made = replace(run({"s": (FASTER, {})}, overhead=ledger.assign(scenario="s")), costs=costs)
    found = page(tmp_path, made)
    assert "Not measured in this run" not in found.text
    assert "Instrumentation costs a little." in found.text
    assert "Instrumentation costs a little." in (tmp_path / "summary.md").read_text()
    shown = [n for n in found.numbers if n["title"].startswith("overhead.parquet: ")]
    assert [float(n["data-value"]) for n in shown] == [5002, 5002, 4902, 4902]
    assert {n["href"].removeprefix("#") for n in shown} <= found.ids
    assert "5,002 tasks/s" in found.text
    assert "4,902 µs/task" in found.text


def test_the_slowest_tasks_are_drawn_with_their_cause(tmp_path: Path) -> None:
    rows = [
        *calm(20, variant="a"),
        attempt("<b>slow</b>", 3000, 3001, 3002, 3402, variant="a", acked=3403),
        *calm(20, variant="b"),
        attempt("of-an-invalid-cell", 3000, 3001, 3002, 9000, variant="b", repetition=2),
    ]
    made = run({"s": (FASTER, {("b", 2): "swapped"})})
    cells = tuple(msgspec.structs.replace(c, start=float(START)) for c in made.manifest.cells)
    manifest = msgspec.structs.replace(made.manifest, cells=cells)
    made = replace(made, manifest=manifest, data=replace(made.data, tasks=frame(rows)))
    first, second = waterfalls(only(made))
    assert (first.variant, second.variant) == ("a", "b")
    assert len(first.falls) == len(second.falls) == 5
    assert "of-an-invalid-cell" not in {fall.task_id for fall in second.falls}
    slow = first.falls[0]
    assert (slow.causes[0].kind, slow.text) == ("slow itself", "403 ms")
    assert [(b.title, b.text, b.share) for b in slow.bars] == [
        ("broker wait", "1 ms", "0%"), ("prefetch wait", "1 ms", "0%"),
        ("execution", "400 ms", "99%"), ("acknowledgement", "1 ms", "0%"),
    ]  # fmt: skip
    for before, after in pairwise(slow.bars):  # each begins where the one before ended
        assert after.left == pytest.approx(before.left + before.width)
    assert slow.bars[-1].left + slow.bars[-1].width == pytest.approx(100)
    text = report.write(tmp_path, made)[0].read_text()
    words = " ".join(Page(text).text.split())
    assert "Cause: slow itself. Executing it took 400 ms of 403 ms (99%)." in words
    assert "<b>slow</b>" in words
    assert "<b>slow</b>" not in text
    assert "| a | 403 ms | execution 99% | slow itself |" in (tmp_path / "summary.md").read_text()


def test_a_run_without_tasks_has_no_slowest(tmp_path: Path) -> None:
    made = run({"s": (FASTER, {})})
    made = replace(made, data=replace(made.data, tasks=made.data.tasks.iloc[:0]))
    assert list(waterfalls(only(made))) == []
    assert "the slowest tasks" not in page(tmp_path, made).text


def test_profiles_are_drawn_to_scale_and_marked_as_in_no_figure(tmp_path: Path) -> None:
    stacks = {("worker process", "main (a.py:1)", "run (a.py:5)", "f (b.py:2)"): 600,
              ("worker process", "main (a.py:1)", "run (a.py:5)", "<g> (b.py:9)"): 300,
              ("its child processes", "f (b.py:2)"): 99,
              ("its child processes", "h (c.py:1)"): 1}  # fmt: skip
    record = ProfileRecord("s", "f", "a", "cpu", 5000, 2.5, "profiles/s-a-cpu.folded",
                           "profiles/s-a-cpu.svg")  # fmt: skip
    missing = ProfileRecord("s", "f", "b", "memory", problems=(
        Problem("memory profile", "memray is not installed", "Install it."),))  # fmt: skip
    plain = run({"s": (FASTER, {}), "t": (FASTER, {})})
    made = replace(plain, profiles=[(record, stacks), (missing, {})])
    drawn, without = profiles(made, next(views(made)))
    boxes = {(box.row, box.name): (box.left, box.width) for box in drawn.boxes}
    assert boxes == {
        (0, "its child processes"): (0, 10), (1, "f (b.py:2)"): (0, pytest.approx(9.9)),
        (0, "worker process"): (10, 90),
        (1, "run (a.py:5)"): (10, 90),  # main only passes on to run, and shares its box
        (2, "<g> (b.py:9)"): (10, 30), (2, "f (b.py:2)"): (40, 60),
    }  # fmt: skip
    assert drawn.hottest[0] == ("f (b.py:2)", "69.9%")
    assert without.boxes == ()
    text = report.write(tmp_path, made)[0].read_text()
    words = " ".join(Page(text).text.split())
    assert "it is in no figure, verdict or export" in words
    assert "1,000 samples by py-spy, over 5,000 tasks, for which it used 2.5 s of CPU" in words
    assert "memray is not installed. Install it." in words
    assert 'href="../profiles/s-a-cpu.svg"' in text
    assert "<g> (b" not in text
    assert "Title of t: profiles" not in words
    unprofiled = Page(report.write(tmp_path, plain)[0].read_text())
    assert unprofiled.numbers == Page(text).numbers  # they change no figure


def test_charts_come_as_files(tmp_path: Path) -> None:
    files = report.write(tmp_path, run({"s": (FASTER, {})}))
    assert {path.suffix for path in files} == {".html", ".md", ".svg", ".png"}
    summary = (tmp_path / "summary.md").read_text()
    for path in files[2:]:
        assert path.stat().st_size > 1000
        assert path.suffix == ".png" or f"charts/{path.name}" in summary


def test_a_cdf_is_exact_at_every_point() -> None:
    values = np.random.default_rng(1).lognormal(size=10_000)
    points = distributions.cdf(values)
    assert 150 < len(points) <= 211
    for value, share in points:
        assert value in values
        assert share == (values <= value).mean()
    assert points[-1] == (values.max(), 1.0)
    assert distributions.cdf(np.array([])) == []
    assert distributions.cdf(np.array([2.0, 2.0])) == [(2.0, 1.0)]


def test_a_box_is_of_values_that_occurred() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert distributions.box(values) == {"p5": 1, "p25": 1, "p50": 2, "p75": 3, "p95": 4}
    assert distributions.box(np.array([])) == {}


def test_rates_count_every_event_once() -> None:
    instants = np.random.default_rng(1).uniform(0, 7, 1000)
    width = distributions.step(7)
    rates = distributions.rate(instants, width)
    assert width == 0.2
    assert sum(rate * width for _, rate in rates) == pytest.approx(1000)
    assert distributions.rate(np.array([]), 1.0) == []


def test_gauges_are_summed_and_counters_differenced() -> None:
    ready = {"values": [[START, "1"], [START + 1, "3"]]}
    late = {"values": [[START + 1, "10"], [START + 3, "14"]]}
    assert follow([ready, late], "gauge") == {START: 1, START + 1: 13, START + 3: 17}
    assert follow([ready, late], "counter") == {START + 1: 12, START + 3: 2}
    assert follow([], "gauge") == {}

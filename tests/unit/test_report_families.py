"""What the report says of a matrix as a whole: curves, bounds, where they flatten, and the card."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from reports import run

from extract import report
from extract.classes import COLUMNS
from extract.classes import table as classes
from extract.report import by_class
from extract.report.families import Family, families
from extract.report.view import views

RATES = {10: (95.0, 90.0), 50: (240.0, 400.0), 100: (250.0, 760.0)}
CARD = {"variant": "a", "reasons": [{"setting": "pool", "why": "It <waits>."}],
        "handicaps": ["One core."],
        "rejected": [{"setting": "pool = x", "because": "Slow.", "measured": "1/s",
                      "instead": "2/s", "how": "Then."}]}  # fmt: skip


def made(*, matrix: bool = True, **more: Any) -> report.Run:
    """Make a run of three points, at each of which two variants have a throughput."""
    found = run({
        f"io-concurrency-{c}": ({(v, "throughput"): [rate, rate * 1.02, rate * 0.98]
                                 for v, rate in zip("ab", rates, strict=True)}, {})
        for c, rates in RATES.items()
    })  # fmt: skip
    points = tuple(
        {**s, "title": f"I/O: concurrency {c}", "family": "io", "point": {"concurrency": c},
         "run": {**s["run"], "concurrency": c, "workers": 1}, **more}
        for s, c in zip(found.manifest.scenarios, RATES, strict=True)
    )  # fmt: skip
    if not matrix:
        points = tuple({**s, "family": s["name"], "point": {}} for s in points)
    return replace(found, manifest=msgspec.structs.replace(found.manifest, scenarios=points))


def only(found: report.Run) -> Family:
    (family,) = families(found, list(views(found)))
    return family


def test_the_points_of_a_family_make_curves() -> None:
    family = only(made())
    assert (family.name, family.title, family.axes) == ("io", "I/O", ("concurrency",))
    throughput = next(c for c in family.charts if c.name == "curve-throughput")
    assert throughput.spec
    rows = throughput.spec["data"]["values"]
    assert {(r["variant"], r["x"]): r["value"] for r in rows} == {
        (v, float(c)): rate
        for c, rates in RATES.items() for v, rate in zip("ab", rates, strict=True)
    }  # fmt: skip
    assert throughput.spec["encoding"]["x"]["axis"]["values"] == [10, 50, 100]


def test_it_says_where_each_curve_flattens() -> None:
    assert only(made()).flattening == (
        "a flattens from concurrency 50 on.",
        "b still grows at concurrency 100.",
    )


def test_the_bound_stands_beside_what_was_measured() -> None:
    family = only(made(bound={"kind": "waiting", "seconds": 0.1}))
    assert [row.place for row in family.rows] == [("10",), ("50",), ("100",)]
    assert [row.bound.value for row in family.rows if row.bound] == [100, 500, 1000]
    assert family.rows[1].shares == ("48%", "80%")
    chart = next(c for c in family.charts if c.name == "curve-throughput")
    assert chart.spec
    drawn = [r for r in chart.spec["data"]["values"] if r["variant"] == "theoretical bound"]
    assert [r["value"] for r in drawn] == [100, 500, 1000]


def test_the_bound_of_computing_is_that_of_the_fastest_execution() -> None:
    family = only(made(bound={"kind": "cpu", "seconds": 0.0}))
    fastest = 0.005  # reports.py makes the first repetition the fastest
    assert [r.bound.value for r in family.rows if r.bound] == [pytest.approx(2 / fastest)] * 3


def test_a_scenario_without_matrix_bound_or_card_is_no_family() -> None:
    found = made(matrix=False)
    assert not list(families(found, list(views(found))))


def test_the_page_shows_all_of_it(tmp_path: Path) -> None:
    found = made(bound={"kind": "waiting", "seconds": 0.1}, fairness=[CARD])
    page, summary, *files = report.write(tmp_path, found)
    text = page.read_text()
    for part in ('id="family-io"', "a flattens from concurrency 50 on.", "48%", "It &lt;waits&gt;.",
                 "One core.", "Measured 1/s, instead of 2/s (Then.)"):  # fmt: skip
        assert part in text, part
    assert "| 50 | 500 tasks/s |" in summary.read_text()
    assert "io-curve-throughput.svg" in {file.name for file in files}


def test_classes_are_told_apart() -> None:
    found = run({"s": ({("a", "throughput"): [1.0], ("b", "throughput"): [2.0]}, {})})
    rows = [
        {**dict.fromkeys(COLUMNS, ""), "scenario": "s", "variant": v, "repetition": 1, "task": task,
         "metric": "end_to_end_p99", "value": value, "lower": None, "upper": None,
         "source": source}
        for v, task, value, source in (("a", "short", 0.5, "promql"), ("a", "long", 2.0, "promql"),
                                       ("a", "short", 9.9, "traces"), ("b", "short", 0.1, "promql"))
    ]  # fmt: skip
    tasks = found.data.tasks
    half = pd.Series(["long", "short"] * (len(tasks) // 2), dtype="string", index=tasks.index)
    data = replace(found.data, classes=classes(rows), tasks=tasks.assign(task=half))
    (view,) = views(replace(found, data=data))
    table = {(r.task, r.label): [n and n.text for n in r.numbers] for r in by_class.rows(view)}
    assert table["short", "end to end p99"] == ["500 ms", "100 ms"]
    assert table["long", "end to end p99"] == ["2 s", None]
    (chart,) = by_class.chart(view)
    assert chart.spec
    assert {row["stage"] for row in chart.spec["data"]["values"]} == {"long", "short"}

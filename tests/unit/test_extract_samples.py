"""Samples are looked up by cell and instant; what was not sampled is not known."""

import pandas as pd

from extract.causes import Cell
from extract.manifest import CellRecord
from extract.samples import CPU, DEPTH, Timeline

CELL = Cell("s", "f", "v", 1)
START = 1_795_308_000.0


def at(seconds: float) -> int:
    return int((START + seconds) * 1e9)


def timeline() -> Timeline:
    values = {CPU: [0.0, 0.5, 0.1, 0.9], DEPTH: [3.0, 40.0, 7.0, 0.0]}
    rows = [
        {"scenario": "s", "framework": "f", "variant": variant, "repetition": 1, "metric": metric,
         "seconds": float(second), "value": value + offset}
        for variant, offset in (("v", 0.0), ("w", 100.0))
        for metric, series in values.items() for second, value in enumerate(series)
    ]  # fmt: skip
    return Timeline(pd.DataFrame(rows), [CellRecord("s", "f", "v", 1, 9, START, START + 3)])


def near(found: float | None, expected: float) -> bool:
    return found is not None and abs(found - expected) < 1e-5


def test_cpu_is_the_mean_of_the_scrapes_that_are_touched() -> None:
    assert near(timeline().worker_cpu_cores(CELL, at(0.2), at(0.8)), 0.5)
    assert near(timeline().worker_cpu_cores(CELL, at(0.5), at(2)), (0.5 * 0.5 + 0.1) / 1.5)
    assert near(timeline().worker_cpu_cores(CELL, at(2.5), at(9)), 0.9)


def test_depth_is_the_last_before() -> None:
    assert timeline().queue_depth(CELL, "q", at(1.5)) == 40
    assert timeline().queue_depth(CELL, "q", at(0.01)) == 3


def test_what_was_not_sampled_is_not_known() -> None:
    assert timeline().worker_cpu_cores(CELL, at(-2), at(-1)) is None
    assert timeline().queue_depth(CELL, "q", at(-1)) is None
    another = Cell("s", "f", "x", 1)
    assert timeline().worker_cpu_cores(another, at(0), at(2)) is None
    assert timeline().queue_depth(another, "q", at(1)) is None

"""Theoretical bounds and where a curve flattens, on numbers made by hand."""

import pandas as pd
import pytest

from extract.bounds import bound, fastest_execution
from extract.curves import flattens_at


def scenario(
    kind: str, concurrency: int, workers: int = 1, seconds: float = 0.1
) -> dict[str, object]:
    return {"bound": {"kind": kind, "seconds": seconds},
            "run": {"concurrency": concurrency, "workers": workers}}  # fmt: skip


def test_waiting_fills_every_place_of_every_worker() -> None:
    found = bound(scenario("waiting", 50, 2), None, 2)
    assert found is not None
    assert found.tasks_per_second == pytest.approx(1000)
    assert found.words == "100 places / 0.1 s"


@pytest.mark.parametrize(("places", "rate"), [(1, 50), (2, 100), (8, 100)])
def test_computing_takes_a_core_each(places: int, rate: float) -> None:
    found = bound(scenario("cpu", places), 0.02, 2)
    assert found is not None
    assert found.tasks_per_second == pytest.approx(rate)


def test_there_is_no_bound_where_nothing_says_how_long_a_task_takes() -> None:
    assert bound(scenario("cpu", 2), None, 2) is None
    assert bound({"run": {"concurrency": 1}}, 0.1, 2) is None


def test_the_fastest_execution_is_that_of_the_traces() -> None:
    rows = [("s", "execution_mean", 0.03, "traces"), ("s", "execution_mean", 0.02, "traces"),
            ("s", "execution_mean", 0.01, "promql"), ("other", "execution_mean", 0.001, "traces"),
            ("s", "execution_p50", 0.001, "traces")]  # fmt: skip
    table = pd.DataFrame(rows, columns=["scenario", "metric", "value", "source"])
    assert fastest_execution(table, ["s"]) == 0.02
    assert fastest_execution(table, ["none"]) is None


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([100, 200, 400, 800], None),
        ([100, 200, 250, 260], 20),
        ([100, 100, 100, 100], 10),
        ([100, 200, 400, 410], 40),
        ([100, 90, 200, 400], None),  # what goes up again later did not flatten there
        ([100], None),
    ],
)
def test_a_curve_flattens_where_going_on_brings_less_than_half(
    values: list[float], place: float | None
) -> None:
    assert flattens_at([10, 20, 40, 80][: len(values)], values) == place

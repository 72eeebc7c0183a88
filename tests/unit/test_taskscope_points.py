"""A matrix in the terminal: its points in one table, one unit for all, an answer for each."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import made_run
from rich.console import Console

from extract import manifest as manifests
from taskscope import points, show
from taskscope.derive import load
from taskscope.summary import Comparison, Summary, summarise

type Levels = tuple[float, float]


def noisy(level: float, blocks: int) -> list[float]:
    return [level * (1 + wobble) for wobble in (-0.01, 0.0, 0.01, 0.005, -0.005)[:blocks]]


def at(place: Path, rate: float, p99: Levels, blocks: int = 5) -> Summary:
    """Return the summary of a run of one point, as a run of all of them would have it."""
    values = {
        (variant, metric): noisy(level, blocks)
        for metric, levels in (("throughput", (90.0, 100.0)), ("end_to_end_p99", p99))
        for variant, level in zip(("a", "b"), levels, strict=True)
    }
    directory = made_run(place / f"{rate:g}", values)
    manifest = manifests.read(directory)
    summary = summarise(directory, manifest, load(directory, manifest))
    (comparison,) = summary.comparisons
    point = replace(
        comparison, title=f"Stress: rate {rate:g}", family="stress", point={"rate": rate},
        settings={name: {**own, "rate": rate} for name, own in comparison.settings.items()},
    )  # fmt: skip
    return replace(summary, comparisons=(point,))


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    place = tmp_path_factory.mktemp("points")
    low, high = at(place, 100, (0.05, 0.06)), at(place, 400, (2.0, 0.5))
    return replace(low, comparisons=low.comparisons + high.comparisons)


def printed(summary: Summary) -> str:
    console = Console(file=io.StringIO(), width=300)
    show.show(console, summary)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_points_stand_below_each_other_in_one_unit(summary: Summary) -> None:
    text = printed(summary)
    assert text.count("Settings") == 1
    lines = [line.strip() for line in text.splitlines()]
    first = lines.index("↓ end to end p99, s")
    one, other = lines[first + 1 : first + 3]
    assert one.startswith("rate 100 ")
    assert " 0.05 " in one
    assert one.endswith("better")
    assert other.startswith("rate 400 ")
    assert other.endswith("worse")


def test_each_point_has_its_answer(summary: Summary) -> None:
    lines = printed(summary).splitlines()
    start = lines.index("Stress:")
    assert lines[start + 1].startswith("rate 100: ")
    assert lines[start + 2].startswith("  How sure: ")
    assert lines[start + 3].startswith("rate 400: ")


def test_what_differs_from_point_to_point_is_no_setting_of_all(summary: Summary) -> None:
    assert points.varying(summary.comparisons) == {"rate"}


def test_only_points_of_the_same_pair_stand_together(summary: Summary) -> None:
    one, other = summary.comparisons
    alone = replace(one, family="", point={})

    def sizes(*some: Comparison) -> list[int]:
        return [len(group) for group in points.groups(some)]

    assert sizes(one, other, alone, alone) == [2, 1, 1]
    assert sizes(one, replace(other, first="c")) == [1, 1]
    assert sizes(one, replace(other, family="else")) == [1, 1]
    side = replace(one, first="c"), replace(other, first="c")
    assert sizes(one, side[0], other, side[1]) == [2, 2]  # as a comparison with a baseline has them


def test_a_doubt_is_said_once_with_the_number_of_its_points(tmp_path: Path) -> None:
    group = [
        at(tmp_path, rate, (0.05, 0.06), blocks=blocks).comparisons[0]
        for rate, blocks in ((1, 3), (2, 5), (3, 3))
    ]
    (found,) = (line for line in points.doubts(group) if line.startswith("few blocks"))
    assert found.startswith("few blocks (at 2 of 3 points): rate 1: 3 blocks")


def test_unequal_points_say_how_many_repetitions_they_have(tmp_path: Path) -> None:
    group = [at(tmp_path, rate, (0.05, 0.06), blocks=blocks).comparisons[0]
             for rate, blocks in ((1, 3), (2, 5))]  # fmt: skip
    assert points.repetitions(group) == ["3 to 5", "3 to 5"]

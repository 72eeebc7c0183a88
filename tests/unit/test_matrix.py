"""From a scenario's file to the points that are measured, and to what each is sent."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from taskscope import listing
from taskscope.checks import check_scenarios
from taskscope.errors import UsageError
from taskscope.matrix import points
from taskscope.phases import phase
from taskscope.plan import plan
from taskscope.quota import whole_cores
from taskscope.references import fill
from taskscope.scenario import Scenario, builtin_scenarios, load_scenario
from taskscope.together import halve

TEXT = """\
name = "grid"
title = "Grid"
description = "Words."
headline = ["one", "two"]

[workload]
count = 100
payload_bytes = 7
[[workload.parts]]
task = "derive_key"
weight = 3
arguments = { number = "$number", rounds = 1, payload_bytes = "$payload_bytes" }
[[workload.parts]]
task = "fetch"
weight = 1
arguments = { url = "at $mock_api", number = "$number" }

[requires.mock-api]
latency_seconds = 0.01

[load]
arrivals = "asap"
in_flight = 10

[run]
repetitions = 2
warmup = 0
concurrency = 3
seed = 1
queue = "mine"

[matrix]
concurrency = [1, 8]
workers = [1, 2]

[bound]
kind = "waiting"
seconds = 0.1

[slo]
p99_seconds = 0.5

[quick]
variants = ["one", "three"]
[quick.matrix]
concurrency = [8]

[variants.one]
framework = "asynctasq"
description = "One."
[variants.one.settings]
process_pool_size = "$concurrency"
execution = { derive_key = "thread" }

[variants.two]
framework = "celery"
description = "Two."
[variants.two.settings]
broker_transport_options = { max_connections = "$concurrency" }

[variants.three]
framework = "celery"
description = "Three."
[variants.three.arguments]
derive_key = { payload = "$payload" }
[variants.three.only]
concurrency = [8]

[fairness.one]
handicaps = ["None."]
[fairness.one.reasons]
execution = "Because."
[[fairness.one.rejected]]
setting = "execution = loop"
because = "It blocks."
measured = "1"
instead = "2"
how = "Here."
"""


@pytest.fixture
def grid(tmp_path: Path) -> Scenario:
    return _load(tmp_path, TEXT)


def _load(folder: Path, text: str) -> Scenario:
    (folder / "grid.toml").write_text(text)
    return load_scenario(str(folder / "grid.toml"))


def test_each_point_is_a_scenario_of_its_own(grid: Scenario) -> None:
    found = {point.name: point for point in points(grid)}
    assert list(found) == [f"grid-concurrency-{c}-workers-{w}" for c in (1, 8) for w in (1, 2)]
    last = found["grid-concurrency-8-workers-2"]
    assert (last.run.concurrency, last.run.workers) == (8, 2)
    assert last.point == {"concurrency": 8, "workers": 2}
    assert (last.family, last.matrix) == ("grid", {})
    assert last.title == "Grid: concurrency 8, workers 2"
    check_scenarios(list(found.values()))


def test_a_scenario_without_a_matrix_is_its_only_point() -> None:
    scenario = load_scenario("throughput")
    assert points(scenario) == [replace(scenario, family="throughput")]


def test_references_become_the_points_numbers(grid: Scenario) -> None:
    last = points(grid)[-1]
    assert last.variant("one").settings["process_pool_size"] == 8
    assert last.variant("two").settings["broker_transport_options"] == {"max_connections": 8}
    first, second = last.workload.parts
    assert first.arguments == {"number": "$number", "rounds": 1, "payload_bytes": 7}
    assert second.arguments["url"] == "at $mock_api"  # known only once the cell runs


def test_a_variant_is_measured_at_its_own_points_only(grid: Scenario) -> None:
    names = {point.name: [v.name for v in point.variants] for point in points(grid)}
    assert names["grid-concurrency-1-workers-1"] == ["one", "two"]
    assert names["grid-concurrency-8-workers-1"] == ["one", "two", "three"]


def test_quick_has_its_own_variants_and_points(grid: Scenario) -> None:
    found = points(grid.override(quick=True))
    assert {point.run.concurrency for point in found} == {8}
    assert {point.run.workers for point in found} == {1, 2}
    assert all([v.name for v in point.variants] == ["one", "three"] for point in found)
    assert all(point.headline == ("one", "three") for point in found)


def test_what_is_given_holds_at_every_point(grid: Scenario) -> None:
    found = points(grid.override(concurrency=5))
    assert [point.name for point in found] == ["grid-workers-1", "grid-workers-2"]
    assert {point.run.concurrency for point in found} == {5}
    assert points(grid.override(concurrency=5, workers=2))[0].name == "grid"


def test_a_variant_may_have_a_concurrency_of_its_own() -> None:
    full, cores = load_scenario("throughput"), whole_cores()
    assert [full.concurrency_of(variant) for variant in full.variants] == [10, 10, 10, cores]
    given = full.override(concurrency=5)  # it says itself how many it has
    assert [given.concurrency_of(variant) for variant in given.variants] == [5, 5, 5, cores]
    sides = full.override(variants=["asynctasq", "celery-prefork-cores"])
    halved = halve(sides, chosen=True)
    assert [halved.concurrency_of(v) for v in halved.variants] == [5, max(1, cores // 2)]


@pytest.mark.parametrize("own", ["3", '"$cores"'])
def test_its_own_is_a_number_or_that_of_the_cores(tmp_path: Path, own: str) -> None:
    text = TEXT.replace("[variants.one]\n", f"[variants.one]\nconcurrency = {own}\n")
    for part in (
        '[bound]\nkind = "waiting"\nseconds = 0.1\n', "concurrency = [1, 8]\n",
        "[quick.matrix]\nconcurrency = [8]\n", "[variants.three.only]\nconcurrency = [8]\n",
    ):  # fmt: skip
        assert part in text
        text = text.replace(part, "")
    found = _load(tmp_path, text).variant("one").concurrency
    assert found == (3 if own == "3" else whole_cores())


def test_it_does_not_fit_a_matrix_of_concurrencies(tmp_path: Path) -> None:
    text = TEXT.replace("[variants.one]\n", "[variants.one]\nconcurrency = 3\n")
    text = text.replace('[bound]\nkind = "waiting"\nseconds = 0.1\n', "")
    with pytest.raises(UsageError, match=r"stands beside matrix\.concurrency"):
        _load(tmp_path, text)


def test_a_count_that_follows_from_rate_and_seconds_is_no_axis(tmp_path: Path) -> None:
    text = TEXT.replace("count = 100\n", "").replace("[matrix]\n", "[matrix]\ncount = [1, 2]\n", 1)
    text = text.replace('"asap"\n', '"poisson"\nrate = 5\nseconds = 3\n')
    with pytest.raises(UsageError, match=r"matrix\.count stands beside load\.seconds") as error:
        _load(tmp_path, text)
    assert "Keep one of the two." in error.value.remedy


def test_a_block_has_every_point_with_its_variants_together(grid: Scenario) -> None:
    cells = plan(points(grid))
    assert [cell.repetition for cell in cells] == [1] * 10 + [2] * 10
    first = [cell.scenario.name for cell in cells[:10]]
    changes = sum(a != b for a, b in pairwise(first))
    assert changes == 3  # four points, each of them in one piece
    assert {cell.place for cell in cells[:10]}.isdisjoint(cell.place for cell in cells[10:])


def test_a_phase_says_what_to_send(grid: Scenario) -> None:
    last = points(grid)[-1]
    told = phase(last, last.variant("three"), 12, seed=5, urls={"mock-api": "http://here"})
    assert told["count"] == 12
    assert (told["arrivals"], told["payload_bytes"]) == ("asap", 7)
    assert told["parts"] == [
        {"weight": 3.0, "arguments": {"number": "$number", "rounds": 1, "payload_bytes": 7,
                                      "payload": "$payload"}},
        {"weight": 1.0, "arguments": {"url": "at http://here", "number": "$number"}},
    ]  # fmt: skip


def test_seconds_stand_for_a_count() -> None:
    found = points(load_scenario("stress"))
    assert [(p.point["rate"], p.workload.count) for p in found][:2] == [(250, 5000), (500, 10_000)]
    short = points(load_scenario("stress").override(quick=True))
    assert all(p.workload.count == p.point["rate"] * p.load.seconds for p in short)
    (given,) = points(load_scenario("stress").override(rate=50, count=33))
    assert given.workload.count == 33


def test_a_reference_to_nothing_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"\$concurency refers to nothing; the nearest is \$conc"):
        fill({"a": ["$concurency"]}, {"concurrency": 1})
    assert fill({"a": "$b$c", "d": 5}, {"b": 1}, ["c"]) == {"a": "1$c", "d": 5}


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("concurrency = [1, 8]", "concurency = [1, 8]", "matrix.concurency is an unknown key"),
        ("concurrency = [1, 8]", "concurrency = []", "a list of different whole numbers"),
        ("concurrency = [1, 8]", "concurrency = [1, 1]", "found the same number twice"),
        ("concurrency = [1, 8]", "concurrency = [0, 8]", "found the number 0"),
        ("concurrency = [1, 8]", "concurrency = [1.5]", "found the number 1.5"),
        ("workers = [1, 2]", "rate = [1, 2]", 'matrix.rate does not fit load.arrivals = "asap"'),
        ('kind = "waiting"', 'kind = "wating"', "bound.kind must be one of waiting, cpu"),
        ("\nseconds = 0.1\n", "\n", "bound.seconds is missing"),
        ("p99_seconds = 0.5", "p99_seconds = 0", "slo.p99_seconds must be a number above 0"),
        ('variants = ["one", "three"]', 'variants = ["oen"]', "quick.variants must be a list of"),
        ("derive_key = { payload", "derive_kay = { payload", "known key is variants.three."),
        ("weight = 3\n", "", "workload.parts.1.weight is missing"),
        ("count = 100\n", 'count = 100\ntask = "noop"\n', "task stands beside workload.parts"),
        ("in_flight = 10\n", "in_flight = 10\nseconds = 3\n", "load.seconds does not fit"),
        ("[fairness.one]", "[fairness.none]", "fairness.none is an unknown key; the nearest"),
        ('how = "Here."', "", "fairness.one.rejected.1.how is missing"),
        ('handicaps = ["None."]', "handicaps = [3]", "fairness.one.handicaps must be a list of te"),
        ("[requires.mock-api]", "[requires.Mock]", "requires.Mock must have a name of"),
        ("[variants.one]\n", "[variants.one]\nconcurrency = 3\n",
         "variants.one.concurrency stands beside bound"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path: Path, old: str, new: str, cause: str) -> None:
    assert old in TEXT
    with pytest.raises(UsageError) as caught:
        _load(tmp_path, TEXT.replace(old, new, 1))
    assert cause in caught.value.cause
    assert caught.value.remedy


def test_a_name_that_grows_too_long_is_refused(grid: Scenario) -> None:
    with pytest.raises(UsageError, match="a point of its matrix would be called"):
        points(replace(grid, name="g" * 50))


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("requires.mock-api", "requires.mock-apy", "there is no tasks.mock_apy"),
        ("latency_seconds = 0.01", "latency_seconds = -1", "requires.mock-api does not fit"),
        ("latency_seconds = 0.01", 'latency = "slow"', "requires.mock-api does not fit"),
        ('task = "fetch"', 'task = "fecth"', "workload.task 'fecth' is not a function"),
    ],
)
def test_what_does_not_exist_is_refused(tmp_path: Path, old: str, new: str, cause: str) -> None:
    scenario = _load(tmp_path, TEXT.replace(old, new).replace("$mock_api", "x"))
    with pytest.raises(UsageError, match=cause):
        check_scenarios(points(scenario))


def test_the_list_says_all_there_is_to_know(grid: Scenario) -> None:
    told = listing.describe(grid)
    for part in ("grid: Grid", "concurrency 1, 8; workers 1, 2", "requires: mock-api",
                 "at most 0.5 s", "cells:    20; 8 with --quick"):  # fmt: skip
        assert part in told
    document = listing.as_json(grid)
    assert (document["cells"], document["quick_cells"]) == (20, 8)
    assert document["matrix"] == {"concurrency": [1, 8], "workers": [1, 2]}


@pytest.mark.parametrize("scenario", builtin_scenarios(), ids=lambda s: s.name)
def test_every_built_in_scenario_can_be_run_whole_and_quick(scenario: Scenario) -> None:
    for form in (scenario, scenario.override(quick=True)):
        found = points(form)
        check_scenarios(found)
        both = [point for point in found if len(point.variants) > 1]
        assert all(len(point.headline) == 2 for point in both)
        pairs = [{p.variant(name).framework for name in p.headline} for p in both]
        assert all(len(pair) == 2 for pair in pairs)
    assert listing.cells(scenario.override(quick=True)) <= 10  # so that they take three minutes

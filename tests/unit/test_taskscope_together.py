"""Both sides at once: who, with how much, and in which order."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

from compose import affinity
from taskscope.checks import check_options
from taskscope.errors import UsageError
from taskscope.matrix import points
from taskscope.plan import plan
from taskscope.scenario import Scenario, load_scenario
from taskscope.together import halve, shares, stated, steps


def throughput(*variants: str) -> Scenario:
    return load_scenario("throughput").override(variants=list(variants) or None)


def test_unless_one_says_otherwise_the_headline_pair_goes_together() -> None:
    halved = halve(throughput(), chosen=False)
    assert [variant.name for variant in halved.variants] == list(throughput().headline)


def test_variants_that_were_chosen_go_together() -> None:
    halved = halve(throughput("celery-prefork", "asynctasq"), chosen=True)
    assert {variant.name for variant in halved.variants} == {"celery-prefork", "asynctasq"}


@pytest.mark.parametrize(("whole", "half"), [(10, 5), (5, 2), (2, 1), (1, 1)])
def test_each_side_has_half_of_the_concurrency_and_at_least_one(whole: int, half: int) -> None:
    assert halve(throughput().override(concurrency=whole), chosen=False).run.concurrency == half


def test_settings_that_refer_to_the_concurrency_have_half_of_it_too() -> None:
    found = points(load_scenario("cpu-bound"), partial(halve, chosen=False))
    assert [(point.point["concurrency"], point.run.concurrency) for point in found] == [
        (1, 1), (2, 1), (4, 2), (8, 4)
    ]  # fmt: skip
    for point in found:
        assert (
            point.variant("asynctasq-process").settings["process_pool_size"]
            == point.run.concurrency
        )


@pytest.mark.parametrize(
    ("options", "cause"),
    [("profile together", "--profile draws into a report"),
     ("together elsewhere", "--together divides workers that the run starts itself"),
     ("profile elsewhere", "--profile looks into workers that the run starts itself")],
)  # fmt: skip
def test_options_that_exclude_each_other_are_refused(options: str, cause: str) -> None:
    given = {name: name in options for name in ("profile", "together", "elsewhere")}
    with pytest.raises(UsageError, match=cause):
        check_options(**given)
    for name in given:
        check_options(**{other: given[other] and other == name for other in given})


@pytest.mark.parametrize(
    "variants",
    [["asynctasq"], ["celery-prefork", "celery-prefork-late-ack"],
     ["asynctasq", "celery-prefork", "celery-prefork-late-ack"]],
)  # fmt: skip
def test_anything_but_two_variants_of_two_frameworks_is_refused(variants: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        halve(throughput(*variants), chosen=True)
    assert "--together takes two variants of two frameworks" in caught.value.cause
    assert ", ".join(variants) in caught.value.cause
    assert "--variant" in caught.value.remedy


def test_a_scenario_without_a_pair_is_refused_too() -> None:
    scenario = replace(throughput("asynctasq"), headline=())
    with pytest.raises(UsageError, match="would run asynctasq"):
        halve(scenario, chosen=False)


def test_a_step_is_a_repetition_with_each_side_in_its_place() -> None:
    cells = plan([halve(throughput(), chosen=False)])
    pairs = steps(cells, together=True)
    assert len(pairs) == 10
    for number, pair in enumerate(pairs, start=1):
        names = [cell.variant.name for cell in pair]
        assert names == list(throughput().headline)  # whatever the shuffle
        assert {cell.repetition for cell in pair} == {number}
    assert sorted(map(id, (cell for pair in pairs for cell in pair))) == sorted(map(id, cells))


def test_otherwise_a_step_is_a_cell() -> None:
    cells = plan([throughput()])
    assert steps(cells, together=False) == [(cell,) for cell in cells]


def test_what_each_side_has_is_stated_once_for_each_scenario() -> None:
    scenarios = [
        halve(load_scenario(name), chosen=False) for name in ("throughput", "known-answer")
    ]
    said = list(stated(steps(plan(scenarios), together=True)))
    assert [(share.scenario, share.variant) for share in said] == [
        (scenario.name, name) for scenario in scenarios for name in scenario.headline
    ]
    assert {share.concurrency for share in said if "-cores" not in share.variant} == {5}


@pytest.mark.parametrize(
    ("cores", "expected"),
    [({0, 1}, ((0,), (1,))), ({3, 5, 7, 8}, ((3, 5), (7, 8))), ({0, 1, 2}, ((0,), (1,)))],
)
def test_cores_are_divided_evenly_and_never_shared(
    monkeypatch: pytest.MonkeyPatch, cores: set[int], expected: object
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    assert affinity.halves() == expected


def test_a_single_core_is_shared_and_that_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert affinity.halves() is None
    (pair, *_) = steps(plan([halve(throughput(), chosen=False)]), together=True)
    assert [half.cores for half in shares(pair)] == [(), ()]


def test_where_nobody_can_say_cores_are_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert affinity.halves() is None


def test_a_process_that_is_started_pinned_stays_there_and_we_do_not() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    code = "import os; print(os.sched_getaffinity(0))"
    with affinity.pinned((core,)):
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert child.stdout.decode().strip() == f"{{{core}}}"
    assert os.sched_getaffinity(0) == before


def test_no_cores_pin_nothing() -> None:
    before = os.sched_getaffinity(0)
    with affinity.pinned(()):
        assert os.sched_getaffinity(0) == before

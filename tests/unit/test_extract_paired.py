"""The deciding analysis: known answers, honest intervals by simulation, and a family's errors."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from datasets import NOISES
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from extract.contrast import (
    Contrast,
    blocks_needed,
    figure,
    p_difference,
    p_equivalence,
    smallest_effect,
)
from extract.evidence import CLAIM_LEVEL, Evidence, weigh, weigh_again
from extract.paired import pair_up
from extract.two_samples import ratio_of_medians

BASE = (100.0, 80.0, 120.0, 95.0, 105.0)
MORE = (210.0, 150.0, 250.0, 200.0, 205.0)

positive = st.floats(1e-3, 1e6)
blocks = st.lists(st.tuples(positive, positive), min_size=2, max_size=10)


def pairing(first: tuple[float, ...], second: tuple[float, ...]) -> Contrast:
    found = pair_up(first, second)
    assert found
    return found


def test_the_ratio_is_students_paired_t_over_the_logarithms() -> None:
    found = pairing(MORE, BASE)
    expected = stats.ttest_rel(np.log(MORE), np.log(BASE))
    interval = expected.confidence_interval(0.95)
    shown = figure(found)
    assert shown.value == pytest.approx(stats.gmean(np.divide(MORE, BASE)))
    assert (shown.lower, shown.upper) == pytest.approx(
        (np.exp(interval.low), np.exp(interval.high))
    )
    assert p_difference(found) == pytest.approx(expected.pvalue)


def test_equivalence_is_two_one_sided_tests() -> None:
    first, second = (100.0, 101.0, 99.0, 102.0), (101.0, 100.0, 100.0, 100.5)
    logs, bound = np.log(first) - np.log(second), math.log(1.05)
    below = stats.ttest_1samp(logs, -bound, alternative="greater").pvalue
    above = stats.ttest_1samp(logs, bound, alternative="less").pvalue
    assert p_equivalence(pairing(first, second), 0.05) == pytest.approx(max(below, above))


def test_a_zero_has_no_ratio_and_is_compared_by_difference() -> None:
    found = pairing((3.0, 0.0, 5.0), (1.0, 1.0, 2.0))
    assert (found.scale, found.centre, found.blocks) == ("difference", pytest.approx(4 / 3), 3)
    assert p_difference(found) == pytest.approx(
        stats.ttest_rel((3.0, 0.0, 5.0), (1.0, 1.0, 2.0)).pvalue
    )


def test_without_spread_or_blocks_there_is_no_interval() -> None:
    same = pairing((2.0, 4.0, 6.0), (1.0, 2.0, 3.0))
    assert not same.testable
    assert figure(same).method == "the same throughout"
    assert figure(same).value == pytest.approx(2)
    one = pairing((2.0,), (1.0,))
    assert not one.testable
    assert "one value" in figure(one).reason
    assert pair_up((), ()) is None


@given(blocks)
def test_swapping_the_sides_gives_the_reciprocal(rows: list[tuple[float, float]]) -> None:
    first, second = tuple(a for a, _ in rows), tuple(b for _, b in rows)
    there, back = figure(pairing(first, second)), figure(pairing(second, first))
    assert there.value is not None
    assert back.value == pytest.approx(1 / there.value)
    if there.lower is not None and back.upper is not None:
        assert back.upper == pytest.approx(1 / there.lower)


@given(blocks, st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(rows: list[tuple[float, float]], unit: float) -> None:
    first, second = tuple(a for a, _ in rows), tuple(b for _, b in rows)
    scaled = pairing(tuple(unit * a for a in first), tuple(unit * b for b in second))
    plain = pairing(first, second)
    assert scaled.centre == pytest.approx(plain.centre, abs=1e-9)
    assert scaled.spread == pytest.approx(plain.spread, abs=1e-9)


COVERAGES = [(noise, n) for noise in NOISES for n in (3, 5, 10)]


@pytest.mark.parametrize(("noise", "n"), COVERAGES)
def test_the_interval_holds_the_truth_in_95_of_100_cases(noise: str, n: int) -> None:
    rng = np.random.default_rng(n)
    held = sum(covers(pairing_figure, noise, n, rng) for _ in range(1_000))
    assert held >= 930  # three standard deviations below 950


def test_a_bootstrap_of_five_blocks_would_not() -> None:
    rng = np.random.default_rng(5)
    held = sum(covers(ratio_of_medians, "rough blocks", 5, rng) for _ in range(300))
    assert held < 0.9 * 300


def pairing_figure(first: tuple[float, ...], second: tuple[float, ...]) -> object:
    return figure(pairing(first, second))


def covers(analysis: Callable[..., object], noise: str, n: int, rng: np.random.Generator) -> bool:
    first, second = NOISES[noise](rng, n)
    found = analysis(tuple(1.3 * first), tuple(second))
    return bool(found.lower <= 1.3 <= found.upper)  # type: ignore[attr-defined]


def test_the_smallest_effect_shows_in_four_of_five_runs() -> None:
    for n in (5, 10):
        effect = smallest_effect(Contrast("ratio", n, 0.0, 0.1, freedom=n - 1), 0.05)
        # The power of the t-test comes from the noncentral t distribution.
        limit, away = stats.t.ppf(0.975, n - 1), effect / 0.1 * math.sqrt(n)
        assert stats.nct.sf(limit, n - 1, away) == pytest.approx(0.8, abs=0.03)


def test_an_open_question_asks_for_as_many_blocks_as_would_settle_it() -> None:
    shown = blocks_needed(Contrast("ratio", 5, 0.05, 0.1, freedom=4), None, 0.05, 0.05)
    assert shown is not None
    # R: power.t.test(delta = 0.05, sd = 0.1, type = "paired", power = 0.8) needs n = 33.4.
    assert shown == pytest.approx(34, abs=1)
    same = blocks_needed(Contrast("ratio", 5, 0.0, 0.1, freedom=4), 0.05, 0.05, 0.05)
    assert same is not None
    reach = stats.nct.sf(stats.t.ppf(0.95, same - 1), same - 1, math.log(1.05) / 0.1 * same**0.5)
    assert 2 * reach - 1 == pytest.approx(0.8, abs=0.03)  # both one-sided tests must reject
    assert blocks_needed(Contrast("ratio", 5, 0.0, 10.0, freedom=4), 0.05, 0.05, 0.05) is None
    assert blocks_needed(Contrast("difference", 5, 0.0, 0.1, freedom=4), None, 0.05, 0.05) is None


def test_more_spread_asks_for_more() -> None:
    needed = [
        blocks_needed(Contrast("ratio", 5, 0.1, s, freedom=4), 0.05, 0.05, 0.05)
        for s in (0.1, 0.2, 0.4)
    ]
    effects = [
        smallest_effect(Contrast("ratio", 5, 0.1, s, freedom=4), 0.05) for s in (0.1, 0.2, 0.4)
    ]
    assert all(a < b for a, b in pairwise(n or math.inf for n in needed))
    assert all(a < b for a, b in pairwise(effects))


def alone(paired: Contrast | None, margin: float = 0.05) -> Evidence:
    return weigh([(paired, "")], margin)[0]


def test_constants_need_no_test_and_are_no_part_of_the_family() -> None:
    twice, even = pairing((2.0,) * 3, (1.0,) * 3), pairing((7.0,) * 3, (7.0,) * 3)
    near, none = pairing((7.1,) * 3, (7.0,) * 3), pairing((0.0,) * 3, (0.0,) * 3)
    some = pairing((1.0,) * 3, (0.0,) * 3)
    expected = {
        "twice": (twice, True, False), "even": (even, False, True), "near": (near, True, True),
        "none": (none, False, True), "some": (some, True, False),
    }  # fmt: skip
    for name, (paired, differs, equal) in expected.items():
        evidence = alone(paired)
        assert (evidence.difference.proven, evidence.equivalence.proven) == (differs, equal), name
        assert evidence.difference.p is None
    both = weigh([(twice, ""), (pairing(MORE, BASE), "")], 0.05)
    assert both[1].difference.family == 1


def test_two_blocks_prove_nothing() -> None:
    evidence = alone(pairing((2.0, 2.0001), (1.0, 1.0)))
    assert not evidence.difference.proven
    assert not evidence.equivalence.proven
    assert not alone(None).difference.proven


def test_a_bound_proves_only_what_lies_beyond_it() -> None:
    low = pairing((1.0, 1.1, 0.9), (50.0, 50.0, 51.0))
    high = pairing((50.0, 50.0, 51.0), (1.0, 1.1, 0.9))
    close = pairing((1.0, 1.0, 1.001), (1.0, 1.001, 1.0))
    assert weigh([(low, "at most")], 0.05)[0].difference.proven
    assert weigh([(high, "at least")], 0.05)[0].difference.proven
    assert not weigh([(high, "at most")], 0.05)[0].difference.proven
    assert not weigh([(low, "at least")], 0.05)[0].difference.proven
    assert weigh([(close, "")], 0.05)[0].equivalence.proven
    assert not weigh([(close, "at most")], 0.05)[0].equivalence.proven


def test_the_larger_the_family_the_more_it_takes() -> None:
    clear = pairing((1.06, 1.05, 1.07, 1.04), (1.0, 1.01, 1.0, 0.99))
    noise = pairing((1.0, 1.3, 0.8, 1.1), (1.1, 0.9, 1.0, 1.05))
    assert alone(clear).difference.proven
    crowd = weigh([(clear, ""), *[(noise, "")] * 30], 0.05)[0].difference
    assert not crowd.proven
    assert crowd.p == alone(clear).difference.p
    assert crowd.family == 31
    assert crowd.level == pytest.approx(CLAIM_LEVEL / 31)
    again = weigh_again(clear, "", 0.05, weigh([(clear, ""), *[(noise, "")] * 30], 0.05)[0])
    assert not again.difference.proven


@pytest.mark.parametrize(("noise", "n"), COVERAGES)
def test_of_1000_null_comparisons_at_most_5_in_100_differ(noise: str, n: int) -> None:
    rng = np.random.default_rng(1_000 + n)
    wrong = 0
    for _ in range(1_000):
        first, second = NOISES[noise](rng, n)
        wrong += alone(pairing(tuple(first), tuple(second))).difference.proven
    assert 0 < wrong <= 50


@pytest.mark.parametrize("n", [3, 5, 10])
def test_at_the_margin_at_most_5_in_100_are_called_equivalent(n: int) -> None:
    rng = np.random.default_rng(n)
    wrong = 0
    for _ in range(1_000):
        first, second = np.exp(rng.normal(0, 0.01, (2, n)))
        evidence = alone(pairing(tuple(1.05 * first), tuple(second)))
        wrong += evidence.equivalence.proven
    assert 0 < wrong <= 50


def test_of_200_families_at_most_5_in_100_hold_a_wrong_claim() -> None:
    """Half of each family are equal, and half differ by exactly the margin."""
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(200):
        noise = np.exp(rng.normal(0, 0.01, (20, 2, 5)))
        noise[10:, 0] *= 1.05
        weighed = weigh([(pairing(tuple(a), tuple(b)), "") for a, b in noise], 0.05)
        equal, apart = weighed[:10], weighed[10:]
        wrong += any(e.difference.proven for e in equal) or any(e.equivalence.proven for e in apart)
    assert wrong <= 10

"""One sample, and two beside each other: published values, scipy, and degenerate input."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from extract.statistics import (
    Figure,
    coefficient_of_variation,
    mean,
    median,
    outliers,
    stability,
    two_modes,
)
from extract.two_samples import (
    cliffs_delta,
    cohens_d,
    holm,
    mann_whitney,
    ratio_of_medians,
    unpaired,
    welch,
)

#: Student's sleep data (Biometrika 6, 1908): R's `t.test(extra ~ group)` prints p-value = 0.07939.
FIRST = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
SECOND = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)

numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 1e-200, -5e-324]))
samples = st.lists(numbers, max_size=8).map(tuple)


def is_answer(figure: Figure) -> bool:
    """A finite number, or words."""
    shown = [x for x in (figure.value, figure.lower, figure.upper) if x is not None]
    return all(math.isfinite(x) for x in shown) and (len(shown) == 3 or bool(figure.reason))


def test_median_and_mean_with_their_intervals() -> None:
    assert median(FIRST).value == pytest.approx(0.35)
    assert mean(FIRST).value == pytest.approx(0.75)
    for figure in (median(FIRST), mean(FIRST)):
        assert figure.method == "BCa bootstrap"
        assert figure.value is not None
        assert figure.lower is not None
        assert figure.upper is not None
        assert figure.lower < figure.value < figure.upper
    # Of many normal values, the bootstrap's interval of the mean is Student's.
    many = tuple(np.random.default_rng(1).normal(10, 1, 400))
    student = stats.t.interval(0.95, 399, np.mean(many), stats.sem(many))
    assert (mean(many).lower, mean(many).upper) == pytest.approx(student, abs=0.01)


def test_the_same_values_give_the_same_digits() -> None:
    once = mean(FIRST)
    mean.cache_clear()
    assert mean(FIRST) == once


@pytest.mark.parametrize(
    ("values", "words"),
    [((), "no value"), ((5.0,), "one value"), ((2.0, 2.0, 2.0), "all 3 values are equal")],
)
def test_a_sample_without_spread_is_answered_in_words(
    values: tuple[float, ...], words: str
) -> None:
    figure = median(values)
    assert words in figure.reason
    assert figure.lower is figure.upper is None


def test_where_bca_is_undefined_the_percentiles_stand_in() -> None:
    figure = median((1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0))
    assert figure.method == "percentile bootstrap"
    assert (figure.lower, figure.value, figure.upper) == (2, 2, 2)


@pytest.mark.parametrize(
    ("values", "band"),
    [((9.0, 10.0, 11.0), "accepted"), ((9.1, 10.0, 10.9), "excellent"),
     ((8.3, 10.0, 11.7), "doubtful"), ((8.0, 10.0, 12.0), "doubtful"),
     ((7.9, 10.0, 12.1), "unreliable"), ((1.0,), "unknown: 1 of the two"),
     ((-1.0, 1.0), "unknown: the mean is 0"), ((0.0, 0.0), "unknown: the mean is 0")],
)  # fmt: skip
def test_the_bands_of_the_coefficient_of_variation(values: tuple[float, ...], band: str) -> None:
    assert stability(coefficient_of_variation(values)).startswith(band)


def test_the_coefficient_of_variation_is_that_of_scipy() -> None:
    found = coefficient_of_variation(SECOND).value
    assert found == pytest.approx(float(stats.variation(SECOND, ddof=1)))


def test_tukeys_fences_mark_and_remove_nothing() -> None:
    # Quartiles 2 and 4: the fences are -1 and 7.
    assert outliers((1.0, 2.0, 3.0, 4.0, 7.01)) == (4,)
    assert outliers((1.0, 2.0, 3.0, 4.0, 7.0)) == ()
    assert outliers((5.0, 5.0, 5.0, 5.0, 5.1)) == (4,)
    assert outliers((-9.0, 2.0, 3.0, 4.0, 2.5)) == (0,)
    assert outliers(()) == ()


def test_two_modes_are_seen_and_one_is_not() -> None:
    rng = np.random.default_rng(5)
    split = rng.normal(10, 0.1, 10) + np.array([0, 5, 5, 0, 5, 0, 0, 5, 0, 0])
    modes = two_modes(tuple(split))
    assert modes
    assert (modes.low_count, modes.high_count) == (6, 4)
    assert (modes.low_mean, modes.high_mean) == pytest.approx((10, 15), abs=0.2)
    ones = [two_modes(tuple(rng.normal(10, 1, 10))) for _ in range(500)]
    assert sum(found is not None for found in ones) <= 5
    assert two_modes((1.0, 1.0, 9.0, 9.0, 9.0)) is None  # too few to tell
    assert two_modes((1.0,) * 8) is None


def test_welch_and_mann_whitney_give_what_r_gives() -> None:
    assert welch(FIRST, SECOND).value == pytest.approx(0.07939, abs=5e-6)
    # A textbook case without ties: U = 0 of two samples of four has p = 2 / 70.
    assert mann_whitney((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)).value == pytest.approx(2 / 70)


def test_effect_sizes_by_hand() -> None:
    # Means 2 and 4, both variances 1.
    assert cohens_d((1.0, 2.0, 3.0), (3.0, 4.0, 5.0)).value == pytest.approx(-2)
    # 9 pairs: 8 below, 1 equal.
    assert cliffs_delta((1.0, 2.0, 3.0), (3.0, 4.0, 5.0)).value == pytest.approx(-8 / 9)
    u = stats.mannwhitneyu(FIRST, SECOND).statistic
    assert cliffs_delta(FIRST, SECOND).value == pytest.approx(2 * u / 100 - 1)


def test_the_ratio_of_medians_keeps_blocks_together() -> None:
    rough = tuple(np.exp(np.linspace(-3, 3, 9)))
    figure = ratio_of_medians(tuple(2 * x for x in rough), rough)
    assert (figure.value, figure.lower, figure.upper) == pytest.approx((2, 2, 2))
    assert "ratio to 0" in ratio_of_medians((1.0, 2.0), (0.0, 0.0)).reason
    assert "no block" in ratio_of_medians((), ()).reason


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [((), (1.0, 2.0), ["fewer than two", "empty", "fewer than two", "empty"]),
     ((1.0,), (1.0, 2.0), ["fewer than two", "", "fewer than two", ""]),
     ((3.0, 3.0), (3.0, 3.0), ["neither sample", "all values", "neither sample", ""]),
     ((3.0, 3.0), (4.0, 4.0), ["neither sample", "", "neither sample", ""])],
)  # fmt: skip
def test_what_cannot_be_tested_is_said_in_words(
    first: tuple[float, ...], second: tuple[float, ...], words: list[str]
) -> None:
    found = unpaired(first, second)
    figures = (found.welch_p, found.mann_whitney_p, found.cohens_d, found.cliffs_delta)
    for figure, word in zip(figures, words, strict=True):
        assert word in figure.reason
        assert (figure.value is None) == bool(word)


def test_holms_procedure_by_hand() -> None:
    # By hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04, which cannot fall below the last.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=200)
@example((1.0,), (5e-324,))
@example((1.0, -1.0, 5e-324), (1e-200, 2e-200))
@given(samples, samples)
def test_no_statistic_is_ever_nan(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    found = unpaired(first, second)
    figures = (found.welch_p, found.mann_whitney_p, found.cohens_d, found.cliffs_delta)
    assert all(f.reason or (f.value is not None and math.isfinite(f.value)) for f in figures)
    assert all(is_answer(f) for f in (median(first), mean(first)))
    variation = coefficient_of_variation(first)
    assert variation.reason or (variation.value is not None and math.isfinite(variation.value))
    size = min(len(first), len(second))
    assert is_answer(ratio_of_medians(first[:size], second[:size]))

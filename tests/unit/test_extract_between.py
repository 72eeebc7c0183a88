"""Two runs share no block: known answers by Welch, and nothing that pairing would make of them."""

import json

import numpy as np
import pytest
from datasets import dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from extract.between import Tables, compare_runs
from extract.contrast import blocks_needed, figure, p_difference, p_equivalence
from extract.doubts import Doubt
from extract.independent import differences, set_apart
from extract.judge import compare_all
from extract.questions import QuestionError
from extract.verdict import Comparison, Outcome

NEW = (110.0, 104.0, 99.0, 120.0, 108.0)
OLD = (101.0, 80.0, 95.0)
RNG = np.random.default_rng(4)
samples = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=8).map(tuple)


def run(values: dict[tuple[str, str], list[float | None]], session: str, **more: str) -> Tables:
    return Tables(*dataset(values, session=session, **more))


def one(new: list[float | None], old: list[float | None], **more: float) -> Comparison:
    (found,) = compare_runs(
        run({("a", "throughput"): new}, "new"), run({("a", "throughput"): old}, "old"), **more
    )
    return found


def test_the_ratio_is_welchs_t_over_the_logarithms() -> None:
    found = set_apart(NEW, OLD)
    assert found
    expected = stats.ttest_ind(np.log(NEW), np.log(OLD), equal_var=False)
    interval = expected.confidence_interval(0.95)
    shown = figure(found)
    assert shown.value == pytest.approx(stats.gmean(NEW) / stats.gmean(OLD))
    assert (shown.lower, shown.upper) == pytest.approx(
        (np.exp(interval.low), np.exp(interval.high))
    )
    assert p_difference(found) == pytest.approx(expected.pvalue)
    assert found.freedom == pytest.approx(expected.df)


def test_equivalence_is_two_one_sided_tests_of_welch() -> None:
    first, second = np.log((100.0, 101.0, 99.0, 102.0)), np.log((101.0, 100.0, 100.5))
    bound = np.log(1.05)
    above = stats.ttest_ind(first, second + bound, equal_var=False, alternative="less").pvalue
    below = stats.ttest_ind(first, second - bound, equal_var=False, alternative="greater").pvalue
    found = set_apart(tuple(np.exp(first)), tuple(np.exp(second)))
    assert found
    assert p_equivalence(found, 0.05) == pytest.approx(max(above, below))


def test_a_zero_has_no_ratio() -> None:
    found = set_apart((0.0, 3.0, 4.0), (1.0, 1.0, 2.0))
    assert found
    assert found == differences((0.0, 3.0, 4.0), (1.0, 1.0, 2.0))
    expected = stats.ttest_ind((0.0, 3.0, 4.0), (1.0, 1.0, 2.0), equal_var=False)
    assert p_difference(found) == pytest.approx(expected.pvalue)


@given(samples, samples)
def test_swapping_the_runs_mirrors_everything(
    first: tuple[float, ...], second: tuple[float, ...]
) -> None:
    there, back = set_apart(first, second), set_apart(second, first)
    assert there
    assert back
    assert (there.centre, there.blocks) == (pytest.approx(-back.centre), back.blocks)
    assert (there.spread, there.freedom) == pytest.approx((back.spread, back.freedom))


def test_no_difference_is_called_one_as_rarely_as_is_said() -> None:
    """The same noise in both, of unequal size and number: 2.5 % of verdicts may be wrong."""
    called = 0
    for _ in range(4_000):
        found = set_apart(
            tuple(np.exp(RNG.normal(0, 0.05, 3))), tuple(np.exp(RNG.normal(0, 0.2, 6)))
        )
        assert found
        called += p_difference(found) <= 0.025
    assert called / 4_000 < 0.04


def test_with_as_many_again_the_interval_is_as_narrow_as_was_said() -> None:
    found = set_apart(NEW, (101.0, 80.0, 95.0, 111.0, 70.0))
    assert found
    needed = blocks_needed(found, None, 0.025, 0.025)
    assert needed
    assert needed > found.blocks
    times = -(-needed // found.blocks)
    again = set_apart(NEW * times, (101.0, 80.0, 95.0, 111.0, 70.0) * times)
    assert again
    assert p_difference(found) > 0.025 > p_difference(again)


#: A machine that gets slower: by repetition both runs look alike, and yet they share nothing.
SLOWER: list[float | None] = [200.0, 150.0, 110.0, 80.0, 60.0]
BY_TWO: list[float | None] = [x and 0.98 * x for x in SLOWER]


def test_repetitions_of_two_runs_are_no_blocks() -> None:
    found = one(SLOWER, BY_TWO)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.size == "5 and 5 repetitions"
    together = {("a", "throughput"): SLOWER, ("b", "throughput"): BY_TWO}
    (paired,) = compare_all(*dataset(together), baseline="b", margin=0.01)
    assert paired.outcome is Outcome.BETTER
    shuffled = one([SLOWER[i] for i in (3, 0, 4, 2, 1)], BY_TWO)
    assert shuffled.ratio.upper == pytest.approx(found.ratio.upper)


def test_a_difference_between_runs_is_found_and_said() -> None:
    found = one([*NEW], [x / 3 for x in OLD])
    assert found.outcome is Outcome.BETTER
    assert found.sentence.startswith("a has 3.")
    assert "times the throughput of a (baseline) (95 % interval " in found.sentence
    assert "5 and 3 repetitions). That is better. Doubts: few blocks." in found.sentence
    assert found.blocks[0] == "new/1"
    json.dumps(found.as_json(), allow_nan=False)


def test_with_few_repetitions_there_is_no_verdict() -> None:
    found = one([1.0], [2.0, 2.1, 2.2])
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "1 and 3 repetitions are too few, a verdict takes 3 of each at the least" in (
        found.sentence
    )


def test_equal_runs_are_equivalent() -> None:
    assert one([5.0] * 3, [5.0] * 3).outcome is Outcome.EQUIVALENT
    assert "the same value throughout (3 and 3 repetitions)" in one([5.0] * 3, [5.0] * 3).sentence


def test_invalid_cells_of_either_run_are_left_out() -> None:
    old = Tables(*dataset({("a", "throughput"): [1.0, 9.0, 1.1, 1.2]}, {("a", 2): "swap"},
                          session="old"))  # fmt: skip
    (found,) = compare_runs(run({("a", "throughput"): [1.0, 1.1, 1.2]}, "new"), old)
    assert found.baseline.values == (1.0, 1.1, 1.2)
    doubt = next(d for d in found.doubts if d.kind == "invalid cells")
    assert "a (baseline): left out repetition 2" in doubt.found


def test_variants_metrics_and_known_doubts() -> None:
    values: dict[tuple[str, str], list[float | None]] = {
        (v, m): [1.0, 1.1, 1.2] for v in "ab" for m in ("throughput", "m")
    }
    doubt = Doubt("different times", "found", "remedy")
    found = compare_runs(
        run(values, "new"), run(values, "old"), variants=["b"], metrics=["m"],
        known={("s", "b"): [doubt]},
    )  # fmt: skip
    assert [(c.challenger.variant, c.metric) for c in found] == [("b", "m")]
    assert doubt in found[0].doubts


def test_what_cannot_be_compared_is_said() -> None:
    a = run({("a", "m"): [1.0, 2.0, 3.0]}, "new")
    with pytest.raises(QuestionError, match="no scenario in common: one measured s, the baseline"):
        compare_runs(a, run({("a", "m"): [1.0]}, "old", scenario="t"))
    with pytest.raises(QuestionError, match="no variant of scenario s is in both runs: one has a"):
        compare_runs(a, run({("b", "m"): [1.0]}, "old"))
    with pytest.raises(QuestionError, match="unknown metric 'n'; the nearest known is 'm'"):
        compare_runs(a, a, metrics=["n"])
    with pytest.raises(QuestionError, match="a margin of 0 is none"):
        compare_runs(a, a, margin=0)

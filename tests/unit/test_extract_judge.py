"""Datasets with a known truth: every verdict, its sentence and its doubts come from the data."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import NOISES, dataset, log_normal
from hypothesis import given, settings
from hypothesis import strategies as st

import queries
from extract.doubts import Doubt
from extract.judge import compare_all
from extract.questions import QuestionError
from extract.statistics import Figure
from extract.verdict import Comparison, Outcome
from extract.wording import form_of

RNG = np.random.default_rng(11)
ROUGH = 1_000 * np.exp(0.2 * RNG.standard_t(3, 10))  # what the machine did to each block
type Series = Sequence[float | None]


def noisy(factor: float, spread: float, n: int = 10, seed: int = 0) -> list[float]:
    noise = np.random.default_rng(seed).normal(0, spread, n)
    return [float(x) for x in factor * ROUGH[:n] * np.exp(noise)]


def one(a: Series, b: Series, metric: str = "throughput", **more: Any) -> Comparison:
    margin = more.pop("margin", 0.05)
    found = compare_all(
        *dataset({("a", metric): a, ("b", metric): b}, **more), baseline="b", margin=margin
    )
    assert len(found) == 1
    return found[0]


def kinds(comparison: Comparison) -> set[str]:
    return {doubt.kind for doubt in comparison.doubts}


def test_a_faster() -> None:
    found = one(noisy(4.1, 0.05), noisy(1, 0.05, seed=1))
    assert found.outcome is Outcome.BETTER
    ratio = found.ratio
    assert ratio.lower
    assert ratio.upper
    assert ratio.lower < 4.1 < ratio.upper
    words = f"a has {ratio.value:.2f} times the throughput of b (95 % interval "
    assert found.sentence.startswith(
        f"{words}{ratio.lower:.2f} to {ratio.upper:.2f}, 10 blocks). That is better."
    )
    assert found.more_repetitions.value == 0


def test_b_faster() -> None:
    found = one(noisy(0.8, 0.02), noisy(1, 0.02, seed=1))
    assert found.outcome is Outcome.WORSE
    assert "That is worse." in found.sentence


def test_less_latency_is_better_and_a_count_is_neither() -> None:
    a, b = noisy(0.8, 0.02), noisy(1, 0.02, seed=1)
    assert one(a, b, "end_to_end_p50").outcome is Outcome.BETTER
    assert one(a, b, "tasks_completed").outcome is Outcome.LOWER
    found = one(b, a, "a_metric_of_tomorrow")
    assert found.outcome is Outcome.HIGHER
    assert "better" not in found.sentence


def test_equal_within_the_margin() -> None:
    found = one(noisy(1, 0.01), noisy(1, 0.01, seed=1))
    assert found.outcome is Outcome.EQUIVALENT
    assert found.sentence.startswith("a and b are equivalent in throughput, within 5 %: a has ")


def test_a_small_difference_for_sure_is_equivalence_within_a_wide_margin_alone() -> None:
    a, b = noisy(1.03, 0.005), noisy(1, 0.005, seed=1)
    assert one(a, b).outcome is Outcome.EQUIVALENT
    assert one(a, b).evidence.difference.proven
    assert one(a, b, margin=0.01).outcome is Outcome.BETTER


def test_too_noisy_is_open_and_never_the_same() -> None:
    found = one(noisy(1.1, 0.3, 5), noisy(1, 0.3, 5, seed=1))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.sentence.startswith("It is inconclusive how the throughput of a and b compare")
    assert found.more_repetitions.value
    assert f"about {found.more_repetitions.value:,} more repetitions would" in found.sentence
    assert found.smallest_effect.value
    assert found.smallest_effect.value > 0.3
    assert "noisy" in kinds(found)
    settled = int(found.more_repetitions.value) + 5
    larger = np.exp(np.random.default_rng(3).normal(0, 0.3, (2, settled)))
    later = one([float(x) for x in found_ratio(found) * larger[0]], [float(x) for x in larger[1]])
    assert later.outcome is not Outcome.INCONCLUSIVE


def found_ratio(found: Comparison) -> float:
    assert found.ratio.value
    return found.ratio.value


def test_two_modes_are_a_doubt_of_the_side_that_has_them() -> None:
    flat = [1_000 * x for x in log_normal(np.random.default_rng(2), 10)[0] ** 0.05]
    split = [x * (1.4 if i in {1, 4, 5, 8} else 1) for i, x in enumerate(flat)]
    found = one(split, flat[::-1])
    assert found.outcome is Outcome.INCONCLUSIVE
    doubt = next(d for d in found.doubts if d.kind == "two modes")
    assert doubt.found.startswith("a: 6 values around ")
    assert "two modes" in found.sentence
    assert "two modes" not in kinds(one(flat, flat[::-1]))


def test_an_outlier_is_marked_and_kept_and_its_weight_is_shown() -> None:
    a = [1.22, 1.18, 1.23, 0.1, 1.17, 1.21, 1.19, 1.2]
    b = [1.0, 1.02, 0.98, 1.0, 1.01, 0.99, 1.03, 0.97]
    found = one(a, b)
    assert found.challenger.outliers == ("4",)
    assert len(found.challenger.values) == len(found.blocks) == 8
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.without_outliers.value == pytest.approx(1.2, abs=0.02)
    doubt = next(d for d in found.doubts if d.kind == "outliers")
    assert "is inconclusive; without block 4" in doubt.found
    assert doubt.found.endswith("it is better")


def test_invalid_cells_are_left_out_and_said() -> None:
    failed = {("a", 2): "swap_bytes 4096", ("a", 5): "swap_bytes 8192", ("b", 7): "swap_bytes 1"}
    a = noisy(2, 0.01)
    a[1] = a[4] = 1e9
    found = one(a, noisy(1, 0.01, seed=1), failed=failed)
    assert found.blocks == ("1", "3", "4", "6", "8", "9", "10")
    assert found.ratio.value == pytest.approx(2, abs=0.05)
    assert max(found.challenger.values) < 1e8
    cells = [d for d in found.doubts if d.kind == "invalid cells"]
    assert [d.found for d in cells] == [
        "a: left out repetitions 2, 5: no swapping: swap_bytes 4096; swap_bytes 8192",
        "b: left out repetition 7: no swapping: swap_bytes 1",
    ]
    assert {d.remedy for d in cells} == {"Free memory."}
    assert "Doubts: invalid cells" in found.sentence
    assert "incomplete blocks" not in kinds(found)


def test_a_cell_that_was_never_audited_is_not_taken_for_valid() -> None:
    results, audit = dataset({("a", "m"): [1.0] * 4, ("b", "m"): [2.0] * 4})
    kept = audit[~((audit["variant"] == "a") & (audit["repetition"] == 3))]
    found = compare_all(results, kept, baseline="b")[0]
    assert found.blocks == ("1", "2", "4")
    assert any("there is no audit of it" in doubt.found for doubt in found.doubts)


def test_missing_blocks_are_left_out_of_the_pairs_and_said() -> None:
    a: Series = [*noisy(2, 0.01)[:8], None, None]
    found = one(a, noisy(1, 0.01, seed=1))
    assert found.blocks == tuple("12345678")
    assert len(found.baseline.values) == 10
    doubt = next(d for d in found.doubts if d.kind == "incomplete blocks")
    assert doubt.found.startswith("blocks 9, 10 without throughput")


def test_below_five_blocks_there_is_a_doubt() -> None:
    few = one(noisy(2, 0.01, 4), noisy(1, 0.01, 4, 1))
    assert few.outcome is Outcome.BETTER
    doubt = next(d for d in few.doubts if d.kind == "few blocks")
    assert doubt.found.startswith("4 blocks: ")
    assert "0.0078 of all comparisons" in doubt.found
    assert "few blocks" not in kinds(one(noisy(2, 0.01, 5), noisy(1, 0.01, 5, 1)))


def test_known_doubts_come_with_every_verdict_on_that_variant() -> None:
    ledger = Doubt("ledger", "the exporters took 4 % of a core", "Scrape every 5 s.")
    data = dataset({("a", "m"): [1.0] * 3, ("b", "m"): [1.0] * 3, ("c", "m"): [1.0] * 3})
    with_a, with_c = compare_all(*data, baseline="b", known={("s", "a"): [ledger]})
    assert ledger in with_a.doubts
    assert "ledger" in with_a.sentence
    assert ledger not in with_c.doubts


def timed(bare: Sequence[float], watched: Sequence[float], variants: str = "ab") -> pd.DataFrame:
    """A ledger in which watching changes only the throughput of `a`, block by block."""
    return pd.DataFrame(
        [{"scenario": "s", "variant": v, "mode": mode, "repetition": block, "unit": "tasks/s",
          "metric": "throughput", "value": value if v == "a" else 100.0}
         for v in variants for mode, values in (("bare", bare), ("default", watched))
         for block, value in enumerate(values, 1)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ratio", "watched", "said"),
    [
        # Proven differences: by the far end of the bias, against the difference.
        (1.20, [97.0, 97.0, 97.0], ""),
        (
            1.20,
            [90.0, 90.0, 90.0],
            "-10.0 % (-10.0 to -10.0), which could be 58% of the difference",
        ),
        (
            1.20,
            [80.0, 80.0, 80.0],
            "-20.0 % (-20.0 to -20.0), which could be all of the difference",
        ),
        (1.20, [90.0, 99.0, 108.0], "which could be all of the difference"),  # a wide interval
        (4.00, [90.0, 99.0, 108.0], ""),
        # Equivalence within 5 %: against the margin.
        (1.00, [99.0, 99.0, 99.0], ""),
        (1.00, [96.0, 96.0, 96.0], "which could be 84% of the margin"),
        (1.00, [90.0, 99.0, 108.0], "which could be all of the margin"),
    ],
)
def test_a_ledger_is_a_doubt_where_its_bias_is_of_the_size_of_what_is_found(
    ratio: float, watched: list[float], said: str
) -> None:
    values = {("a", "throughput"): noisy(100 * ratio, 0.004, 6), ("b", "throughput"):
              noisy(100, 0.004, 6, 1)}  # fmt: skip
    (found,) = compare_all(*dataset(values), baseline="b", timed=timed([100.0] * 3, watched))
    assert found.outcome is not Outcome.INCONCLUSIVE
    doubts = [d.found for d in found.doubts if d.kind == "ledger"]
    assert len(doubts) == bool(said)
    assert not said or said in doubts[0]


def test_where_one_side_alone_was_timed_its_cost_is_what_is_known() -> None:
    values = {("a", "throughput"): noisy(120, 0.004, 6), ("b", "throughput"): noisy(100, 0.004, 6)}
    alone = timed([100.0] * 3, [85.0] * 3, "a")
    (found,) = compare_all(*dataset(values), baseline="b", timed=alone)
    (doubt,) = [d.found for d in found.doubts if d.kind == "ledger"]
    assert doubt.startswith("instrumentation changes the throughput of a, and of it alone as far")


def test_of_what_no_ledger_times_none_is_a_doubt() -> None:
    values = {("a", "m"): noisy(101, 0.004, 6), ("b", "m"): noisy(100, 0.004, 6)}
    ledger = timed([100.0] * 3, [50.0] * 3)
    (found,) = compare_all(*dataset(values), baseline="b", timed=ledger)
    assert "ledger" not in kinds(found)


BUCKET = (0.0917, 0.1)


@pytest.mark.parametrize(
    ("sent", "late", "doubted"),
    [(1.02, None, True), (1.5, None, False), (None, None, False), (1.02, 0.001, False)],
)
def test_a_worker_that_waited_for_its_client_is_a_doubt(
    sent: float | None, late: float | None, *, doubted: bool
) -> None:
    series: dict[tuple[str, str], Series] = {
        ("a", "throughput"): noisy(2, 0.01),
        ("b", "throughput"): noisy(1, 0.01, seed=1),
        ("b", "enqueue_rate"): noisy(4, 0.01, seed=1),
    }
    if sent:
        series["a", "enqueue_rate"] = [sent * (value or 0) for value in series["a", "throughput"]]
    if late:
        series["a", "schedule_lag_p99"] = [late] * 10
    (found,) = compare_all(*dataset(series), baseline="b", metrics=["throughput"])
    said = [doubt.found for doubt in found.doubts if doubt.kind == "client bound"]
    assert len(said) == doubted
    assert all(one.startswith("a: ") and "its worker waited for its client" in one for one in said)


def test_quantiles_in_one_bucket_are_a_doubt() -> None:
    bounds = {("a", "end_to_end_p50"): BUCKET, ("b", "end_to_end_p50"): BUCKET}
    a, b = [0.0930, 0.0931, 0.0932, 0.0930], [0.0970, 0.0972, 0.0971, 0.0970]
    found = one(a, b, "end_to_end_p50", bounds=bounds)
    doubt = next(d for d in found.doubts if d.kind == "within resolution")
    assert "9.1%" in doubt.found
    far = one([2 * x for x in a], b, "end_to_end_p50", bounds=bounds)
    assert "within resolution" not in kinds(far)


def test_the_lowest_bucket_is_a_bound_and_two_of_them_are_nothing() -> None:
    low = (0.0, 1e-4)
    bounds = {("a", "end_to_end_p50"): low}
    fast, slow = [5e-5] * 4, [0.01, 0.011, 0.0102, 0.0107]
    found = one(fast, slow, "end_to_end_p50", bounds=bounds)
    assert found.outcome is Outcome.BETTER
    assert found.sentence.startswith("a has at most 0.0096 times the end to end p50 of b")
    assert found.ratio.lower is None
    assert "up to" in found.sentence
    assert "below resolution" in kinds(found)
    mirror = one(slow, fast, "end_to_end_p50", bounds={("b", "end_to_end_p50"): low})
    assert mirror.outcome is Outcome.WORSE
    assert mirror.ratio.upper is None
    both = one(fast, [6e-5] * 4, "end_to_end_p50", bounds={**bounds, ("b", "end_to_end_p50"): low})
    assert both.outcome is Outcome.INCONCLUSIVE
    assert "below what the histogram resolves" in both.sentence


def test_a_value_at_the_bound_is_not_called_equivalent_to_it() -> None:
    bounds = {("a", "end_to_end_p50"): (0.0, 1e-4)}
    found = one([5e-5] * 4, [1.0e-4, 1.01e-4, 1.0e-4, 1.02e-4], "end_to_end_p50", bounds=bounds)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "the histogram does not resolve it" in found.more_repetitions.reason
    assert "however many there are." in found.sentence


def test_an_outlier_whose_block_the_other_side_lacks_takes_no_part() -> None:
    a = [1.22, 1.18, 1.23, 0.1, 1.17, 1.21, 0.1, 1.2, 1.19, 1.21]
    b = [1.0, 1.02, 0.98, None, 1.01, 0.99, 1.0, 0.97, 1.03, 1.0]
    found = one(a, b)
    assert found.challenger.outliers == ("4", "7")
    doubt = next(d for d in found.doubts if d.kind == "outliers")
    assert "without block 7, outside" in doubt.found


def test_each_source_is_compared_by_itself() -> None:
    results, audit = dataset({("a", "m"): [2.0] * 3, ("b", "m"): [1.0] * 3})
    traces = results.assign(source="traces", value=[6.0] * 3 + [1.0] * 3)
    both = pd.concat([results, traces])
    assert compare_all(both, audit, baseline="b")[0].ratio.value == pytest.approx(2)
    found = compare_all(both, audit, baseline="b", source="traces")[0]
    assert found.ratio.value == pytest.approx(6)
    with pytest.raises(QuestionError, match="unknown variant 'b', and there is none at all"):
        compare_all(both.assign(source="other"), audit.iloc[:0], baseline="b")


def test_no_end_of_an_interval_is_rounded_to_no_difference() -> None:
    assert form_of(1.05, [0.99, 1.12], 1.0) == ",.2f"
    assert form_of(1.05, [0.998, 1.12], 1.0) == ",.3f"
    assert form_of(1.05, [1.0, 1.12], 1.0) == ",.2f"  # where it is no difference, it may say so
    assert form_of(4.1, [3.9, 4.3], 1.0) == ",.1f"
    assert form_of(4e7, [3e7, 5e7], 0.0) == ".3g"


DEGENERATE: dict[str, tuple[Series, Series, Outcome, str]] = {
    "one repetition": ([2.0], [1.0], Outcome.INCONCLUSIVE, "1 block is too few"),
    "two repetitions": ([2.0, 2.1], [1.0, 1.1], Outcome.INCONCLUSIVE, "2 blocks are too few"),
    "an empty side": ([None, None, None], [1.0, 2.0, 3.0], Outcome.INCONCLUSIVE,
                      "a has no valid value"),
    "no common block": ([1.0, None], [None, 1.0], Outcome.INCONCLUSIVE, "no block has"),
    "equal constants": ([7.0] * 3, [7.0] * 3, Outcome.EQUIVALENT,
                        "the same value throughout (3 blocks)"),
    "other constants": ([8.0] * 3, [6.0] * 3, Outcome.BETTER,
                        "1.333 times the throughput of b (the same throughout, 3 blocks)"),
    "nothing at all": ([0.0] * 3, [0.0] * 3, Outcome.EQUIVALENT, "the same value throughout"),
    "something by nothing": ([3.0, 4.0, 3.5], [0.0] * 3, Outcome.BETTER,
                             "a differs from b in throughput by +3.5 tasks/s"),
    "a zero": ([3.0, 0.0, 9.0], [1.0, 1.0, 2.0], Outcome.INCONCLUSIVE, "would have shown"),
    "not a number": ([float("nan")] * 3, [1.0] * 3, Outcome.INCONCLUSIVE, "no valid value"),
    "beyond measure": ([1e300] * 3, [1e-300] * 3, Outcome.INCONCLUSIVE, "no valid value"),
    "beyond numbers": ([1e99, 1e-99, 1e99], [1e-99, 1e99, 1e99], Outcome.INCONCLUSIVE,
                       "beyond what a number holds"),
}  # fmt: skip


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_input_is_answered_in_words(case: str) -> None:
    a, b, outcome, words = DEGENERATE[case]
    found = one(a, b)
    assert found.outcome is outcome
    assert words in found.sentence
    assert "nan" not in found.sentence.lower()
    json.dumps(found.as_json(), allow_nan=False)
    assert all(f.reason for f in figures(found.as_json()) if f.value is None)


@pytest.mark.parametrize("sides", ["b", "ab"])
def test_a_side_whose_cells_all_failed_is_answered_in_words(sides: str) -> None:
    failed = {(v, r): "swap_bytes 1" for v in sides for r in (1, 2, 3)}
    found = one([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], failed=failed)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert f"{sides[0]} has no valid value of it" in found.sentence
    assert "invalid cells" in kinds(found)


def figures(plain: Mapping[str, Any]) -> Iterator[Figure]:
    """Every figure in what JSON holds."""
    for value in plain.values():
        if isinstance(value, dict):
            yield from [Figure(**value)] if "method" in value else figures(value)


series = st.lists(
    st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, 1.0]), st.none()), min_size=4, max_size=4
)
MIRROR = {Outcome.BETTER: Outcome.WORSE, Outcome.WORSE: Outcome.BETTER}


@settings(max_examples=40)
@given(series, series)
def test_swapping_the_sides_mirrors_the_verdict(a: Series, b: Series) -> None:
    if not any(x is not None for x in [*a, *b]):
        return
    there, back = one(a, b), one(b, a)
    assert back.outcome is MIRROR.get(there.outcome, there.outcome)
    if there.ratio.value and back.ratio.value:
        assert back.ratio.value == pytest.approx(1 / there.ratio.value)
    for found in (there, back):
        json.dumps(found.as_json(), allow_nan=False)
        assert all(f.reason for f in figures(found.as_json()) if f.value is None)


@settings(max_examples=20)
@given(st.floats(1e-3, 1e3))
def test_the_unit_does_not_change_the_verdict(unit: float) -> None:
    a, b = noisy(1.2, 0.02, 4), noisy(1, 0.02, 4, seed=1)
    scaled = one([unit * x for x in a], [unit * x for x in b])
    assert scaled.outcome is Outcome.BETTER
    assert scaled.ratio.value == pytest.approx(one(a, b).ratio.value)


def test_each_scenario_is_a_family_and_sessions_add_blocks() -> None:
    first = dataset({("a", "m"): noisy(2, 0.05, 4), ("b", "m"): noisy(1, 0.05, 4, 1)})
    again = dataset({("a", "m"): noisy(2, 0.05, 4, 2), ("b", "m"): noisy(1, 0.05, 4, 3)},
                    session="y")  # fmt: skip
    other = dataset({("a", "m"): noisy(2, 0.05, 4), ("c", "m"): noisy(1, 0.05, 4, 1)},
                    scenario="other")  # fmt: skip
    tables = [pd.concat(parts) for parts in zip(first, again, other, strict=True)]
    found = compare_all(*tables, baseline="b")
    assert [(c.scenario, c.challenger.variant) for c in found] == [("s", "a")]
    assert found[0].blocks == ("x/1", "x/2", "x/3", "x/4", "y/1", "y/2", "y/3", "y/4")
    against_a = compare_all(*tables, baseline="a")
    assert [c.evidence.difference.family for c in against_a] == [1, 1]


def test_only_what_is_asked_is_compared_and_counted() -> None:
    data = dataset({(v, m): noisy(1, 0.05, 4, i) for i, (v, m) in enumerate(
        (v, m) for v in "abc" for m in ("throughput", "ack_p50", "tasks_failed"))})  # fmt: skip
    assert {c.evidence.difference.family for c in compare_all(*data, baseline="b")} == {6}
    found = compare_all(*data, baseline="b", metrics=["ack_p50"], challengers=["c"])
    assert [(c.challenger.variant, c.metric) for c in found] == [("c", "ack_p50")]
    assert found[0].evidence.difference.family == 1
    with pytest.raises(QuestionError, match="unknown variant 'bb'; the nearest known is 'b'"):
        compare_all(*data, baseline="bb")
    with pytest.raises(QuestionError, match=r"unknown metric 'ack_p05'.*'ack_p50'\. Choose"):
        compare_all(*data, baseline="b", metrics=["ack_p05"])
    with pytest.raises(QuestionError, match="a margin of 0 is none"):
        compare_all(*data, baseline="b", margin=0)


def null(families: int, metrics: Sequence[str], n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Families of metrics of two variants that do not differ, of every kind of noise."""
    rng = np.random.default_rng(42)
    tables = []
    for family in range(families):
        noise = list(NOISES.values())[family % len(NOISES)]
        values: dict[tuple[str, str], Series] = {}
        for metric in metrics:
            a, b = noise(rng, n)
            values["a", metric], values["b", metric] = a.tolist(), b.tolist()
        tables.append(dataset(values, scenario=f"s{family}"))
    results, audit = zip(*tables, strict=True)
    return pd.concat(results), pd.concat(audit)


def test_of_1000_null_comparisons_at_most_5_in_100_are_called_different() -> None:
    metrics = [q.name for q in queries.catalogue().values() if q.better != "neither"][:10]
    found = compare_all(*null(100, metrics, 5), baseline="b")
    wrong = [c for c in found if c.outcome not in {Outcome.EQUIVALENT, Outcome.INCONCLUSIVE}]
    assert len(found) == 1_000
    assert len(wrong) <= 50
    assert len({c.scenario for c in wrong}) <= 5  # and of the 100 families, too


def test_a_whole_dataset_takes_seconds() -> None:
    rng = np.random.default_rng(9)
    metrics = list(queries.catalogue())[:30]
    values: dict[tuple[str, str], Series] = {
        (v, m): rng.normal(10, 1, 10).tolist() for v in "abcd" for m in metrics
    }
    began = time.process_time()
    assert len(compare_all(*dataset(values), baseline="b")) == 90
    assert time.process_time() - began < 10  # CPU time: a busy machine does not stretch it much

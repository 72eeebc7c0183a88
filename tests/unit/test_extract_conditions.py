"""Conditions: parsed strictly, and fired only by what is shown."""

import json
from collections.abc import Sequence

import pytest
from datasets import dataset

from extract.conditions import Condition, State, judge, judge_one, parse_condition
from extract.judge import compare_all
from extract.questions import QuestionError
from extract.verdict import Comparison

BASE = (100.0, 101.0, 99.0, 100.5, 99.5, 100.0)


def comparison(
    factor: float, spread: float = 0.001, metric: str = "throughput", base: Sequence[float] = BASE
) -> Comparison:
    swings = (1, -1, 0.5, -0.5, 0.8, -0.8)
    series = [factor * x * (1 + spread * s) for x, s in zip(base, swings, strict=True)]
    return compare_all(*dataset({("a", metric): series, ("b", metric): base}), baseline="b")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("throughput < -5%", Condition("throughput", "<", -0.05)),
     ("  end_to_end_p99>+12.5 % ", Condition("end_to_end_p99", ">", 0.125)),
     ("worker_cpu_per_1000 > 10%", Condition("worker_cpu_per_1000", ">", 0.1)),
     ("throughput < -.5%", Condition("throughput", "<", -0.005)),
     ("throughput<0%", Condition("throughput", "<", 0))],
)  # fmt: skip
def test_a_condition_is_a_metric_a_comparison_and_a_percentage(
    text: str, expected: Condition
) -> None:
    assert parse_condition(text) == expected
    assert parse_condition(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [("troughput < -5%", "unknown metric 'troughput'; the nearest known is 'throughput'",
      "others."),
     ("throughput <= -5%", "'<=' is no comparison", "throughput < -5%"),
     ("throughput = 5%", "'=' is no comparison", "throughput < -5%"),
     ("throughput -5%", "compares with nothing", "throughput < -5%"),
     ("throughput", "compares with nothing", "throughput < -5%"),
     ("throughput < -5", "-5 lacks its %", "in percent"),
     ("throughput < much%", "'much%' is no percentage", "throughput < -5%"),
     ("throughput < 5%%", "'5%%' is no percentage", "throughput < -5%"),
     ("throughput < nan%", "'nan%' is no percentage", "throughput < -5%"),
     ("throughput <", "'' is no percentage", "throughput < -5%"),
     ("throughput < -100%", "nothing falls by 100 % or more", "above -100%"),
     ("< -5%", "does not begin with a metric", "throughput < -5%"),
     ("", "does not begin with a metric", "throughput < -5%")],
)  # fmt: skip
def test_errors_name_cause_and_remedy(text: str, cause: str, remedy: str) -> None:
    with pytest.raises(QuestionError) as caught:
        parse_condition(text)
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy


def test_a_dataset_may_have_metrics_of_its_own() -> None:
    assert parse_condition("tomorrow > 1%", known=["tomorrow"]).metric == "tomorrow"


def state(text: str, found: Comparison) -> State:
    return judge_one(parse_condition(text), found).state


@pytest.mark.parametrize(
    ("factor", "spread", "text", "expected"),
    [(0.9, 0.001, "throughput < -5%", State.FIRED),
     (0.9, 0.001, "throughput < -12%", State.HELD),
     (0.9, 0.03, "throughput < -9%", State.UNDECIDED),
     (1.1, 0.001, "throughput < -5%", State.HELD),
     (1.1, 0.001, "throughput > 5%", State.FIRED),
     (1.1, 0.001, "throughput > 12%", State.HELD),
     (1.1, 0.03, "throughput > 9%", State.UNDECIDED),
     (1.0, 0.001, "throughput < -5%", State.HELD),
     (1.0, 0.3, "throughput < -5%", State.UNDECIDED),
     # Here no change at all meets the condition: "at least 10 % more" is not reached for sure.
     (1.0, 0.001, "throughput < 10%", State.FIRED),
     (1.0, 0.3, "throughput < 10%", State.UNDECIDED)],
)  # fmt: skip
def test_it_fires_where_the_whole_interval_lies_beyond(
    factor: float, spread: float, text: str, expected: State
) -> None:
    assert state(text, comparison(factor, spread)) is expected


def test_an_interval_beyond_is_not_enough_where_the_family_does_not_prove_it() -> None:
    """One of 40 metrics has an interval below 0 by chance, as one or two of 40 will."""
    crowd = {
        (variant, f"m{i}"): [x * (1 + 0.1 * ((i + j * j) % 7) * (variant == "a")) for j, x in
                             enumerate(BASE)]
        for i in range(40) for variant in "ab"
    }  # fmt: skip
    a = [x * f for x, f in zip(BASE, (0.97, 0.95, 0.9, 0.93, 0.99, 0.94), strict=True)]
    values = {("a", "throughput"): a, ("b", "throughput"): list(BASE), **crowd}
    alone = compare_all(*dataset(values), baseline="b", metrics=["throughput"])[0]
    among = next(c for c in compare_all(*dataset(values), baseline="b") if c.metric == "throughput")
    assert among.ratio == alone.ratio
    assert state("throughput < -1%", alone) is State.FIRED
    assert state("throughput < -1%", among) is State.UNDECIDED


def test_words_for_what_has_no_relative_change() -> None:
    nothing = (0.0,) * 6
    some = compare_all(*dataset({("a", "tasks_failed"): [3.0, 4, 3, 4, 3, 4],
                                 ("b", "tasks_failed"): nothing}), baseline="b")[0]  # fmt: skip
    fired = judge_one(parse_condition("tasks_failed > 5%"), some)
    assert fired.state is State.FIRED
    assert "from nothing to something" in fired.sentence
    assert state("tasks_failed < -5%", some) is State.HELD
    none = compare_all(*dataset({(v, "tasks_failed"): nothing for v in "ab"}), baseline="b")[0]
    assert state("tasks_failed > 0%", none) is State.HELD
    mixed = compare_all(*dataset({("a", "tasks_failed"): [3.0, 0, 3, 4, 3, 4],
                                  ("b", "tasks_failed"): [1.0, 0, 0, 0, 1, 1]}),
                        baseline="b")[0]  # fmt: skip
    unknown = judge_one(parse_condition("tasks_failed > 5%"), mixed)
    assert unknown.state is State.UNDECIDED
    assert "has no ratio" in unknown.sentence


def test_a_bound_fires_on_its_known_side_alone() -> None:
    low = {("a", "end_to_end_p50"): (0.0, 1e-4)}
    data = dataset({("a", "end_to_end_p50"): [5e-5] * 6, ("b", "end_to_end_p50"): BASE}, bounds=low)
    found = compare_all(*data, baseline="b")[0]
    assert state("end_to_end_p50 < -50%", found) is State.FIRED
    assert state("end_to_end_p50 < -99.99999%", found) is State.UNDECIDED
    assert state("end_to_end_p50 > 5%", found) is State.HELD
    mirror = compare_all(*data, baseline="a")[0]
    fired = judge_one(parse_condition("end_to_end_p50 > 5%"), mirror)
    assert fired.state is State.FIRED
    assert "% or more (95 % interval)" in fired.sentence
    assert state("end_to_end_p50 < -5%", mirror) is State.HELD
    assert state("end_to_end_p50 < 1000000000%", mirror) is State.UNDECIDED


def test_each_comparison_is_judged_and_a_missing_one_is_said() -> None:
    found = [comparison(0.9), comparison(2.0, metric="ack_p50")]
    conditions = [parse_condition("throughput < -5%"), parse_condition("enqueue_rate < -5%")]
    fired, missing = judge(conditions, found)
    assert fired.sentence == (
        "s: throughput < -5% has fired: a against b, "
        "a change of -10.08 % to -9.92 % (95 % interval)."
    )
    assert missing.state is State.UNDECIDED
    assert missing.comparison is None
    assert "no comparison is of enqueue_rate" in missing.sentence
    json.dumps([j.as_json() for j in (fired, missing)], allow_nan=False)


def test_one_repetition_decides_nothing() -> None:
    found = compare_all(*dataset({("a", "throughput"): [1.0], ("b", "throughput"): [9.0]}),
                        baseline="b")[0]  # fmt: skip
    judged = judge_one(parse_condition("throughput < -5%"), found)
    assert judged.state is State.UNDECIDED
    assert "1 block is too few" in judged.sentence

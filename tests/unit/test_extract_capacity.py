"""What trials amount to, and which rate is next: on made-up systems of known capacity."""

import random
from dataclasses import replace

import numpy as np
import pytest

from extract.capacity import (
    Capacity,
    Growth,
    Promise,
    Trial,
    Verdict,
    backlog_over_time,
    bracket,
    grows,
    growth,
    judge,
)
from extract.capacity_words import sentences
from taskscope.capacity import question
from taskscope.capacity_search import Limits, rounded, search
from taskscope.errors import UsageError
from taskscope.matrix import points
from taskscope.scenario import load_scenario

PROMISE = Promise(0.25, 0.0)
GOOD = {"end_to_end_p99": 0.1, "tasks_completed": 100.0, "tasks_failed": 0.0}


def test_growth_is_the_slope_while_tasks_were_sent() -> None:
    samples = [(float(t), 7.0 * t) for t in range(11)] + [(20.0, 0.0), (21.0, 0.0)]
    exact, flat = growth(samples, 10), growth([(float(t), 5.0) for t in range(11)], 10)
    assert exact is not None
    assert flat is not None
    assert (exact.slope, exact.least) == pytest.approx((7.0, 7.0))
    assert (flat.slope, flat.least) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert growth([(0.0, 0.0), (5.0, 1.0), (9.0, 2.0)], 10) is None  # two within are too few


def test_growth_is_at_least_what_a_textbook_says() -> None:
    from scipy import stats

    samples = [(0.0, 3.0), (1.0, 9.0), (2.0, 4.0), (3.0, 15.0), (4.0, 12.0), (5.0, 13.0)]
    times, depths = zip(*samples[2:], strict=True)
    fit = stats.linregress(times, depths)
    found = growth(samples, 5.5)
    assert found is not None
    assert found.slope == pytest.approx(fit.slope)
    assert found.least == pytest.approx(fit.slope - stats.t.ppf(0.95, 2) * fit.stderr)


def test_a_queue_that_is_looked_into_now_and_then_is_not_taken_for_one_that_grows() -> None:
    """Of 100 ms between two looks, a backlog is anything from 0 to 40 at 400 tasks/s."""
    rng = np.random.default_rng(1)
    taken = 0
    for _ in range(500):
        seconds = np.arange(7) + rng.uniform()
        samples = [(float(t), float(rng.uniform(0, 40))) for t in seconds]
        taken += grows(growth(samples, 6), 400)
    assert taken < 0.06 * 500


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_queue_that_grows_is_found_to(share: float) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        samples = [(float(t), share * 400 * t + rng.uniform(0, 10)) for t in range(21)]
        assert grows(growth(samples, 20), 400)


@pytest.mark.parametrize(
    ("changes", "grown", "verdict", "why"),
    [
        ({}, Growth(0.0, 0.0), "sustained", ""),
        ({}, Growth(50.0, 9.9), "sustained", ""),
        ({}, Growth(12.3, 10.1), "not sustained", "the backlog grew by 12.3 tasks/s"),
        ({"end_to_end_p99": 0.26}, Growth(0, 0), "not sustained", "p99 0.26 s, promised 0.25 s"),
        ({"tasks_failed": 1.0}, Growth(0, 0), "not sustained", "0.99% failed"),
        ({"end_to_end_p99": None}, Growth(0, 0), "says nothing", "nothing was measured"),
        ({}, None, "says nothing", "for too short a time"),
    ],
)
def test_a_trial_is_judged_by_what_was_promised(
    changes: dict[str, float | None], grown: Growth | None, verdict: str, why: str
) -> None:
    found = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    said, because = judge(found, grown, 1000, PROMISE)
    assert said == verdict
    assert why in because


def _trials(*heard: tuple[float, Verdict]) -> list[Trial]:
    return [Trial(rate, n, verdict, "") for n, (rate, verdict) in enumerate(heard)]


def test_the_bracket_claims_only_what_was_shown() -> None:
    yes: Verdict = "sustained"
    no: Verdict = "not sustained"
    assert bracket(_trials((100, yes), (100, yes), (200, no), (200, no))) == (100, 200)
    assert bracket(_trials((100, yes), (200, no))) == (None, None)  # once may be luck
    assert bracket(_trials((400, no), (800, yes), (800, yes))) == (800, None)
    assert bracket(_trials((100, yes), (100, no), (50, yes), (50, yes))) == (50, None)
    assert bracket(_trials((100, yes), (100, no), (100, no), (50, yes), (50, yes))) == (50, 100)
    assert bracket(_trials((100, yes), (100, yes), (50, no))) == (100, None)
    assert bracket(_trials((100, "says nothing"), (100, "says nothing"))) == (None, None)
    assert bracket([]) == (None, None)


def simulate(
    capacity: float, limits: Limits, *, noise: float = 0.0, generator: float = 1e9, seed: int = 1
) -> tuple[tuple[float | None, float | None], list[Trial]]:
    """Search a system that sustains what is below its capacity, and a generator with its own."""
    rng = random.Random(seed)  # noqa: S311
    steps = search(250, limits)
    trials: list[Trial] = []
    rate = next(steps)
    while True:
        verdict: Verdict = "sustained"
        if rate > capacity * rng.gauss(1, noise):
            verdict = "not sustained"
        if rate > generator:
            verdict = "says nothing"
        trials.append(Trial(rate, len(trials), verdict, ""))
        try:
            rate = steps.send(verdict)
        except StopIteration as end:
            return end.value, trials


@pytest.mark.parametrize("capacity", [3.0, 90.0, 260.0, 999.0, 5000.0, 81_000.0])
@pytest.mark.parametrize("limits", [Limits(0.25, 1, 60), Limits(0.1, 3, 60)])
def test_the_ends_enclose_the_capacity(capacity: float, limits: Limits) -> None:
    (low, high), trials = simulate(capacity, limits)
    assert low is not None
    assert high is not None
    assert low <= capacity < high
    assert high / low <= 1 + limits.precision + 0.01
    assert bracket(trials) == (low, high)
    assert sum(t.rate == low for t in trials) == limits.confirmations + 1
    assert len(trials) <= 20 + 2 * limits.confirmations


def test_with_noise_the_lower_end_is_confirmed_all_the_same() -> None:
    for seed in range(40):
        _, trials = simulate(1000, Limits(0.1, 3, 60), noise=0.05, seed=seed)
        low, high = bracket(trials)
        assert low is not None
        assert 700 < low < 1100
        assert high is None or high > low


@pytest.mark.parametrize(("limits", "unknown"), [(Limits(0.1, 3, 60), 0), (Limits(0.25, 1, 60), 0)])
def test_with_noise_the_upper_end_is_found_too(limits: Limits, unknown: int) -> None:
    """Most searches end with both ends, the same as the dataset's."""
    ends = []
    for seed in range(100):
        found, trials = simulate(1000, limits, noise=0.04, seed=seed)
        assert bracket(trials)[0] == found[0]
        ends.append(bracket(trials))
        if None not in ends[-1]:
            assert bracket(trials) == found
        assert len(trials) < 40
    assert sum(None in end for end in ends) <= unknown


def test_what_the_generator_cannot_send_is_no_verdict_on_the_worker() -> None:
    ends, trials = simulate(5000, Limits(0.1, 1, 60), generator=2200)
    assert ends == (2000, None)
    assert bracket(trials) == (2000, None)


def test_a_search_ends_when_its_trials_are_spent() -> None:
    _, trials = simulate(1000, Limits(0.01, 9, 5))
    assert len(trials) == 5
    (low, high), trials = simulate(0.2, Limits(0.1, 1, 60))
    assert low is None
    assert high is not None
    assert min(t.rate for t in trials) >= 1


def test_rates_are_named_by_three_digits() -> None:
    assert [rounded(x) for x in (1234.5, 99.96, 0.012345)] == [1230, 100, 0.0123]


def test_a_backlog_is_what_was_sent_and_not_completed() -> None:
    times, backlog = backlog_over_time(np.array([0.0, 1.0, 2.0]), np.array([1.5, 2.5, 4.0]))
    assert times.tolist() == [0, 1, 1.5, 2, 2.5, 4]
    assert backlog.tolist() == [1, 2, 1, 2, 1, 0]


@pytest.mark.parametrize("quick", [False, True])
def test_a_search_tries_every_variant_at_every_rate(*, quick: bool) -> None:
    """Also where the scenario's matrix has a variant at some of its rates only."""
    stress = load_scenario("stress").override(quick=quick)
    assert any("rate" in variant.only for variant in stress.variants)
    asked = question(
        stress, slo_seconds=None, first=None, limits=Limits(0.1, 1, 60), burst_seconds=1.0
    )
    (point,) = points(replace(asked.scenario, matrix={"rate": (707.0,)}))
    assert [v.name for v in point.variants] == [v.name for v in stress.variants]


@pytest.mark.parametrize(
    ("matrix", "remedy"),
    [
        ({"workers": (1.0, 2.0)}, "Choose one of each: --workers."),
        ({"payload_bytes": (1.0, 2.0)}, "Take payload_bytes out of [matrix] in its file."),
        ({"concurrency": (1.0,), "payload_bytes": (1.0,)},
         "Choose one of each: --concurrency. Take payload_bytes out of [matrix] in its file."),
    ],
)  # fmt: skip
def test_a_matrix_besides_the_rate_is_refused(
    matrix: dict[str, tuple[float, ...]], remedy: str
) -> None:
    scenario = replace(load_scenario("stress"), matrix={"rate": (1.0,), **matrix})
    with pytest.raises(UsageError, match="scenario stress has a matrix of") as error:
        question(scenario, slo_seconds=None, first=None, limits=Limits(0.1, 1, 9), burst_seconds=1)
    assert error.value.remedy == remedy


def _told(*heard: tuple[float, Verdict]) -> str:
    trials = _trials(*heard)
    return next(sentences(Capacity(
        "s", "a", {}, PROMISE, *bracket(trials), None, tuple(trials), None, len(trials), len(trials)
    )))  # fmt: skip


def test_what_is_not_known_is_said_to_be_so() -> None:
    yes: Verdict = "sustained"
    no: Verdict = "not sustained"
    assert _told((1, yes), (2, no)) == (
        "Nothing is known of a: no rate was shown, twice at least, to be sustained or not."
    )
    assert _told((1, "says nothing")) == "Nothing is known of a: no trial of it said anything."
    assert "no faster rate was shown, twice at least" in _told((1, yes), (1, yes), (2, no))
    assert _told((1, yes), (1, yes), (2, no), (2, no)).startswith("a sustains 1 tasks/s, and not 2")

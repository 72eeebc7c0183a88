"""Arrival schedules: exact where they can be, and statistically right where they are random."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.schedule import ArrivalSpec, Offsets, offsets_ns, planned_seconds

rates = st.floats(0.01, 1e6)
slow_rates = st.floats(0.01, 1e4)  # a nanosecond is little beside their gaps
counts = st.integers(0, 2_000)
specs = st.one_of(
    st.builds(lambda r: ArrivalSpec("constant", {"rate": r}), rates),
    st.builds(lambda r: ArrivalSpec("poisson", {"rate": r}), rates),
    st.builds(lambda a, b: ArrivalSpec("ramp", {"rate_from": a, "rate_to": b}), rates, rates),
    st.builds(
        lambda n, s: ArrivalSpec("burst", {"burst_size": n, "burst_interval_seconds": s}),
        st.integers(1, 500),
        st.floats(0.001, 100),
    ),
)


def offsets(kind: str, count: int, seed: int = 0, **numbers: float) -> Offsets:
    found = offsets_ns(ArrivalSpec(kind, numbers), count, seed)
    assert found is not None
    return found


@given(specs, counts, st.integers(0, 2**40))
def test_every_schedule_has_one_offset_a_task_and_never_goes_back(
    spec: ArrivalSpec, count: int, seed: int
) -> None:
    found = offsets_ns(spec, count, seed)
    assert found is not None
    assert found.shape == (count,)
    assert found.dtype == np.int64
    assert (np.diff(found) >= 0).all()
    assert (found >= 0).all()


def test_asap_has_no_schedule() -> None:
    assert offsets_ns(ArrivalSpec("asap"), 10) is None
    assert planned_seconds(ArrivalSpec("asap"), 10) is None


@given(st.floats(0.01, 1e6), st.integers(0, 10**6))
def test_constant_is_exact_to_the_nanosecond_for_any_task(rate: float, number: int) -> None:
    found = offsets("constant", number + 1, rate=rate)[number]
    exact = Fraction(number * 10**9) / Fraction(rate)
    # Half a nanosecond of rounding, and one ulp of the quotient where it is large.
    assert abs(Fraction(int(found)) - exact) <= Fraction(1, 2) + exact / 2**52


@pytest.mark.parametrize("rate", [1, 40, 1000, 3200, 0.5])
def test_constant_does_not_drift_over_a_million_tasks(rate: float) -> None:
    found = offsets("constant", 1_000_001, rate=rate)
    assert int(found[-1]) == round(Fraction(10**15) / Fraction(rate))


@given(rates, st.integers(2, 2_000))
def test_constant_has_the_rate_asked_for(rate: float, count: int) -> None:
    found = offsets("constant", count, rate=rate)
    assert found[-1] / (count - 1) == pytest.approx(1e9 / rate, rel=1e-6, abs=1)


@given(rates, st.integers(1, 200), st.integers(0, 2**40))
def test_poisson_repeats_with_its_seed(rate: float, count: int, seed: int) -> None:
    first = offsets("poisson", count, seed, rate=rate)
    assert (first == offsets("poisson", count, seed, rate=rate)).all()


def test_poisson_differs_with_another_seed() -> None:
    assert (offsets("poisson", 50, 1, rate=10) != offsets("poisson", 50, 2, rate=10)).any()


def test_poisson_gaps_have_the_mean_and_variance_of_their_law() -> None:
    gaps = np.diff(offsets("poisson", 100_001, 7, rate=250), prepend=0) / 1e9
    assert gaps.mean() == pytest.approx(1 / 250, rel=0.015)  # 1/sqrt(n) is 0.3 %
    assert gaps.var() == pytest.approx(1 / 250**2, rel=0.05)
    assert (gaps > np.log(2) / 250).mean() == pytest.approx(0.5, abs=0.01)


def test_poisson_counts_a_second_vary_as_much_as_their_mean() -> None:
    due = offsets("poisson", 100_000, 3, rate=100)
    counted = np.bincount(due // 10**9)[:-1]
    assert counted.mean() == pytest.approx(100, rel=0.02)
    assert counted.var() == pytest.approx(100, rel=0.2)


@pytest.mark.parametrize(("first", "last"), [(10, 1000), (1000, 10), (50, 50)])
def test_ramp_starts_and_ends_at_its_rates(first: float, last: float) -> None:
    gaps = np.diff(offsets("ramp", 100_000, rate_from=first, rate_to=last)) / 1e9
    assert 1 / gaps[0] == pytest.approx(first, rel=0.1)
    assert 1 / gaps[-1] == pytest.approx(last, rel=0.1)


@given(slow_rates, slow_rates, st.integers(1, 500))
def test_ramp_fulfils_the_integral_of_its_rate(first: float, last: float, count: int) -> None:
    due = offsets("ramp", count, rate_from=first, rate_to=last) / 1e9
    total = 2 * count / (first + last)
    sent = first * due + (last - first) * due**2 / (2 * total)
    assert sent == pytest.approx(np.arange(count), abs=1e-3)


def test_ramp_worked_by_hand() -> None:
    # 1 to 3 tasks/s: 4 tasks in 2 s, N(t) = t + t^2/2, so task 1 at sqrt(3) - 1 s.
    expected = [0, np.sqrt(3) - 1, np.sqrt(5) - 1, np.sqrt(7) - 1]
    assert offsets("ramp", 4, rate_from=1, rate_to=3) / 1e9 == pytest.approx(expected)


def test_a_pulse_is_a_burst_between_calm_times() -> None:
    found = offsets("pulse", 60, rate=10, burst_rate=100, burst_after_seconds=1, burst_seconds=0.4)
    assert found is not None
    seconds = found / 1e9
    assert np.diff(seconds[:10]) == pytest.approx(0.1)
    assert np.diff(seconds[10:50]) == pytest.approx(0.01)
    assert np.diff(seconds[50:]) == pytest.approx(0.1)
    assert (seconds[10], seconds[50]) == pytest.approx((1.0, 1.4))
    numbers = {"rate": 10.0, "burst_rate": 100.0, "burst_after_seconds": 1.0, "burst_seconds": 0.4}
    assert planned_seconds(ArrivalSpec("pulse", numbers), 60) == pytest.approx(2.4)


def test_bursts_come_together_at_each_interval() -> None:
    found = offsets("burst", 7, burst_size=3, burst_interval_seconds=0.5)
    assert found.tolist() == [0, 0, 0, 5 * 10**8, 5 * 10**8, 5 * 10**8, 10**9]


@given(specs.filter(lambda spec: spec.kind != "poisson"), st.integers(1, 500))
def test_the_planned_time_ends_after_the_last_task(spec: ArrivalSpec, count: int) -> None:
    planned, found = planned_seconds(spec, count), offsets_ns(spec, count)
    assert planned is not None
    assert found is not None
    assert found[-1] / 1e9 <= planned


@given(rates, st.integers(1, 500))
def test_the_planned_time_of_constant_is_when_the_next_task_would_be_due(
    rate: float, count: int
) -> None:
    planned = planned_seconds(ArrivalSpec("constant", {"rate": rate}), count)
    assert offsets("constant", count + 1, rate=rate)[-1] / 1e9 == pytest.approx(planned, abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        ("sometimes", {}, "unknown arrivals 'sometimes'; known: asap, constant"),
        ("constant", {}, "'constant' needs rate; found none"),
        ("asap", {"rate": 1}, "'asap' needs no number; found rate"),
        ("constant", {"rate": 0}, "rate must be above 0"),
        ("poisson", {"rate": float("nan")}, "rate must be above 0"),
        ("poisson", {"rate": float("inf")}, "rate must be above 0"),
        ("burst", {"burst_size": 1.5, "burst_interval_seconds": 1}, "whole number"),
    ],
)
def test_a_bad_spec_is_refused(kind: str, numbers: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ArrivalSpec(kind, numbers)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        offsets_ns(ArrivalSpec("constant", {"rate": 1}), -1)

"""Which task comes when, with which arguments: all of it follows from the seed."""

import numpy as np
import pytest

from loadgen.calls import Call, calls, order, payload
from loadgen.plan import Part


def test_shares_are_exact_and_the_order_is_seeded() -> None:
    found = order([60, 30, 10], 1000, 3)
    assert np.bincount(found).tolist() == [600, 300, 100]
    assert (order([60, 30, 10], 1000, 3) == found).all()
    assert (order([60, 30, 10], 1000, 4) != found).any()
    assert len(set(found[:30].tolist())) > 1  # shuffled, not one after the other


@pytest.mark.parametrize(
    ("weights", "count", "shares"),
    [([1, 1, 1], 10, [4, 3, 3]), ([1, 999], 10, [0, 10]), ([0.5, 0.5], 1, [1, 0])],
)
def test_what_is_left_goes_to_the_largest_remainders(
    weights: list[float], count: int, shares: list[int]
) -> None:
    assert np.bincount(order(weights, count, 1), minlength=len(weights)).tolist() == shares


def test_arguments_that_do_not_vary_are_not_made_anew() -> None:
    first, second = calls([Part(1, {"a": 1})], 2, 0)
    assert first is second
    assert first == Call(0, {"a": 1})


def test_numbers_and_payloads_are_put_in() -> None:
    part = Part(1, {"number": "$number", "text": "$payload", "kept": "$other"})
    found = list(calls([part], 3, 7, payload_bytes=5))
    assert [call.arguments["number"] for call in found] == [0, 1, 2]
    assert [call.arguments["text"] for call in found] == [payload(7, n, 5) for n in range(3)]
    assert {call.arguments["kept"] for call in found} == {"$other"}


def test_a_payload_has_its_size_and_is_its_own() -> None:
    assert len(payload(1, 1, 999)) == 999
    assert payload(1, 1, 0) == ""
    assert len({payload(1, number, 32) for number in range(100)}) == 100


def test_of_several_parts_each_call_names_its_task() -> None:
    parts = [Part(1, {}), Part(3, {"number": "$number"})]
    found = list(calls(parts, 8, 0))
    assert sorted(call.task for call in found) == [0, 0, 1, 1, 1, 1, 1, 1]
    assert all(call.arguments.get("number", place) == place for place, call in enumerate(found))

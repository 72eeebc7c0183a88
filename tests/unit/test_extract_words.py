"""Numbers are written so that nobody reads another one than there is."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract import words


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (5354.4, "tasks/s", "5,354 tasks/s"), (0.012, "s", "12 ms"), (3.14159, "s", "3.14 s"),
        (0.0000514, "s", "51.4 µs"), (0, "s", "0 s"), (0.0, "bytes", "0 bytes"),
        (92_000_000, "bytes", "92 MB"), (2.5e9, "bytes", "2.5 GB"), (0.908, "cores", "0.908 cores"),
        (4.0, "commands", "4 commands"), (-0.25, "s", "-250 ms"),
        (1.25e-9, "cores", "0.00000000125 cores"), (999.7, "tasks", "1,000 tasks"),
        (999_999_999_999.9999, "bytes", "1,000 GB"),
    ],
)  # fmt: skip
def test_a_quantity_has_a_fitting_unit(value: float, unit: str, text: str) -> None:
    assert words.quantity(value, unit) == text


@given(st.floats(1e-6, 1e12), st.sampled_from(["s", "bytes", "tasks"]))
def test_a_quantity_is_the_value_to_three_digits(value: float, unit: str) -> None:
    number, name = words.quantity(value, unit).split(" ")
    factor = {"µs": 1e-6, "ms": 1e-3, "kB": 1e3, "MB": 1e6, "GB": 1e9}.get(name, 1.0)
    assert math.isclose(float(number.replace(",", "")) * factor, value, rel_tol=0.006)
    assert "e" not in number


@pytest.mark.parametrize(
    ("value", "low", "high", "text", "interval"),
    [
        (4.1, 3.9, 4.3, "4.1× as high", "3.9× to 4.3×"),
        (0.2, 0.18, 0.24, "5.0× lower", "4.2× to 5.6× lower"),
        (5.0, 3.0, 9.0, "5.0× as high", "3.0× to 9.0×"),
        (1.12, 1.08, 1.16, "12 % higher", "8 % higher to 16 % higher"),
        (1.01, 0.97, 1.05, "1 % higher", "3 % lower to 5 % higher"),
        (0.9, 0.88, 0.92, "10 % lower", "12 % lower to 8 % lower"),
        (0.3, None, 0.4, "3.3× lower", "2.5× or more lower"),
        (3.0, 2.8, None, "3.00× as high", "2.80× or more"),
        (0.4, 0.1, 1.6, "2.5× lower", "10× lower to 60 % higher"),
    ],
)
def test_a_ratio_and_its_interval_are_said_in_the_same_words(
    value: float, low: float | None, high: float | None, text: str, interval: str
) -> None:
    ends = tuple(end for end in (low, high) if end is not None)
    assert words.ratio(value, ends) == text
    assert words.interval(value, low, high) == interval


@given(st.floats(0.001, 1000), st.floats(1.001, 3), st.floats(1.001, 3))
def test_no_interval_is_written_as_a_point(value: float, below: float, above: float) -> None:
    text = words.interval(value, value / below, value * above)
    first, second = re.findall(r"([\d.,]+(?:e-\d+)?)(?: %|×)", text)
    said = set(text.split())
    assert first != second or ("lower" in said and said & {"higher", "as"})

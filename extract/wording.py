"""A comparison in a sentence that is composed from what was found; no finding is fixed text."""

import math
from collections.abc import Sequence

from extract.statistics import Figure
from extract.verdict import Comparison, Outcome

_MOST_DECIMALS = 6
_TINY, _TEN, _HUGE = 1e-3, 9.95, 1e6


def sentence(comparison: Comparison) -> str:
    """Say what is shown, how sure that is, and of which kinds the doubts are."""
    kinds = dict.fromkeys(doubt.kind for doubt in comparison.doubts)
    tail = f" Doubts: {', '.join(kinds)}." if kinds else ""
    return _verdict(comparison) + tail


def _verdict(comparison: Comparison) -> str:
    a, b, metric = _names(comparison)
    if comparison.reason:
        return f"No verdict on the {metric} of {a} and {b}: {comparison.reason}."
    match comparison.outcome:
        case Outcome.BETTER | Outcome.WORSE:
            return f"{_measured(comparison, f'the {metric}')}. That is {comparison.outcome}."
        case Outcome.HIGHER | Outcome.LOWER:
            return f"{_measured(comparison, f'the {metric}')}."
        case Outcome.EQUIVALENT:
            within = f"equivalent in {metric}, within {percent(comparison.margin)}"
            return f"{a} and {b} are {within}: {_measured(comparison)}."
        case Outcome.INCONCLUSIVE:
            return (
                f"It is inconclusive how the {metric} of {a} and {b} compare: "
                f"{_measured(comparison)}, {_why_open(comparison)}. {_what_would(comparison)}"
            )


def _names(comparison: Comparison) -> tuple[str, str, str]:
    metric = comparison.metric.replace("_", " ")
    return comparison.challenger.variant, comparison.baseline.variant, metric


def _measured(comparison: Comparison, what: str = "that") -> str:
    a, b, metric = _names(comparison)
    if comparison.difference.lower == comparison.difference.upper == 0:
        return f"both have the same value throughout ({comparison.size})"
    if comparison.deciding == "ratio":
        bound = f"{comparison.bound} " if comparison.bound else ""
        value, sure = _written(comparison.ratio, comparison.size, 1.0)
        return f"{a} has {bound}{value} times {what} of {b} ({sure})"
    value, sure = _written(comparison.difference, comparison.size, 0.0)
    return f"{a} differs from {b} in {metric} by {value} {comparison.unit} ({sure})"


def _written(figure: Figure, size: str, nothing: float) -> tuple[str, str]:
    """Write a figure, and how sure it is, with as many digits as the interval is worth."""
    if figure.value is None:
        return "an unknown number of", figure.reason
    low, high = figure.lower, figure.upper
    ends = [end for end in (low, high) if end is not None]
    sign = "+" if nothing == 0 else ""
    if set(ends) <= {figure.value}:
        return f"{figure.value:{sign}.4g}", f"the same throughout, {size}"
    form = sign + form_of(figure.value, ends, nothing)
    write = [f"{end:{form}}" for end in ends]
    if low is None:
        text = f"up to {write[0]}"
    elif high is None:
        text = f"from {write[0]}"
    else:
        text = " to ".join(write)
    return f"{figure.value:{form}}", f"95 % interval {text}, {size}"


def form_of(value: float, ends: Sequence[float], landmark: float) -> str:
    """Return a format that shows a quarter of the interval, and rounds no end to the landmark."""
    numbers = [value, *ends]
    width = max(numbers) - min(numbers)
    if width == 0 or not _TINY < max(map(abs, numbers)) < _HUGE:
        return ".3g"
    decimals = min(_MOST_DECIMALS, max(0, math.ceil(-math.log10(width / 4))))
    while decimals < _MOST_DECIMALS and any(
        round(end, decimals) == landmark != end for end in ends
    ):
        decimals += 1
    return f",.{decimals}f"


def _why_open(comparison: Comparison) -> str:
    claim = comparison.evidence.difference
    if claim.p is None:
        return "and a bound on that side shows nothing"
    figure = comparison.ratio if comparison.deciding == "ratio" else comparison.difference
    nothing = 1.0 if comparison.deciding == "ratio" else 0.0
    if figure.lower is None or figure.upper is None or figure.lower <= nothing <= figure.upper:
        return "which may be no difference at all"
    among = f"one of {claim.family} comparisons" if claim.family > 1 else "a verdict"
    return f"but p = {claim.p:.2g} where {among} needs {claim.level:.2g}"


def _what_would(comparison: Comparison) -> str:
    least, more = comparison.smallest_effect, comparison.more_repetitions
    if least.value is None:
        shown = ""
    else:
        unit = f"{least.value:.3g} {comparison.unit}"
        effect = percent(least.value) if comparison.deciding == "ratio" else unit
        shown = f"{comparison.size} would have shown a difference of {effect}; "
    if more.value is None:
        return f"{shown}{more.reason}.".capitalize()
    noun = "repetition" if more.value == 1 else "repetitions"
    if comparison.size.endswith("repetitions"):
        noun += " of each run"
    return f"{shown}about {more.value:,.0f} more {noun} would settle it."


def percent(share: float) -> str:
    """Write a share as a percentage: two digits below ten, whole numbers above."""
    hundredfold = 100 * share
    return f"{hundredfold:.2g} %" if abs(hundredfold) < _TEN else f"{hundredfold:,.0f} %"

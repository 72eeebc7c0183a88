"""Conditions on a comparison, such as `throughput < -5%`, and whether they are met for sure.

    condition = metric, "<" or ">", a signed percentage

The percentage is the relative change of the challenger against the baseline: `throughput < -5%` is
met where the challenger's throughput is lower by more than 5 %. It is *fired* only where the
verdict supports it: the whole 95 % interval lies beyond the bound, and, unless no change at all
would meet the condition, a difference is proven. It is *held* where the whole interval lies on the
other side, and otherwise *undecided*.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

import queries
from extract.questions import QuestionError, require
from extract.verdict import Comparison, Outcome
from extract.wording import form_of

_FORM = re.compile(r"\s*(?P<metric>\w+)\s*(?P<operator>[^\w\s+\-.%]*)\s*(?P<bound>.*?)\s*")
_NUMBER = re.compile(r"[+-]?\s*(\d+\.?\d*|\.\d+)")
_EXAMPLE = 'Write a metric, "<" or ">", and a signed percentage: throughput < -5%.'


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on a relative change; -0.05 stands for -5 %."""

    metric: str
    operator: Literal["<", ">"]
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {100 * self.bound:+.10g}%"


class State(StrEnum):
    """Whether a condition is met, not met, or not to be told from these blocks."""

    FIRED = "fired"
    HELD = "held"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A condition judged on one comparison; None where there is no such comparison."""

    condition: Condition
    state: State
    sentence: str
    comparison: Comparison | None

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data that JSON holds."""
        return asdict(self)


def parse_condition(text: str, known: Iterable[str] = ()) -> Condition:
    """Parse a condition on a metric of the catalogue or of `known`.

    QuestionError names what is wrong with it, the nearest metric, and what to write.
    """
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise QuestionError(f"condition {text!r} does not begin with a metric", _EXAMPLE)
    require("metric", parts["metric"], {*queries.catalogue(), *known})
    match parts["operator"]:
        case "<" | ">" as operator:
            return Condition(parts["metric"], operator, _bound(text, parts["bound"]))
        case "":
            raise QuestionError(f"condition {text!r} compares with nothing", _EXAMPLE)
        case unknown:
            raise QuestionError(f"condition {text!r}: {unknown!r} is no comparison", _EXAMPLE)


def _bound(text: str, bound: str) -> float:
    number = bound.removesuffix("%").rstrip()
    if not _NUMBER.fullmatch(number):
        raise QuestionError(f"condition {text!r}: {bound!r} is no percentage", _EXAMPLE)
    if number == bound:
        raise QuestionError(
            f"condition {text!r}: {bound} lacks its %",
            "A bound is a change against the baseline, in percent: throughput < -5%.",
        )
    value = float(number.replace(" ", "")) / 100
    if value <= -1:
        raise QuestionError(
            f"condition {text!r}: nothing falls by 100 % or more", "Choose a bound above -100%."
        )
    return value


def parse_margin(text: str) -> float:
    """Parse a margin such as 5%; QuestionError names what is wrong with it."""
    number = text.strip().removesuffix("%").rstrip()
    if number == text.strip() or not _NUMBER.fullmatch(number) or float(number) <= 0:
        raise QuestionError(f"a margin of {text!r} is none", "Write a percentage above 0: 5%.")
    return float(number) / 100


def judge(
    conditions: Iterable[Condition], comparisons: Iterable[Comparison]
) -> Iterator[Judgement]:
    """Yield each condition's judgement on each comparison of its metric, or that there is none."""
    known = list(comparisons)
    for condition in conditions:
        matching = [c for c in known if c.metric == condition.metric]
        for comparison in matching:
            yield judge_one(condition, comparison)
        if not matching:
            words = f"{condition}: undecided, since no comparison is of {condition.metric}."
            yield Judgement(condition, State.UNDECIDED, words, None)


def judge_one(condition: Condition, comparison: Comparison) -> Judgement:
    """Judge a condition on a comparison of its metric."""
    change = _change(comparison)
    state = _state(condition, comparison, change) if change else State.UNDECIDED
    reason = comparison.reason or comparison.ratio.reason
    words = (
        f"{comparison.scenario}: {condition} {_STATES[state]}: {comparison.challenger.variant} "
        f"against {comparison.baseline.variant}, {_changed(change, condition, reason)}."
    )
    return Judgement(condition, state, words, comparison)


_STATES = {State.FIRED: "has fired", State.HELD: "has held", State.UNDECIDED: "is undecided"}


def _change(comparison: Comparison) -> tuple[float, float] | None:
    """Return the interval of the relative change; None where there is none."""
    if comparison.deciding == "ratio":
        lower, upper = comparison.ratio.lower, comparison.ratio.upper
        return (-1 if lower is None else lower - 1, math.inf if upper is None else upper - 1)
    if not comparison.deciding:
        return None
    if comparison.outcome is Outcome.EQUIVALENT:
        return 0.0, 0.0
    if set(comparison.baseline.values) == {0.0} and comparison.evidence.difference.proven:
        return math.inf, math.inf
    return None


def _state(condition: Condition, comparison: Comparison, change: tuple[float, float]) -> State:
    """Read a condition with ">" as one with "<" in a mirror."""
    mirror = 1 if condition.operator == "<" else -1
    near, far = sorted(mirror * end for end in change)
    bound = mirror * condition.bound
    if near >= bound:
        return State.HELD
    proven = comparison.evidence.difference.proven or bound > 0
    return State.FIRED if far < bound and proven else State.UNDECIDED


def _changed(change: tuple[float, float] | None, condition: Condition, reason: str) -> str:
    if change is None:
        return reason
    low, high = (100 * end for end in change)
    if low == high:
        return "from nothing to something" if math.isinf(low) else f"a change of {low:+.4g} %"
    ends = [end for end in (low, high) if math.isfinite(end)]
    form = f"+{form_of(ends[0], ends, 100 * condition.bound)}"
    text = f"{low:{form}} % to {high:{form}} %" if len(ends) > 1 else f"{low:{form}} % or more"
    return f"a change of {text} (95 % interval)"

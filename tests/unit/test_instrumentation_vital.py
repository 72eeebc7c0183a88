"""Failures and the slowest tasks are found among thousands."""

from instrumentation import vital
from instrumentation.records import DONE, FAILURE, SENT, SUCCESS
from instrumentation.vital import Spanned

ERROR = ("ValueError", "no", "stack")


def done(number: int, milliseconds: int, outcome: str = SUCCESS) -> Spanned:
    instants = (0, 1_000, 0, 2_000, 3_000, 1_000 + milliseconds * 1_000_000, 0)
    return (DONE, "t", "q", outcome, str(number), 1, "", "", "", "00", 1, None, *instants)


def sent(number: int, *, ok: bool = True) -> Spanned:
    return (SENT, "t", "q", str(number), "", "", 0, 1, 2, None if ok else ERROR)


def test_failures_and_the_slowest_are_vital_and_nothing_is_lost() -> None:
    quick = [done(n, 1 + n % 7) for n in range(3000)]
    slow = [done(10_000 + n, 1000 + n) for n in range(20)]
    failed = [done(20_000, 1, FAILURE), sent(20_001, ok=False)]
    records = [*quick[:1000], *failed, *quick[1000:], sent(1), *slow]
    kept, others = vital.split(records)
    assert sorted(kept) == sorted([*failed, *slow])
    assert sorted(kept + others) == sorted(records)


def test_few_records_are_all_vital() -> None:
    assert vital.split([]) == ([], [])
    assert vital.split([done(1, 1)]) == ([done(1, 1)], [])

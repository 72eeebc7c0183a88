"""Failures and the slowest tasks are found among thousands."""

from instrumentation import vital
from instrumentation.attempt import Attempt
from instrumentation.carrier import pack
from instrumentation.done_rows import DoneRows, read_attempts
from instrumentation.records import FAILURE, SENT, SUCCESS, Record

NOW = 1_800_000_000_000_000_000
PARENT = f"00-{'a' * 32}-{'b' * 16}-00"
ERROR = ("ValueError", "no", "stack")


def done(milliseconds: int, outcome: str = SUCCESS) -> Attempt:
    attempt = Attempt()
    attempt.carrier, attempt.outcome = pack("", 0, 1_000), outcome
    attempt.completed = 1_000 + milliseconds * 1_000_000
    return attempt


def sent(number: int, *, ok: bool = True) -> Record:
    return (SENT, "t", "q", str(number), "", "", 0, 1, 2, None if ok else ERROR)


def test_failures_and_the_slowest_are_vital_and_nothing_is_lost() -> None:
    quick = [done(1 + n % 7) for n in range(3000)]
    slow = [done(1000 + n) for n in range(20)]
    failed = [done(1, FAILURE), sent(1, ok=False)]
    records = [*quick[:1000], *failed, *quick[1000:], sent(2), *slow]
    kept, others = vital.split(records)
    assert kept == [*failed, *slow]
    assert others == [*quick, sent(2)]


def test_who_says_no_more_is_measured_from_when_it_was_received() -> None:
    late = done(5_000)
    late.carrier, late.received = "", late.completed - 1
    kept, _ = vital.split([late, *(done(10) for _ in range(20))])
    assert late not in kept


def test_few_records_are_all_vital() -> None:
    one = done(1)
    assert vital.split([]) == ([], [])
    assert vital.split([one]) == ([one], [])


def in_rows(some: list[Attempt]) -> DoneRows:
    for number, one in enumerate(some):
        sent = NOW + number
        one.task, one.queue, one.task_id = "t", "q", f"{number:036}"
        one.completed += sent
        one.carrier, one.started = pack(PARENT, 0, sent), sent
    rows, unlike = read_attempts(some)
    assert not unlike
    return rows


def test_the_slowest_are_found_in_rows_and_beside_them() -> None:
    quick, slow = [done(1 + n % 7) for n in range(3000)], [done(1000 + n) for n in range(15)]
    rows = in_rows([*quick[:1000], *slow, *quick[1000:]])
    beside = [done(2000 + n) for n in range(5)]
    failed = done(1, FAILURE)
    kept, (*others, rest) = vital.split([rows, *beside, failed, done(1)])
    ids = {one.task_id for one in kept if isinstance(one, Attempt)} - {""}
    assert ids == {one.task_id for one in slow}
    assert [one for one in kept if one in [*beside, failed]] == [*beside, failed]
    assert len(kept) == 21
    assert len(others) == 1
    assert isinstance(rest, DoneRows)
    assert len(rest) == 3000

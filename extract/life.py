"""One attempt's life as consecutive stages, each with its begin, its end and its share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

#: In the order of a life. `earlier_attempts`: from when the task was first wanted to this attempt's
#: message. `wait`: sent to started, where nobody noted when it was received.
type Stage = Literal["schedule_lag", "earlier_attempts", "delay", "broker_wait", "wait",
                     "prefetch_wait", "execution", "ack"]  # fmt: skip
MISSING = -1


@dataclass(frozen=True, slots=True)
class Segment:
    """A stage and when it was, in Unix nanoseconds."""

    stage: Stage
    start_ns: int
    end_ns: int

    @property
    def ns(self) -> int:
        """Its length."""
        return self.end_ns - self.start_ns

    @property
    def span(self) -> tuple[int, int]:
        """Its begin and end."""
        return self.start_ns, self.end_ns


@dataclass(frozen=True, slots=True)
class Life:
    """The stages that took any time, one after the other."""

    segments: tuple[Segment, ...]
    #: Stages that ended before they began, by the clocks of those who noted it.
    backwards: tuple[Stage, ...]

    @property
    def ns(self) -> int:
        """From the first instant that is known to the last."""
        return self.segments[-1].end_ns - self.segments[0].start_ns if self.segments else 0

    def of(self, stage: Stage) -> Segment:
        """Return a stage; one of no length if it took no time or is unknown."""
        return next((s for s in self.segments if s.stage == stage), Segment(stage, 0, 0))

    def longest(self) -> Segment:
        """Return the stage that took most."""
        return max(self.segments, key=lambda s: s.ns, default=Segment("execution", 0, 0))

    def share(self, ns: int) -> float:
        """Return what share of the whole so many nanoseconds are."""
        return ns / self.ns if self.ns else 0.0


def live(instants: Mapping[str, int], *, first_attempt: bool) -> Life:
    """Cut an attempt's life into stages, from its instants; -1 where there is none.

    What is received before it is due waits on purpose until then: its prefetch wait begins there.
    """
    segments: list[Segment] = []
    backwards: list[Stage] = []
    cursor = MISSING
    for stage, until in _ends(instants, first_attempt=first_attempt):
        if MISSING not in {cursor, until}:
            if until > cursor:
                segments.append(Segment(stage, cursor, until))
            elif until < cursor and not _held(stage, instants):
                backwards.append(stage)
        cursor = max(cursor, until)
    return Life(tuple(segments), tuple(backwards))


def _held(stage: Stage, instants: Mapping[str, int]) -> bool:
    """Tell whether a worker had it before it was due: its broker wait lies within its delay."""
    return stage == "broker_wait" and instants["received"] < instants["due"]


def _ends(instants: Mapping[str, int], *, first_attempt: bool) -> Iterator[tuple[Stage, int]]:
    before: Stage = "schedule_lag" if first_attempt else "earlier_attempts"
    sent, received = instants["sent"], instants["received"]
    if instants["scheduled"] < sent:  # else it was wanted only after the pause that it was to make
        yield before, instants["scheduled"]
    yield before, sent
    yield "delay", instants["due"]
    yield "broker_wait", received
    yield "wait" if received == MISSING else "prefetch_wait", instants["started"]
    yield "execution", instants["completed"]
    yield "ack", instants["acked"]

"""Turns records into Prometheus series and spans, at each scrape, or now and then without any."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from time import monotonic_ns
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from instrumentation.backlog import Backlog, SpanSink
from instrumentation.histogram import Histogram, label_text
from instrumentation.recorder import Recorder
from instrumentation.records import (
    ACK_PENDING,
    ACKED,
    DONE,
    DROPPED,
    RETRY,
    SENT,
    STARTED,
    Record,
)

_TASK = ("task", "queue")
_OUTCOME = ("task", "queue", "outcome")
_IDLE_GAP_NS = 1_000_000_000
_ACK_FIELD = 13
_MOST_UNACKNOWLEDGED = 100_000

type Labels = tuple[str, ...]


class Collector:
    """Series and spans of one worker or producer.

    `write_spans` gets the finished records of each drain and returns how many spans it had to drop.
    """

    def __init__(
        self, recorder: Recorder, write_spans: SpanSink, clock: Callable[[], int] = monotonic_ns
    ) -> None:
        self._recorder = recorder
        self._backlog = Backlog(write_spans)
        self._clock = clock
        self._lock = threading.Lock()
        self._unacknowledged: dict[tuple[str, int], Record] = {}
        self._ended: Counter[Labels] = Counter()
        self._last_drain = clock()
        self._counters: dict[str, Counter[Labels]] = {name: Counter() for name in _COUNTERS}
        self._gauges: dict[str, dict[Labels, int]] = {name: {} for name in _GAUGES}
        self._histograms = {
            name: Histogram(f"taskqueue_{name}_seconds", text, labels)
            for name, (text, labels) in _HISTOGRAMS.items()
        }

    def exposition(self) -> str:
        """Drain, then write all series in the Prometheus text format."""
        self.drain()
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def drain_if_neglected(self, after_ns: int) -> None:
        """Drain when no scrape did for `after_ns`, so that memory stays flat without Prometheus."""
        if self._clock() - self._last_drain >= after_ns:
            self.drain()

    def drain(self, *, final: bool = False) -> None:
        """Account for all records so far; `final` also gives up waiting for acknowledgements."""
        with self._lock:
            self._last_drain = self._clock()
            records = self._recorder.drain()
            by_kind: dict[int, list[Record]] = {kind: [] for kind in range(DROPPED + 1)}
            for record in records:
                by_kind[cast("int", record[0])].append(record)
            self._account_started(by_kind[STARTED])
            self._account_sent(by_kind[SENT])
            self._account_done(by_kind[DONE])
            finished = self._match_acknowledgements(by_kind[DONE], by_kind[ACKED], final=final)
            lost = sum(cast("int", record[1]) for record in by_kind[DROPPED])
            self._counters["records_dropped"][()] += lost
            dropped = self._backlog.add(by_kind[SENT] + finished, final=final)
            self._counters["spans_dropped"][()] += dropped

    def _account_started(self, records: list[Record]) -> None:
        """Count starts, and note the first after a second without any task.

        The gauge stays put while tasks keep coming, whoever scrapes and however often, so that a
        long-lived worker shows the first start of its present work and not of its life.
        """
        for labels, columns in _grouped(records, (1, 2)):
            first = min(columns[3])
            running = self._counters["tasks_started"][labels] - self._ended[labels]
            idle_since = self._gauges["last_completion_timestamp"].get(labels, 0)
            if running <= 0 and first - idle_since > _IDLE_GAP_NS:
                self._gauges["first_start_timestamp"][labels] = first
            self._counters["tasks_started"][labels] += len(columns[3])

    def _account_sent(self, records: list[Record]) -> None:
        for labels, columns in _grouped(records, (1, 2)):
            scheduled, sent, accepted = (_instants(columns[i]) for i in (6, 7, 8))
            ok = np.array([error is None for error in columns[9]], dtype=bool)
            self._counters["tasks_sent"][labels] += int(ok.sum())
            self._counters["publish_failures"][labels] += int((~ok).sum())
            self._observe("schedule_lag", labels, scheduled, sent)
            self._observe("publish_duration", labels, sent[ok], accepted[ok])
            self._earliest("first_sent_timestamp", labels, sent)
            self._latest("last_accepted_timestamp", labels, accepted[ok])

    def _account_done(self, records: list[Record]) -> None:
        for labels, columns in _grouped(records, (1, 2, 7)):
            scheduled, sent, received, started, completed, acked = (
                _instants(columns[i]) for i in range(8, 14)
            )
            wanted = np.where(scheduled > 0, scheduled, sent)
            self._observe("broker_wait", labels[:2], sent, received)
            self._observe("prefetch_wait", labels[:2], received, started)
            self._observe("execution", labels, started, completed)
            self._observe("ack", labels[:2], completed, acked)
            if labels[2] != RETRY:
                self._observe("end_to_end", labels, wanted, completed)
            self._ended[labels[:2]] += len(completed)
            self._latest("last_completion_timestamp", labels[:2], completed)

    def _match_acknowledgements(
        self, done: list[Record], acked: list[Record], *, final: bool
    ) -> list[Record]:
        """Return the attempts that are complete: those acknowledged early, or by now."""
        finished = []
        for record in done:
            if record[_ACK_FIELD] != ACK_PENDING:
                finished.append(record)
                continue
            key = cast("str", record[3]), cast("int", record[6])
            if key in self._unacknowledged:  # delivered again, so never acknowledged
                finished.append(_without_ack(self._unacknowledged[key]))
            self._unacknowledged[key] = record
        matched = []
        for _, task_id, attempt, instant in cast("list[tuple[int, str, int, int]]", acked):
            record = self._unacknowledged.pop((task_id, attempt), ())
            if record:
                matched.append((*record[:_ACK_FIELD], instant, *record[_ACK_FIELD + 1 :]))
        for labels, columns in _grouped(matched, (1, 2)):
            self._observe("ack", labels, _instants(columns[12]), _instants(columns[_ACK_FIELD]))
        finished += matched
        if final or len(self._unacknowledged) > _MOST_UNACKNOWLEDGED:
            finished += map(_without_ack, self._unacknowledged.values())
            self._unacknowledged.clear()
        return finished

    def _observe(
        self, stage: str, labels: Labels, begin: NDArray[np.int64], end: NDArray[np.int64]
    ) -> None:
        """Add the intervals whose two instants are both known."""
        known = (begin > 0) & (end > 0)
        if known.any():
            negative = self._histograms[stage].observe(labels, (end - begin)[known])
            self._counters["clock_anomalies"][(stage,)] += negative

    def _earliest(self, gauge: str, labels: Labels, instants: NDArray[np.int64]) -> None:
        """Like the first start, for the producer: the first of the present burst of sending."""
        previous = self._gauges["last_accepted_timestamp"].get(labels, 0)
        if instants.size and int(instants.min()) - previous > _IDLE_GAP_NS:
            self._gauges[gauge][labels] = int(instants.min())

    def _latest(self, gauge: str, labels: Labels, instants: NDArray[np.int64]) -> None:
        if instants.size:
            known = self._gauges[gauge].get(labels, 0)
            self._gauges[gauge][labels] = max(known, int(instants.max()))

    def _lines(self) -> Iterator[str]:
        for name, (text, names) in _COUNTERS.items():
            family = f"taskqueue_{name}_total"
            yield from (f"# HELP {family} {text}", f"# TYPE {family} counter")
            yield from _samples(family, names, self._counters[name].items(), str)
        for name, text in _GAUGES.items():
            family = f"taskqueue_{name}_seconds"
            yield from (f"# HELP {family} {text}", f"# TYPE {family} gauge")
            yield from _samples(family, _TASK, self._gauges[name].items(), _seconds)
        for histogram in self._histograms.values():
            yield from histogram.lines()


_COUNTERS: dict[str, tuple[str, Labels]] = {
    "tasks_sent": ("Tasks that the broker accepted.", _TASK),
    "publish_failures": ("Tasks that could not be sent.", _TASK),
    "tasks_started": ("Attempts whose own code began.", _TASK),
    "clock_anomalies": ("Negative intervals: clocks that disagree or stepped.", ("stage",)),
    "records_dropped": ("Records lost between a pool child and its worker.", ()),
    "spans_dropped": ("Spans that could not be written or sent.", ()),
}
_GAUGES = {
    "first_start_timestamp": "When the first task started after the last second without work.",
    "last_completion_timestamp": "When the latest task completed.",
    "first_sent_timestamp": "When the first task was sent after the last second without sending.",
    "last_accepted_timestamp": "When the broker accepted the latest task.",
}
_HISTOGRAMS: dict[str, tuple[str, Labels]] = {
    "schedule_lag": ("From when the schedule wanted a task sent until it was sent.", _TASK),
    "publish_duration": ("From sent to accepted by the broker.", _TASK),
    "broker_wait": ("From sent to received by a worker process.", _TASK),
    "prefetch_wait": ("From received to started, in whatever thread or process runs it.", _TASK),
    "execution": ("From started to completed: the task's own code.", _OUTCOME),
    "end_to_end": ("From scheduled, else sent, to completed.", _OUTCOME),
    "ack": ("From completed to acknowledged, where the framework acknowledges late.", _TASK),
}


def _grouped(
    records: list[Record], key_fields: tuple[int, ...]
) -> Iterator[tuple[Labels, list[tuple[Any, ...]]]]:
    """Group records by some fields; yield each group's key and its columns."""
    groups: defaultdict[Labels, list[Record]] = defaultdict(list)
    key = itemgetter(*key_fields)
    for record in records:
        groups[key(record)].append(record)
    for labels, members in groups.items():
        yield labels, list(zip(*members, strict=True))


def _without_ack(record: Record) -> Record:
    return (*record[:_ACK_FIELD], 0, *record[_ACK_FIELD + 1 :])


def _instants(column: tuple[Any, ...]) -> NDArray[np.int64]:
    return np.array(column, dtype=np.int64)


def _seconds(instant_ns: int) -> str:
    """Write an instant in seconds without going through a float."""
    return f"{instant_ns // 1_000_000_000}.{instant_ns % 1_000_000_000:09d}"


def _samples(
    family: str,
    names: Labels,
    samples: Iterable[tuple[Labels, int]],
    write: Callable[[int], str],
) -> Iterator[str]:
    for values, number in samples:
        labels = label_text(names, values)
        yield f"{family}{{{labels}}} {write(number)}" if labels else f"{family} {write(number)}"

"""Turns records into Prometheus series and spans, at each scrape, or now and then without any."""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from instrumentation import done_rows, finished, sent_rows
from instrumentation.attempt import Attempt
from instrumentation.backlog import Backlog, SpanSink
from instrumentation.children import Children
from instrumentation.exemplars import Exemplars
from instrumentation.finished import Batch, Codes, Instants, Labels
from instrumentation.histogram import Histogram, label_text
from instrumentation.once import Once
from instrumentation.recorder import Drained, Recorder
from instrumentation.records import (
    ACK_PENDING,
    ACKED,
    DONE,
    DROPPED,
    LOST,
    SENT,
    STARTED,
    Record,
)
from instrumentation.sent_rows import SentRows

_log = logging.getLogger(__name__)
type Successes = NDArray[np.bool_]

_TASK = ("task", "queue")
_OUTCOME = ("task", "queue", "outcome")
_IDLE_GAP_NS = 1_000_000_000
_MOST_UNACKNOWLEDGED = 100_000
_NEVER = np.iinfo(np.int64).max


class Collector:
    """Series and spans of one worker or producer.

    `write_spans` gets the finished records of each drain and returns how many spans it had to drop.
    """

    def __init__(self, recorder: Recorder, write_spans: SpanSink) -> None:
        self._recorder = recorder
        self._backlog = Backlog(write_spans)
        self._children = Children()
        self._exemplars = Exemplars()
        self._lock = threading.Lock()
        self._complain = Once(_log.exception)
        self._complain_of_children = Once(_log.error)
        self._unacknowledged: dict[tuple[str, int], Attempt] = {}
        self._ended: Counter[Labels] = Counter()
        self._counters: dict[str, Counter[Labels]] = {name: Counter() for name in _COUNTERS}
        self._gauges: dict[str, dict[Labels, int]] = {name: {} for name in _GAUGES}
        self._histograms = {
            name: Histogram(f"taskqueue_{name}_seconds", text, labels)
            for name, (text, labels) in _HISTOGRAMS.items()
        }

    def exposition(self, *, openmetrics: bool = False) -> str:
        """Account for all records so far, then write all series in the Prometheus text format.

        Or as OpenMetrics without its end mark, where exemplars tell the slowest since the last.
        """
        with self._lock:
            self._account(final=False)
            return "\n".join(self._lines(openmetrics=openmetrics)) + "\n"

    def keep_up(self) -> None:
        """Account for all records so far, unless somebody is at it."""
        if self._lock.acquire(blocking=False):
            try:
                self._account(final=False)
            finally:
                self._lock.release()

    def drain(self, *, final: bool = False) -> None:
        """Account for all records so far, and write the spans whose time has come.

        `final` also gives up waiting for acknowledgements and for a calmer moment.
        """
        with self._lock:
            self._account(final=final)
        dropped = self._backlog.write(final=final)
        with self._lock:
            self._counters["spans_dropped"][()] += dropped

    def _account(self, *, final: bool) -> None:
        self._children.look()
        drained = self._recorder.drain()
        try:
            self._account_for(drained, final=final)
        except Exception:  # noqa: BLE001 - neither a scrape nor the next records suffer for it
            self._counters["records_dropped"][()] += drained.size()
            self._complain("task telemetry was lost; further losses are only counted")

    def _account_for(self, drained: Drained, *, final: bool) -> None:
        done, others = done_rows.read(drained.done_rows, self._recorder.done_kinds)
        sent, unlike = sent_rows.read(drained.sent_rows, self._recorder.sent_kinds)
        ended = drained.ended + others
        by_kind: tuple[list[Record], ...] = (unlike, [], [], [], [], [])
        for record in drained.records:
            by_kind[cast("int", record[0])].append(record)
        heard, lost = ([Attempt.heard(r) for r in by_kind[kind]] for kind in (DONE, LOST))
        ended += heard
        ended += self._children.settle(by_kind[STARTED], heard, lost, final=final)
        batches = [done.batch()] if done else []
        batches += [finished.read(ended)] if ended else []
        self._count_starts(by_kind[STARTED], batches)
        self._account_sent(by_kind[SENT], sent)
        for batch in batches:
            self._account_done(batch)
            self._exemplars.look(batch)
        complete = self._match_acknowledgements(ended, by_kind[ACKED], final=final)
        self._count_lost(sum(cast("int", record[1]) for record in by_kind[DROPPED]))
        self._backlog.add([*by_kind[SENT], *complete], done, sent)

    def _count_starts(self, records: list[Record], ended: Sequence[Batch]) -> None:
        """Count starts, and note the first after a second without any task.

        The gauge stays put while tasks keep coming, whoever scrapes and however often, so that a
        long-lived worker shows the first start of its present work and not of its life.
        """
        starts: defaultdict[Labels, list[tuple[int, int]]] = defaultdict(list)
        for task, columns in _columns(records, (1, 2)):
            starts[task].append((len(columns[3]), min(columns[3])))
        for batch in ended:
            at = batch.stages
            new = (at.started > 0) & ~at.counted
            codes, started = batch.codes[new], at.started[new]
            counts = np.bincount(codes, minlength=len(batch.labels)).tolist()
            firsts = np.full(len(batch.labels), _NEVER)
            np.minimum.at(firsts, codes, started)
            for task, count, first in zip(batch.tasks(), counts, firsts.tolist(), strict=True):
                if count:
                    starts[task].append((count, first))
        for task, parts in starts.items():
            running = self._counters["tasks_started"][task] - self._ended[task]
            idle_since = self._gauges["last_completion_timestamp"].get(task, 0)
            first = min(first for _, first in parts)
            if running <= 0 and first - idle_since > _IDLE_GAP_NS:
                self._gauges["first_start_timestamp"][task] = first
            self._counters["tasks_started"][task] += sum(count for count, _ in parts)

    def _count_lost(self, records: int) -> None:
        if records:
            self._complain_of_children(
                "records of pool children are being lost: killed as they wrote, or ulimit -f"
            )
        self._counters["records_dropped"][()] += records

    def _account_sent(self, records: list[Record], rows: SentRows) -> None:
        parts: defaultdict[Labels, list[tuple[Instants, Instants, Instants, Successes]]]
        parts = defaultdict(list)
        for labels, columns in _columns(records, (1, 2)):
            scheduled, sent, accepted = (_instants(columns[i]) for i in (6, 7, 8))
            ok = np.array([error is None for error in columns[9]], dtype=bool)
            parts[labels].append((scheduled, sent, accepted, ok))
        for labels, some in rows.by_labels():
            scheduled, sent, accepted = map(some.instants, ("scheduled", "sent", "accepted"))
            parts[labels].append((scheduled, sent, accepted, np.ones(len(sent), dtype=bool)))
        for labels, columns in parts.items():
            scheduled, sent, accepted, ok = map(np.concatenate, zip(*columns, strict=True))
            self._counters["tasks_sent"][labels] += int(ok.sum())
            self._counters["publish_failures"][labels] += int((~ok).sum())
            self._observe("schedule_lag", [labels], scheduled, sent)
            self._observe("publish_duration", [labels], sent[ok], accepted[ok])
            self._earliest("first_sent_timestamp", labels, sent)
            self._latest("last_accepted_timestamp", labels, accepted[ok])

    def _account_done(self, done: Batch) -> None:
        if done.unreadable and not self._counters["contexts_unreadable"][()]:
            _log.warning("messages came with a trace context that cannot be read; they are counted")
        self._counters["contexts_unreadable"][()] += done.unreadable
        at, labels, codes, tasks = done.stages, done.labels, done.codes, done.tasks()
        # A task that waits on purpose may be received before it is due (Celery holds it) or after
        # (AsyncTasQ's stays in Redis): its waits count from when it was due.
        early = at.received < at.due
        held, taken = _later(at.sent, at.due, ~early), _later(at.received, at.due, early)
        self._observe("delay", tasks, at.sent, at.due, codes)
        self._observe("broker_wait", tasks, held, at.received, codes)
        self._observe("prefetch_wait", tasks, taken, at.started, codes)
        self._observe("execution", labels, at.started, at.completed, codes)
        self._observe("ack", tasks, at.completed, at.acked, codes)
        self._observe("end_to_end", labels, done.wanted(), at.completed, codes)
        ended = np.bincount(codes[at.started > 0], minlength=len(tasks)).tolist()
        latest = np.zeros(len(tasks), dtype=np.int64)
        np.maximum.at(latest, codes, at.completed)
        completions = self._gauges["last_completion_timestamp"]
        for task, count, last in zip(tasks, ended, latest.tolist(), strict=True):
            self._ended[task] += count
            completions[task] = max(completions.get(task, 0), last)

    def _match_acknowledgements(
        self, ended: list[Attempt], acked: list[Record], *, final: bool
    ) -> list[Attempt]:
        """Return the attempts that are complete: those acknowledged early, or by now."""
        complete = [attempt for attempt in ended if attempt.acked != ACK_PENDING]
        if len(complete) < len(ended):
            for attempt in ended:
                if attempt.acked == ACK_PENDING:
                    key = attempt.task_id, attempt.number
                    if key in self._unacknowledged:  # delivered again, so never acknowledged
                        complete.append(_given_up(self._unacknowledged[key]))
                    self._unacknowledged[key] = attempt
        matched = []
        for _, task_id, number, instant in cast("list[tuple[int, str, int, int]]", acked):
            if (task_id, number) in self._unacknowledged:
                matched.append(self._unacknowledged.pop((task_id, number)))
                matched[-1].acked = instant
        done = finished.read(matched)
        at = done.stages
        self._observe("ack", done.tasks(), at.completed, at.acked, done.codes)
        complete += matched
        if final or len(self._unacknowledged) > _MOST_UNACKNOWLEDGED:
            complete += map(_given_up, self._unacknowledged.values())
            self._unacknowledged.clear()
        return complete

    def _observe(
        self,
        stage: str,
        labels: Sequence[Labels],
        begin: Instants,
        end: Instants,
        codes: Codes | None = None,
    ) -> None:
        """Add the intervals whose two instants are both known; without codes, of one label set."""
        known = (begin > 0) & (end > 0)
        if known.any():
            own = np.zeros(len(begin), dtype=np.int64) if codes is None else codes
            intervals = (end - begin)[known]
            negative = self._histograms[stage].observe(labels, intervals, own[known])
            self._counters["clock_anomalies"][(stage,)] += negative

    def _earliest(self, gauge: str, labels: Labels, instants: Instants) -> None:
        """Like the first start, for the producer: the first of the present burst of sending."""
        previous = self._gauges["last_accepted_timestamp"].get(labels, 0)
        if instants.size and int(instants.min()) - previous > _IDLE_GAP_NS:
            self._gauges[gauge][labels] = int(instants.min())

    def _latest(self, gauge: str, labels: Labels, instants: Instants) -> None:
        if instants.size:
            known = self._gauges[gauge].get(labels, 0)
            self._gauges[gauge][labels] = max(known, int(instants.max()))

    def _lines(self, *, openmetrics: bool) -> Iterator[str]:
        for name, (text, names) in _COUNTERS.items():
            sample = f"taskqueue_{name}_total"
            family = sample.removesuffix("_total") if openmetrics else sample
            yield from (f"# HELP {family} {text}", f"# TYPE {family} counter")
            yield from _samples(sample, names, self._counters[name].items(), str)
        for name, text in _GAUGES.items():
            family = f"taskqueue_{name}_seconds"
            yield from (f"# HELP {family} {text}", f"# TYPE {family} gauge")
            yield from _samples(family, _TASK, self._gauges[name].items(), _seconds)
        exemplars = self._exemplars.take() if openmetrics else {}
        for name, histogram in self._histograms.items():
            yield from histogram.lines(exemplars.get(name))


_COUNTERS: dict[str, tuple[str, Labels]] = {
    "tasks_sent": ("Tasks that the broker accepted.", _TASK),
    "publish_failures": ("Tasks that could not be sent.", _TASK),
    "tasks_started": ("Attempts whose own code began.", _TASK),
    "clock_anomalies": ("Negative intervals: clocks that disagree or stepped.", ("stage",)),
    "records_dropped": ("Records lost between a pool child and its worker.", ()),
    "contexts_unreadable": ("Messages whose context could not be read, or only in part.", ()),
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
    "delay": ("From sent to due: tasks that their sender wanted to wait.", _TASK),
    "broker_wait": ("From sent, or due, to received by a worker process.", _TASK),
    "prefetch_wait": ("From received, or due, to started, in its thread or process.", _TASK),
    "execution": ("From started to completed: the task's own code.", _OUTCOME),
    "end_to_end": ("From scheduled, else sent or due, to completed.", _OUTCOME),
    "ack": ("From completed to acknowledged, where the framework acknowledges late.", _TASK),
}


def _columns(
    records: list[Record], key_fields: tuple[int, int]
) -> Iterator[tuple[Labels, list[tuple[Any, ...]]]]:
    """Group records by two fields; yield each group's key and its columns."""
    keys = list(map(itemgetter(*key_fields), records))
    if len(set(keys)) == 1:  # as is usual, and quicker
        yield keys[0], list(zip(*records, strict=True))
        return
    groups: defaultdict[Labels, list[Record]] = defaultdict(list)
    for key, record in zip(keys, records, strict=True):
        groups[key].append(record)
    for labels, members in groups.items():
        yield labels, list(zip(*members, strict=True))


def _given_up(attempt: Attempt) -> Attempt:
    attempt.acked = 0
    return attempt


def _later(instants: Instants, due: Instants, where: NDArray[np.bool_]) -> Instants:
    """Return the later of two instants where the first is known at all, and `where` says so."""
    return np.where(where & (instants > 0), np.maximum(instants, due), instants)


def _instants(column: tuple[Any, ...]) -> Instants:
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

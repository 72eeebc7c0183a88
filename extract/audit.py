"""Every cell is audited: figures from Prometheus and from the traces must tell the same story.

A check that fails makes the cell invalid: it is kept, it says why, and it stays out of verdicts.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from extract.manifest import CellRecord
from instrumentation.buckets import bucket_around

#: The p99 of how late tasks may be sent.
LAG_BOUND_SECONDS = 0.005
_THROUGHPUT_TOLERANCE = 0.005
_JITTER_SCRAPES = 1
#: How busy the mock API may be, of the one core it has, and how much longer than asked its answers
#: may take: on average, and the slowest 1 %.
_MOCK_CORES, _MOCK_SLOWDOWN, _MOCK_SLOWEST = 0.9, 0.05, 0.2
_MEMORY_SHARE = 0.95
_STAGES = ("schedule_lag", "publish_duration", "delay", "broker_wait", "prefetch_wait",
           "execution", "ack", "end_to_end")  # fmt: skip

type Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one cell: whether it holds, what was found, and what to do if it does not."""

    check: str
    ok: bool
    found: str
    remedy: str = ""


def audit(
    cell: CellRecord, promql: Figures, traces: Figures, requires: Collection[str] = ()
) -> list[Finding]:
    """Return all findings of one cell, from its figures by either source.

    `requires` names what its scenario requires: of that, too, everything must be known.
    """
    findings = [Finding(p.check, ok=False, found=p.message, remedy=p.remedy) for p in cell.problems]
    if not cell.measured:
        return findings or [_unfinished()]
    findings += [
        _counts("prometheus", cell.planned, promql),
        _counts("traces", cell.planned, traces),
    ]
    findings += [_is_zero(promql, *zero) for zero in _ZEROS]
    findings += [_scrapes(promql), _generator_lag(promql), _throughput_agrees(promql, traces)]
    findings.append(_quantiles_agree(promql, traces))
    if "mock-api" in requires:
        findings.append(_mock_api(promql))
    findings += _broker_memory(promql)
    return findings


def _unfinished() -> Finding:
    return Finding("finished", ok=False, found="The run ended before this cell did.",
                   remedy="Run again.")  # fmt: skip


def _counts(source: str, planned: int, figures: Figures) -> Finding:
    """Sent = started = completed + failed + retried; and without retries, sent = planned.

    Discarded tasks (revoked, expired) are sent and never started.
    """
    sent, started, good, bad, retried, discarded = (
        figures.get(f"tasks_{name}", float("nan"))
        for name in ("sent", "started", "completed", "failed", "retried", "discarded")
    )
    found = (f"planned {planned}, sent {sent:.0f}, started {started:.0f}, completed {good:.0f}, "
             f"failed {bad:.0f}, retried {retried:.0f}, discarded {discarded:.0f}")  # fmt: skip
    ran = good + bad + retried
    return Finding(
        f"counts by {source}",
        ok=sent - retried == planned and sent == started + discarded and started == ran,
        found=found,
        remedy="Look for a process that died or was killed in logs/.",
    )


#: metric, check, remedy: all must be zero.
_ZEROS = (
    ("publish_failures", "every publish accepted", "See the generator's log."),
    ("queue_depth_end", "queue empty at the end", "The worker did not finish: see its log."),
    ("spans_dropped", "no span dropped", "Is the disk full? See the worker's log."),
    ("records_dropped", "no record dropped", "A pool child was killed while it wrote one."),
    ("clock_anomalies", "clocks agree", "Synchronise the clocks, or use one host."),
    ("swap_bytes", "no swapping", "Free memory, or use a larger machine."),
    ("evicted_keys", "no eviction by the broker", "Give Redis more memory and `noeviction`."),
    ("exporter_failures", "exporters could read", "See the exporters' log."),
)


def _is_zero(figures: Figures, metric: str, check: str, remedy: str) -> Finding:
    value = figures.get(metric)
    if value is None:
        return Finding(check, ok=False, found=f"{metric} is unknown: nothing reported it",
                       remedy=remedy)  # fmt: skip
    return Finding(check, ok=value == 0, found=f"{metric} {value:g}", remedy=remedy)


def _scrapes(figures: Figures) -> Finding:
    missed = figures.get("scrapes_missed", float("inf"))
    return Finding(
        "no scrape gap",
        ok=missed <= _JITTER_SCRAPES,
        found=f"{missed:g} scrapes missed",
        remedy="The worker or the machine stood still. Run again on an idle machine.",
    )


def _generator_lag(figures: Figures) -> Finding:
    lag = figures.get("schedule_lag_p99")
    if lag is None:
        return Finding("generator on schedule", ok=True, found="no schedule: as fast as it can")
    return Finding(
        "generator on schedule",
        ok=lag <= LAG_BOUND_SECONDS,
        found=f"lag p99 {lag * 1000:.3g} ms, bound {LAG_BOUND_SECONDS * 1000:g} ms",
        remedy="Ask for a lower rate, or give the generator a core of its own.",
    )


def _mock_api(figures: Figures) -> Finding:
    """Refuse what the mock API limited: it was busy all the time, or answered later than asked."""
    cores, slowdown, slowest = (
        figures.get(f"mock_api_{name}", float("nan"))
        for name in ("cpu_cores", "slowdown", "slowdown_p99")
    )
    return Finding(
        "mock API kept up",
        ok=cores <= _MOCK_CORES and slowdown <= _MOCK_SLOWDOWN and slowest <= _MOCK_SLOWEST,
        found=f"{cores:.2f} cores busy, bound {_MOCK_CORES:g}; answers {slowdown:.1%} later than "
        f"asked, bound {_MOCK_SLOWDOWN:.0%}; the slowest 1 % {slowest:.1%}, bound "
        f"{_MOCK_SLOWEST:.0%}",
        remedy="Ask for less concurrency, or give the mock API a core of its own: it was among "
        "what limited this cell. Where a figure is nan, see its log.",
    )


def _broker_memory(figures: Figures) -> Iterator[Finding]:
    """Say where the broker's limit was reached, as it then refuses tasks and acknowledgements."""
    peak, limit = (figures.get(f"broker_memory_{name}") for name in ("peak", "limit"))
    if peak is None or limit is None:
        return
    yield Finding(
        "broker within its memory",
        ok=not limit or peak <= _MEMORY_SHARE * limit,
        found=f"at most {peak / 1e6:,.0f} MB"
        + (f" of {limit / 1e6:,.0f} MB" if limit else ", without a limit"),
        remedy="Send fewer or smaller tasks, or no faster than they are completed.",
    )


def _throughput_agrees(promql: Figures, traces: Figures) -> Finding:
    a, b = promql.get("throughput", float("nan")), traces.get("throughput", float("nan"))
    difference = abs(a - b) / b if b else float("nan")
    return Finding(
        "throughput agrees",
        ok=difference <= _THROUGHPUT_TOLERANCE,
        found=f"Prometheus {a:.6g}, traces {b:.6g} tasks/s: {difference:.2%} apart",
        remedy="One of the two records is incomplete: see the counts.",
    )


def _quantiles_agree(promql: Figures, traces: Figures) -> Finding:
    apart = list(_disagreeing(promql, traces))
    return Finding(
        "quantiles agree",
        ok=not apart,
        found="; ".join(apart) or "p50, p95 and p99 of all stages lie within a bucket's width",
        remedy="One of the two records is incomplete: see the counts.",
    )


def _disagreeing(promql: Figures, traces: Figures) -> Iterator[str]:
    for metric in (f"{stage}_{q}" for stage in _STAGES for q in ("p50", "p95", "p99")):
        a, b = promql.get(metric), traces.get(metric)
        if (a is None) != (b is None):
            yield f"{metric} is known to one source only"
        elif a is not None and b is not None:
            lower, upper = bucket_around(max(a, b))
            if abs(a - b) > upper - lower:
                yield f"{metric}: Prometheus {a:.6g} s, traces {b:.6g} s"

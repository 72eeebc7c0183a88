"""What a trial came to, asked of Prometheus at its marks, to choose the next rate by."""

import queries
from extract import promql, timeline
from extract.audit import LAG_BOUND_SECONDS
from extract.capacity import Promise, Verdict, growth, judge
from extract.manifest import CellRecord
from taskscope import prometheus_api
from taskscope.plan import PlannedCell

_FIGURES = ("end_to_end_p99", "tasks_completed", "tasks_failed", "schedule_lag_p99")


def judge_live(url: str, session: str, planned: PlannedCell, record: CellRecord) -> Verdict:
    """Judge a trial as the dataset will; the audit has the last word on whether it counts."""
    if record.problems or not record.measured:
        return "says nothing"
    scenario = planned.scenario
    assert scenario.slo is not None  # noqa: S101 - the question was refused otherwise
    prometheus = prometheus_api.connect(url)
    with prometheus_api.explained(url):
        values = {
            name: promql.ask(prometheus, queries.catalogue()[name], record, session)
            for name in _FIGURES
        }
        depths = timeline.samples(
            prometheus, queries.timelines()["queue_depth_over_time"], record, session
        )
    found = {name: value for name, value in values.items() if value is not None}
    if found.get("schedule_lag_p99", 0.0) > LAG_BOUND_SECONDS:
        return "says nothing"
    rate = scenario.load.arrivals.numbers["rate"]
    grown = growth(depths, scenario.workload.count / rate)
    promise = Promise(scenario.slo.p99_seconds, scenario.slo.failed_share)
    verdict, _ = judge(found, grown, rate, promise)
    return verdict

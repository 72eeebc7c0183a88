"""The charts of a scenario: which there are, and the rows that each is drawn from."""

from collections.abc import Iterator, Sequence
from statistics import median

import queries
from extract import words
from extract.audit import LAG_BOUND_SECONDS
from extract.contrast import figure
from extract.paired import pair_up
from extract.report import by_class, distributions, spec
from extract.report.figures import mean_stages
from extract.report.spec import Chart, Row
from extract.report.view import PARTS, WORKER_PARTS, View

_FLOOR_SECONDS = 1e-6  # a log axis has no 0


def charts(view: View) -> Iterator[Chart]:
    """Yield all charts of a scenario, in the order of the page."""
    yield _throughput(view)
    yield _latency(view)
    yield _boxes(view)
    yield from by_class.chart(view)
    yield _parts(view)
    yield _worker_parts(view)
    yield _completions(view)
    for timeline in queries.timelines().values():
        yield _timeline(view, timeline)
    yield _lag(view)


def _throughput(view: View) -> Chart:
    rows: list[Row] = []
    for variant in view.variants:
        values = view.values("throughput", variant)
        rows += [
            {"kind": "repetition", "variant": variant, "value": value,
             "text": words.quantity(value, "tasks/s")}
            for value in values
        ]  # fmt: skip
        rows += _middle(variant, values)
    origin = "query throughput, by PromQL, of each valid repetition"
    return Chart(
        "throughput",
        "Throughput",
        "Each dot is a repetition, the tick their median, the bar the 95 % interval of the typical "
        "repetition (t, over logarithms). Further right is faster.",
        origin,
        spec.fill("throughput", rows, view.variants, origin),
    )


def _middle(variant: str, values: Sequence[float]) -> Iterator[Row]:
    """Yield the median, and the interval of the geometric mean: without width if there is none."""
    if not values:
        return
    text = f"median {words.quantity(median(values), 'tasks/s')}"
    yield {"kind": "median", "variant": variant, "value": median(values), "text": text}
    paired = pair_up(tuple(values), (1.0,) * len(values))
    found = figure(paired) if paired and paired.scale == "ratio" else None
    low, high = (found.lower, found.upper) if found else (None, None)
    text = "no interval: " + (found.reason if found else "a repetition without throughput")
    if low is None or high is None:
        low, high = median(values), median(values)
    else:
        ends = " to ".join(words.quantity(end, "tasks/s") for end in (low, high))
        text = f"95 % interval {ends}"
    yield {"kind": "interval", "variant": variant, "low": low, "high": high, "text": text}


def _latency(view: View) -> Chart:
    caption = (
        "The share of tasks (up) that was done within a time (right, log scale). Further left is "
        "faster."
    )
    return _cdf(view, "end_to_end", "latency", "End-to-end time of every task", caption)


def _lag(view: View) -> Chart:
    title = "Generator lag"
    if not view.scheduled:
        text = "Tasks were sent as fast as the generator can: there is no schedule to lag behind."
        return Chart("lag", title, text)
    bound = words.quantity(LAG_BOUND_SECONDS, "s")
    caption = (
        f"How late tasks were sent, against the schedule. A p99 above {bound} fails the audit."
    )
    return _cdf(view, "schedule_lag", "lag", title, caption)


def _cdf(view: View, stage: str, name: str, title: str, caption: str) -> Chart:
    rows = [
        {"variant": variant, "value": max(value, _FLOOR_SECONDS), "share": share,
         "text": f"{share:.4%} within {words.quantity(value, 's')}"}
        for variant in view.variants
        for value, share in distributions.cdf(_intervals(view, variant, stage))
    ]  # fmt: skip
    origin = f"traces: {stage} of every task of the valid repetitions (tasks.parquet)"
    return Chart(name, title, caption, origin, spec.fill("cdf", rows, view.variants, origin))


def _boxes(view: View) -> Chart:
    rows = [
        {"stage": stage.replace("_", " "), "variant": variant,
         **{name: max(value, _FLOOR_SECONDS) for name, value in box.items()},
         "text": ", ".join(f"{name} {words.quantity(v, 's')}" for name, v in box.items())}
        for stage in (*PARTS, "ack", "end_to_end")
        for variant in view.variants
        if (box := distributions.box(_intervals(view, variant, stage)))
    ]  # fmt: skip
    origin = "traces: the stage of every attempt of the valid repetitions (tasks.parquet)"
    return Chart(
        "boxes",
        "Each stage of a task's life",
        "Box: the middle half of all tasks; tick: the median; line: 5 % to 95 %. Log scale from "
        "1 µs. Further left is faster.",
        origin,
        spec.fill("boxes", rows, view.variants, origin),
    )


def _intervals(view: View, variant: str, stage: str) -> distributions.Array:
    return view.stages[variant][stage].dropna().to_numpy("float64")


def _parts(view: View) -> Chart:
    caption = "The mean task, from when it was due to be sent to its completion."
    return _stacked(view, PARTS, "parts", "Where a task's time goes", caption)


def _worker_parts(view: View) -> Chart:
    title = "Where it goes once a worker has the task"
    caption = "The same without the time before, which is the backlog's where there is one."
    return _stacked(view, WORKER_PARTS, "worker-parts", title, caption)


def _stacked(view: View, stages: Sequence[str], name: str, title: str, caption: str) -> Chart:
    rows = [
        {"variant": variant, "stage": stage.replace("_", " "), "order": stages.index(stage),
         "value": number.value, "text": number.text}
        for variant in view.variants
        for stage, number in mean_stages(view, variant, stages)
    ]  # fmt: skip
    origin = "traces: mean of each stage, over the valid repetitions"
    return Chart(name, title, caption, origin, spec.fill("parts", rows, view.variants, origin))


def _completions(view: View) -> Chart:
    found = dict(_instants(view))
    width = distributions.step(max((s.max() for s in found.values()), default=0.0))
    rows = [
        {"variant": variant, "repetition": repetition, "seconds": seconds, "value": rate,
         "text": words.quantity(rate, "tasks/s")}
        for (variant, repetition), instants in found.items()
        for seconds, rate in distributions.rate(instants, width)
    ]  # fmt: skip
    origin = "traces: completions of the valid repetitions (tasks.parquet)"
    return Chart(
        "throughput-over-time",
        "Throughput over time",
        f"Tasks completed, one line a repetition, in steps of {words.quantity(width, 's')}.",
        origin,
        spec.fill("timeline", rows, view.variants, origin, "tasks/s"),
    )


def _instants(view: View) -> Iterator[tuple[tuple[str, int], distributions.Array]]:
    """Yield when the tasks of each cell were completed, in seconds since its start mark."""
    final = view.tasks[view.tasks["outcome"] != "retry"]
    for cell in view.cells:
        of_cell = (final["variant"] == cell.variant) & (final["repetition"] == cell.repetition)
        if of_cell.any():
            instants = final.loc[of_cell, "completed_ns"].to_numpy("float64") / 1e9
            yield (cell.variant, cell.repetition), instants - (cell.start or 0.0)


def _timeline(view: View, timeline: queries.Timeline) -> Chart:
    table = view.timeline[view.timeline["metric"] == timeline.name]
    factor, unit = (1e-6, "MB") if timeline.unit == "bytes" else (1.0, timeline.unit)
    columns = (table[name] for name in ("variant", "repetition", "seconds", "value"))
    rows = [
        {"variant": variant, "repetition": repetition, "seconds": seconds,
         "value": value * factor, "text": words.quantity(value, timeline.unit)}
        for variant, repetition, seconds, value in zip(*columns, strict=True)
    ]  # fmt: skip
    origin = f"query {timeline.name}, by PromQL"
    name = timeline.name.replace("_", "-")
    title = timeline.name.replace("_", " ").capitalize().replace("cpu", "CPU")
    if not rows:
        text = "No scrape has any: the processes ran on another host, or were not measured."
        return Chart(name, title, f"{timeline.meaning} {text}")
    return Chart(
        name,
        title,
        f"{timeline.meaning} Sampled each second.",
        origin,
        spec.fill("timeline", rows, view.variants, origin, unit),
    )

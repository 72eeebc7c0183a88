"""What is known of a variant's capacity, in sentences."""

from collections.abc import Iterator, Sequence

from extract.capacity import Capacity, Trial, capacities
from extract.dataset import Dataset
from extract.manifest import Manifest
from extract.place import written


def of_run(manifest: Manifest, data: Dataset) -> Iterator[str]:
    """Say what a run shows of each variant whose scenario promises something.

    A matrix of rates shows a capacity too, if with a wide gap; of a search all is said.
    """
    for found in capacities(manifest, data):
        if manifest.searched or found.sustained or found.refuted:
            yield from sentences(found)


def named(found: Capacity) -> str:
    """Return whose capacity it is, and where in the matrix besides the rate."""
    return ", ".join(filter(None, [found.variant, written(found.place)]))


def sentences(found: Capacity) -> Iterator[str]:
    """Say what is known of one variant."""
    name = named(found)
    promise = f"p99 at most {found.promise.p99_seconds:g} s and no queue that is seen to grow"
    if found.sustained and found.refuted:
        yield (f"{name} sustains {found.sustained:,.4g} tasks/s, and not "
               f"{found.refuted:,.4g} ({promise}).")  # fmt: skip
    elif found.sustained:
        yield (f"{name} sustains {found.sustained:,.4g} tasks/s at least ({promise}): no "
               "faster rate was shown, twice at least, to be too fast.")  # fmt: skip
    elif found.refuted:
        yield (f"{name} does not sustain {found.refuted:,.4g} tasks/s ({promise}): no "
               "rate was confirmed to be sustained.")  # fmt: skip
    elif any(trial.verdict != "says nothing" for trial in found.trials):
        yield (f"Nothing is known of {name}: no rate was shown, twice at least, to be sustained or "
               "not.")  # fmt: skip
    else:
        yield f"Nothing is known of {name}: no trial of it said anything."
    if found.saturation:
        yield f"While more arrives than it can do, it gets through {found.saturation:,.4g} tasks/s."
    yield from _burst(found)
    yield from _memory(found.trials)


def _burst(found: Capacity) -> Iterator[str]:
    burst = found.burst
    if burst is None:
        return
    after = (
        "it had not recovered when tasks ended"
        if burst.recovery_seconds is None
        else f"it had recovered {burst.recovery_seconds:.2g} s after"
    )
    yield (f"In a burst of {burst.rate:,.4g} tasks/s for {burst.seconds:g} s the backlog grew by "
           f"{burst.growth:,.4g} tasks/s, to {burst.largest_backlog:,}; with "
           f"{burst.base_rate:,.4g} tasks/s before and after, {after}.")  # fmt: skip


def _memory(trials: Sequence[Trial]) -> Iterator[str]:
    grown = [t.worker_memory_growth_bytes for t in trials
             if t.worker_memory_growth_bytes is not None]  # fmt: skip
    held = [t.broker_memory_peak_bytes for t in trials if t.broker_memory_peak_bytes is not None]
    failed = [t.failed_share for t in trials if t.failed_share is not None]
    if grown and held and failed:
        yield (f"Its workers' memory grew by {max(grown) / 1e6:,.3g} MB in a trial at most, the "
               f"broker held {max(held) / 1e6:,.3g} MB at most, and {max(failed):.2%} of the tasks "
               "failed at most.")  # fmt: skip

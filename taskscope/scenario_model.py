"""A scenario as frozen records: what is sent, how fast, how often, and through which variants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from loadgen.schedule import ArrivalSpec
from taskscope.errors import UsageError
from taskscope.fairness import Card
from taskscope.limits import arrivals_at, check_integers, too_long
from taskscope.values import nearest

type Axes = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Part:
    """Calls of the function `task` with the keyword arguments `arguments`.

    Of all calls, as large a share as `weight` has of the sum of the weights.
    """

    task: str
    weight: float
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Workload:
    """`count` calls, in a seeded order where they are of several parts.

    `$payload` in arguments is text of `payload_bytes` characters, another one for each call.
    """

    count: int
    parts: tuple[Part, ...]
    payload_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """When tasks are due, and how many publishes may be under way at once.

    With `seconds`, as many tasks are sent as are due in that time: the workload has no count.
    """

    arrivals: ArrivalSpec
    in_flight: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How one variant is run; `warmup` counts the tasks sent before the start mark.

    `concurrency` is that of each of the `workers`.
    """

    repetitions: int
    warmup: int
    concurrency: int
    seed: int
    queue: str
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Quick:
    """What --quick changes; None leaves the scenario's own, and the headline's variants."""

    count: int | None = None
    repetitions: int | None = None
    warmup: int | None = None
    seconds: float | None = None
    variants: tuple[str, ...] = ()
    matrix: Axes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variant:
    """A framework with the settings that its adapter knows.

    `arguments` are laid over those of the task of each name. `only` says at which points of the
    matrix the variant is measured, by axis: at all of them where it is empty. `concurrency` is its
    own, where that of the run would be no good setting of it.
    """

    name: str
    framework: str
    description: str
    settings: Mapping[str, object]
    arguments: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    only: Axes = field(default_factory=dict)
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """What the throughput cannot exceed, by theory. `kind` says how many tasks run at once.

    waiting: each of the workers' places, for `seconds` a task; cpu: no more than cores, each for as
    long as the fastest execution that was measured.
    """

    kind: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Slo:
    """What a service promises: p99 of the end-to-end time, and the share of tasks that fail."""

    p99_seconds: float
    failed_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One comparison. `headline` is the pair compared first, or () with a single variant.

    With a `matrix` it stands for a comparison at each of its points: see `taskscope.matrix`. Each
    point is a scenario of its own, of the same `family`, at `point`.
    """

    name: str
    title: str
    description: str
    tags: tuple[str, ...]
    headline: tuple[str, ...]
    workload: Workload
    load: Load
    run: RunSettings
    quick: Quick
    variants: tuple[Variant, ...]
    matrix: Axes = field(default_factory=dict)
    requires: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    bound: Bound | None = None
    slo: Slo | None = None
    fairness: tuple[Card, ...] = ()
    family: str = ""
    point: Mapping[str, float] = field(default_factory=dict)

    def variant(self, name: str) -> Variant:
        """Return the variant of that name. UsageError, with the nearest known name, if unknown."""
        known = {variant.name: variant for variant in self.variants}
        if name not in known:
            raise UsageError(
                f"scenario {self.name} has no variant {name!r}; "
                f"the nearest known is {nearest(name, known)}",
                f"Choose among: {', '.join(known)}.",
            )
        return known[name]

    def pair_unless(self, asked: Sequence[str] | None = None) -> Sequence[str] | None:
        """Return the variants asked for, else the headline pair; None, for all, without one."""
        return asked or self.headline or None

    def concurrency_of(self, variant: Variant) -> int:
        """Return how many tasks each worker of the variant runs at once."""
        return variant.concurrency or self.run.concurrency

    def override(  # noqa: PLR0913 - one keyword for each option of the command line
        self,
        *,
        count: int | None = None,
        repetitions: int | None = None,
        concurrency: int | None = None,
        workers: int | None = None,
        rate: float | None = None,
        seed: int | None = None,
        variants: Sequence[str] | None = None,
        quick: bool | None = None,
    ) -> "Scenario":
        """Return the scenario with what is not None changed; what is given wins over `quick`.

        `rate` (tasks/s) keeps poisson arrivals poisson and makes any other arrivals constant.
        `concurrency` leaves variants that have their own alone.
        `variants` also sets their order; without it, `quick` keeps its own or the headline pair.
        What is given is the same at every point of the matrix. UsageError for an unknown variant
        or a number out of range.
        """
        given = {"count": count, "concurrency": concurrency, "workers": workers, "rate": rate}
        check_integers(count=count, repetitions=repetitions, concurrency=concurrency,
                       workers=workers, seed=seed)  # fmt: skip
        base = _shortened(self) if quick else self
        if variants is not None:
            base = narrowed(base, [self.variant(name) for name in variants], self)
        changed = replace(
            base,
            matrix={axis: v for axis, v in base.matrix.items() if given.get(axis) is None},
            workload=replace(base.workload, count=_or(count, base.workload.count)),
            run=replace(
                base.run,
                repetitions=_or(repetitions, base.run.repetitions),
                concurrency=_or(concurrency, base.run.concurrency),
                workers=_or(workers, base.run.workers),
                seed=_or(seed, base.run.seed),
            ),
            load=replace(
                base.load,
                arrivals=arrivals_at(rate, base.load.arrivals),
                seconds=base.load.seconds if count is None else 0.0,
            ),
        )
        changed.check_length()
        return changed

    def check_length(self) -> None:
        """UsageError where sending would take too long."""
        if misfit := too_long(self.load.arrivals, self.workload.count):
            raise UsageError(
                f"scenario {self.name}: {misfit}", "Lower the count or raise the rate."
            )


def _shortened(full: Scenario) -> Scenario:
    short, run = full.quick, full.run
    known = [variant.name for variant in full.variants]
    chosen = [full.variant(name) for name in short.variants or full.headline if name in known]
    return replace(
        narrowed(full, chosen, full) if chosen else full,
        matrix={**full.matrix, **{a: v for a, v in short.matrix.items() if a in full.matrix}},
        workload=replace(full.workload, count=_or(short.count, full.workload.count)),
        load=replace(
            full.load, seconds=full.load.seconds if short.seconds is None else short.seconds
        ),
        run=replace(
            run,
            repetitions=_or(short.repetitions, run.repetitions),
            warmup=_or(short.warmup, run.warmup),
        ),
    )


def narrowed(base: Scenario, chosen: Sequence[Variant], full: Scenario) -> Scenario:
    """Return the scenario with the chosen variants only. UsageError where there is none."""
    names = list(dict.fromkeys(variant.name for variant in chosen))
    if not names:
        raise UsageError(
            f"scenario {full.name}: no variant is chosen",
            f"Choose at least one of: {', '.join(variant.name for variant in full.variants)}.",
        )
    # Where the author's pair is not all there, the first two chosen are what is asked about.
    headline = full.headline if set(full.headline) <= set(names) else tuple(names[:2])
    return replace(
        base,
        variants=tuple(full.variant(name) for name in names),
        headline=headline if len(names) > 1 else (),
    )


def _or(given: int | None, kept: int) -> int:
    return kept if given is None else given

"""A scenario as frozen records: what is sent, how fast, how often, and through which variants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadgen.schedule import ArrivalSpec
from taskscope.errors import UsageError
from taskscope.limits import arrivals_at, check_integers, too_long
from taskscope.values import nearest


@dataclass(frozen=True, slots=True)
class Workload:
    """`count` calls of the function `task` with the keyword arguments `arguments`."""

    task: str
    count: int
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Load:
    """When tasks are due, and how many publishes may be under way at once."""

    arrivals: ArrivalSpec
    in_flight: int


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How one variant is run; `warmup` counts the tasks sent before the start mark."""

    repetitions: int
    warmup: int
    concurrency: int
    seed: int
    queue: str


@dataclass(frozen=True, slots=True)
class Quick:
    """What --quick changes; None leaves the scenario's own number."""

    count: int | None = None
    repetitions: int | None = None
    warmup: int | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """A framework with the settings that its adapter knows."""

    name: str
    framework: str
    description: str
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One comparison. `headline` is the pair compared first, or () with a single variant."""

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

    def override(  # noqa: PLR0913 - one keyword for each option of the command line
        self,
        *,
        count: int | None = None,
        repetitions: int | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        seed: int | None = None,
        variants: Sequence[str] | None = None,
        quick: bool | None = None,
    ) -> "Scenario":
        """Return the scenario with what is not None changed; what is given wins over `quick`.

        `rate` (tasks/s) keeps poisson arrivals poisson and makes any other arrivals constant.
        `variants` also sets their order; without it, `quick` keeps the headline pair.
        UsageError for an unknown variant or a number out of range.
        """
        check_integers(count=count, repetitions=repetitions, concurrency=concurrency, seed=seed)
        base = _shortened(self) if quick else self
        if variants is not None:
            base = _narrowed(base, [self.variant(name) for name in variants], self)
        changed = replace(
            base,
            workload=replace(base.workload, count=_or(count, base.workload.count)),
            run=replace(
                base.run,
                repetitions=_or(repetitions, base.run.repetitions),
                concurrency=_or(concurrency, base.run.concurrency),
                seed=_or(seed, base.run.seed),
            ),
            load=replace(base.load, arrivals=arrivals_at(rate, base.load.arrivals)),
        )
        if misfit := too_long(changed.load.arrivals, changed.workload.count):
            raise UsageError(
                f"scenario {self.name}: {misfit}", "Lower the count or raise the rate."
            )
        return changed


def _shortened(full: Scenario) -> Scenario:
    short, run = full.quick, full.run
    pair = [full.variant(name) for name in full.headline]
    return replace(
        _narrowed(full, pair, full) if pair else full,
        workload=replace(full.workload, count=_or(short.count, full.workload.count)),
        run=replace(
            run,
            repetitions=_or(short.repetitions, run.repetitions),
            warmup=_or(short.warmup, run.warmup),
        ),
    )


def _narrowed(base: Scenario, chosen: Sequence[Variant], full: Scenario) -> Scenario:
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

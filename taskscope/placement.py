"""Where the processes of a run are: here, on an address that others reach, or already elsewhere."""

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from taskscope import targets
from taskscope.errors import UsageError
from taskscope.scenario import Scenario
from taskscope.values import nearest

type Workers = Mapping[str, tuple[str, ...]]
"""The addresses, host:port, of workers that run already, by variant."""


@dataclass(frozen=True, slots=True)
class Placement:
    """`listen` is where the run's own processes serve metrics; None means loopback."""

    listen: str | None = None
    workers: Workers = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Return the variables that let processes listen there."""
        return {"OTEL_EXPORTER_PROMETHEUS_HOST": self.listen} if self.listen else {}


def placement(
    listen: str | None,
    worker_at: Sequence[str],
    scenarios: Sequence[Scenario],
    redis_url: str | None,
) -> Placement:
    """Read the options --listen and --worker-at. UsageError for what cannot be."""
    return Placement(_listen(listen), _workers(worker_at, scenarios, redis_url))


def _listen(listen: str | None) -> str | None:
    if listen and _unspecified(listen):
        raise UsageError(
            f"--listen {listen} is no address that Prometheus could scrape.",
            "Name the address by which Prometheus reaches this host, such as 10.0.0.5.",
        )
    return listen


def _unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _workers(
    worker_at: Sequence[str], scenarios: Sequence[Scenario], redis_url: str | None
) -> Workers:
    found: dict[str, tuple[str, ...]] = {}
    for text in worker_at:
        variant, equals, where = text.partition("=")
        if not equals:
            raise UsageError(f"--worker-at {text} names no variant and address.",
                             "Write --worker-at VARIANT=host:port.")  # fmt: skip
        targets.address(where)
        found[variant] = (*found.get(variant, ()), where)
    if not found:
        return found
    for scenario in scenarios:
        _check(scenario, found)
    _check_points(scenarios)
    if not redis_url:
        raise UsageError(
            "--worker-at names workers that run already, and the run would start its own Redis.",
            "Name the Redis that they use with --redis-url.",
        )
    return found


def _check_points(scenarios: Sequence[Scenario]) -> None:
    """A worker that runs already has the concurrency that it has, and there are as many of them."""
    for family in dict.fromkeys(scenario.family for scenario in scenarios):
        for axis in ("concurrency", "workers"):
            values = {s.point[axis] for s in scenarios if s.family == family and axis in s.point}
            if len(values) > 1:
                raise UsageError(
                    f"--worker-at names workers that run already, and {family} would be measured "
                    f"with more than one {axis}.",
                    f"Choose the one that they have: --{axis}.",
                )


def without_bounds(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Take away what theory allows: nobody here knows what workers elsewhere have to do it with."""
    return [replace(scenario, bound=None) for scenario in scenarios]


def _check(scenario: Scenario, found: Workers) -> None:
    """A worker that runs already takes tasks of every variant of its framework."""
    frameworks = {variant.name: variant.framework for variant in scenario.variants}
    for name in found:
        if name not in frameworks:
            raise UsageError(
                f"--worker-at {name}: scenario {scenario.name} measures no such variant; the "
                f"nearest is {nearest(name, frameworks)}.",
                "Name one that is measured, see `taskscope scenarios` and --variant.",
            )
        if Counter(frameworks.values())[frameworks[name]] > 1:
            others = [n for n, f in frameworks.items() if f == frameworks[name] and n != name]
            raise UsageError(
                f"The workers of {name} would also take the tasks of {', '.join(others)}: both are "
                f"{frameworks[name]} on one queue.",
                "Measure one variant of a framework whose workers run already: see --variant.",
            )

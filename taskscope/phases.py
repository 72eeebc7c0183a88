"""What the generator is told to send in one phase, as JSON."""

from collections.abc import Mapping

from taskscope.references import PER_TASK, fill
from taskscope.scenario import Scenario, Variant

_AT_ONCE = {"arrivals": "asap", "numbers": {}}


def phase(  # noqa: PLR0913 - what a phase consists of
    scenario: Scenario,
    variant: Variant,
    count: int,
    *,
    seed: int,
    scheduled: bool = False,
    urls: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Return `count` tasks of a scenario, on its schedule or at once.

    `urls` are the addresses of what the scenario requires. A variant's arguments win over a task's.
    """
    arrivals = scenario.load.arrivals
    when = {"arrivals": arrivals.kind, "numbers": dict(arrivals.numbers)}
    known = {name.replace("-", "_"): url for name, url in (urls or {}).items()}
    return {
        "count": count,
        **(when if scheduled else _AT_ONCE),
        "seed": seed,
        "payload_bytes": scenario.workload.payload_bytes,
        "parts": [
            {
                "weight": part.weight,
                "arguments": fill(
                    {**part.arguments, **variant.arguments.get(part.task, {})}, known, PER_TASK
                ),
            }
            for part in scenario.workload.parts
        ],
    }

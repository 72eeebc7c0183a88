"""Whether scenarios can be run: their tasks, settings and requirements must exist."""

import importlib
import importlib.util
from collections.abc import Sequence

import msgspec

from compose.frameworks import framework
from tasks import workloads
from taskscope.errors import UsageError
from taskscope.scenario import Scenario, Variant
from taskscope.values import nearest


def check_options(*, profile: bool, together: bool, elsewhere: bool) -> None:
    """UsageError where two options of a run ask for what cannot be had at once."""
    if together and profile:
        raise UsageError(
            "--profile draws into a report, and a run with --together has none.",
            "Give one of the two.",
        )
    if elsewhere and (together or profile):
        other = "--together divides" if together else "--profile looks into"
        raise UsageError(
            f"{other} workers that the run starts itself, and --worker-at names others.",
            "Give one of the two.",
        )


def check_scenarios(scenarios: Sequence[Scenario]) -> None:
    """UsageError for a task, setting or requirement that does not exist, or a name given twice."""
    names = [scenario.name for scenario in scenarios]
    for scenario in scenarios:
        if names.count(scenario.name) > 1:
            raise UsageError(
                f"Two of the scenarios are called {scenario.name}: their results would be mixed.",
                "Ask for each once, or give one of the files another name.",
            )
        _check_tasks(scenario)
        for variant in scenario.variants:
            _check_settings(scenario, variant)
        for name, settings in scenario.requires.items():
            _check_requirement(scenario, name, settings)


def _check_tasks(scenario: Scenario) -> None:
    for part in scenario.workload.parts:
        if not callable(getattr(workloads, part.task, None)):
            raise UsageError(
                f"scenario {scenario.name}: workload.task {part.task!r} is not a "
                "function of tasks/workloads.py.",
                "Name one of its functions, or add it there and to each framework's module.",
            )


def _check_settings(scenario: Scenario, variant: Variant) -> None:
    known = framework(variant.framework).known_settings()
    for setting in variant.settings:
        if setting not in known:
            raise UsageError(
                f"scenario {scenario.name}: variants.{variant.name}.settings.{setting} is "
                f"no setting of {variant.framework}; the nearest is {nearest(setting, known)}.",
                "Correct the name in the scenario file.",
            )


def _check_requirement(scenario: Scenario, name: str, settings: object) -> None:
    module = f"tasks.{name.replace('-', '_')}"
    place = f"scenario {scenario.name}: requires.{name}"
    if importlib.util.find_spec(module) is None:
        raise UsageError(
            f"{place} is nothing that can be required: there is no {module}.",
            "Name a service of tasks/, such as mock-api.",
        )
    try:
        msgspec.convert(settings, importlib.import_module(module).Settings)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{place} does not fit: {error}.", f"See the settings in {module.replace('.', '/')}.py."
        ) from None

"""Find things by name, so that the generator need not import the workloads or every framework."""

import importlib
from typing import Any

from loadgen.dispatch import Dispatcher
from loadgen.plan import Plan


def load(reference: str) -> Any:
    """Import what `module:attribute` names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def dispatcher(plan: Plan) -> Dispatcher:
    """Build the dispatcher of the plan's framework."""
    made: Dispatcher = load(f"loadgen.{plan.framework}:Sender")(plan)
    return made

"""Run a framework's own command with its instrumentation in place.

python -m instrumentation celery -A shop.tasks worker --concurrency 4
python -m instrumentation asynctasq worker --queues mail
"""

import importlib
import os
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec


def _patch_concurrency(framework: str) -> None:
    """Let a framework that can run on green threads put them in place of Python's own.

    That has to happen before anything else is imported; whether, it reads off the command line.
    """
    if entry_points(group="console_scripts", name=framework) and find_spec(framework):
        module = importlib.import_module(framework)
        getattr(module, "maybe_patch_concurrency", bool)()


if __name__ == "__main__":  # a spawned pool child imports this module too, but does not run it
    _patch_concurrency(sys.argv[1] if len(sys.argv) > 1 else "")
    from instrumentation import sdk


def main(argv: list[str]) -> None:
    """Instrument the framework named first, then become its command with the other arguments."""
    if not argv or argv[0].startswith("-"):
        sys.exit(__doc__)
    framework = argv[0]
    commands = entry_points(group="console_scripts", name=framework)
    if not commands:
        sys.exit(f"instrumentation: no command '{framework}' is installed here")
    adapter = importlib.import_module(f"instrumentation.{framework}")
    sdk.configure(adapter.Instrumentor.system, os.environ)
    adapter.Instrumentor().instrument()
    sys.argv = argv
    sys.exit(next(iter(commands)).load()())


if __name__ == "__main__":
    main(sys.argv[1:])

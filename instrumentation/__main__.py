"""Run a framework's own command with its instrumentation in place.

python -m instrumentation celery -A shop.tasks worker --concurrency 4
python -m instrumentation asynctasq worker --queues mail
"""

import importlib
import os
import sys
from importlib.metadata import entry_points

from instrumentation import sdk
from instrumentation.telemetry import Telemetry


def main(argv: list[str]) -> None:
    """Instrument the framework named first, then become its command with the other arguments."""
    if not argv or argv[0].startswith("-"):
        sys.exit(__doc__)
    framework = argv[0]
    commands = entry_points(group="console_scripts", name=framework)
    if not commands:
        sys.exit(f"instrumentation: no command '{framework}' is installed here")
    telemetry = Telemetry(framework)
    if os.environ.get("OTEL_TRACES_EXPORTER") != "none":
        sdk.configure(telemetry.resource, os.environ.get("TASKQUEUE_TRACES_DIR"))
    importlib.import_module(f"instrumentation.{framework}").instrument(telemetry)
    telemetry.serve()
    sys.argv = argv
    sys.exit(next(iter(commands)).load()())


if __name__ == "__main__":
    main(sys.argv[1:])

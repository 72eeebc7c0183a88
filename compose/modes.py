"""The modes in which a worker can run: watched by nothing, by us, or by what others offer.

A framework's own modes are in its module's `OTHERS`.
"""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution

from compose.command import Command, WorkerSettings
from compose.frameworks import framework

BARE, METRICS, DEFAULT, LIVE = "bare", "metrics", "default", "live"
#: The modes that every framework has, and what each is.
COMMON: Mapping[str, str] = {
    BARE: "the framework's own worker command",
    METRICS: "our instrumentation without spans, scraped each second",
    DEFAULT: "our instrumentation as in a run: metrics, a span for every task, 1 % live",
    LIVE: "our instrumentation with every task inside a live SDK span",
}
_LIVE_SHARES = {LIVE: 1.0}
_DEFAULT_LIVE_SHARE = 0.01


def modes(name: str) -> dict[str, str]:
    """Return every mode of a framework, bare first, and what each is."""
    return {**COMMON, **{mode: other.meaning for mode, other in framework(name).OTHERS.items()}}


def lacks(name: str, mode: str) -> str:
    """Return the package that the mode needs and that is not installed, or ""."""
    other = framework(name).OTHERS.get(mode)
    package = other.package if other else ""
    if package:
        try:
            distribution(package)
        except PackageNotFoundError:
            return package
    return ""


def ours(mode: str) -> bool:
    """Whether it is our instrumentation that watches in this mode."""
    return mode in {METRICS, DEFAULT, LIVE}


def live_share(mode: str) -> float:
    """Return the share of tasks that run inside a live SDK span. The sender of a task decides."""
    return _LIVE_SHARES.get(mode, _DEFAULT_LIVE_SHARE)


def worker(
    name: str, mode: str, what: WorkerSettings, telemetry: Mapping[str, str], sink_url: str
) -> Command:
    """Return a worker's command. `telemetry` is for our modes, `sink_url` for those of others."""
    module = framework(name)
    if mode == BARE:
        return module.bare_worker(what)
    if other := module.OTHERS.get(mode):
        return other.worker(what, sink_url)
    command = module.worker(what)
    silence = {"OTEL_TRACES_EXPORTER": "none"} if mode == METRICS else {}
    return Command(command.argv, {**command.environ, **telemetry, **silence})

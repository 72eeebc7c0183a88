"""The command lines of Redis, Prometheus, exporters and generator, however they are run."""

import json
from collections.abc import Mapping
from pathlib import Path

from compose.command import Command, python

#: What a run's own Redis may hold. It evicts nothing: at the limit it refuses what is sent.
REDIS_MEMORY_BYTES = 1 << 30
_FOREVER = "100y"  # Prometheus deletes what is older than its retention, even at the next start


def redis_server(port: int, directory: Path) -> Command:
    """Return a Redis on loopback that keeps nothing on disk and evicts nothing."""
    return Command((
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory),
        "--save", "", "--appendonly", "no", "--maxmemory", str(REDIS_MEMORY_BYTES),
        "--maxmemory-policy", "noeviction",
        "--set-proc-title", "no",  # it would write over the environment, and the guardian's mark
    ))  # fmt: skip


def prometheus(port: int, config: Path, tsdb: Path) -> Command:
    """Return a Prometheus on loopback with its data in `tsdb`."""
    return Command((
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={tsdb}",
        f"--storage.tsdb.retention.time={_FOREVER}", f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ))  # fmt: skip


def exporters(  # noqa: PLR0913 - what they read, and where they serve it
    port: int, *, framework: str, queue: str, roles: Path, redis_url: str, marks: Path | None = None
) -> Command:
    """Return the exporters of one cell. The URL may hold a password: it goes by environment."""
    arguments = ("--framework", framework, "--queue", queue, "--roles", str(roles),
                 "--port", str(port))  # fmt: skip
    marked = ("--marks", str(marks)) if marks else ()
    return Command(python("exporters", *arguments, *marked), {"TASKSCOPE_REDIS_URL": redis_url})


def generator(plan: dict[str, object], environ: dict[str, str]) -> Command:
    """Return the load generator with its plan."""
    return Command(python("loadgen", json.dumps(plan)), environ)


def requirement(name: str, port: int, settings: Mapping[str, object]) -> Command:
    """Return a service that tasks need: the module of its name, told how to be by a variable."""
    module = name.replace("-", "_")
    variable = f"TASKSCOPE_{module.upper()}"
    command = python(f"tasks.{module}", "--port", str(port))
    return Command(command, {variable: json.dumps(settings)})


def otlp_sink(port: int) -> Command:
    """Return an OTLP backend that takes in all spans, and only counts them."""
    return Command(python("compose.stock.sink", str(port)))

"""The command lines of Redis, Prometheus, exporters and generator, however they are run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compose.command import Command, python

#: What a run's own Redis may hold. It evicts nothing: at the limit it refuses what is sent.
REDIS_MEMORY_BYTES = 1 << 30
LOOPBACK = "127.0.0.1"
TEMPO_CONFIG = Path(__file__).with_name("tempo.yaml")
_FOREVER = "100y"  # Prometheus deletes what is older than its retention, even at the next start


def redis_server(
    port: int, directory: Path, *, host: str = LOOPBACK, password: str = ""
) -> Command:
    """Return a Redis that keeps nothing on disk and evicts nothing."""
    secret = ("--requirepass", password) if password else ()
    return Command((
        "redis-server", "--port", str(port), "--bind", host, "--dir", str(directory),
        "--save", "", "--appendonly", "no", "--maxmemory", str(REDIS_MEMORY_BYTES),
        "--maxmemory-policy", "noeviction",
        "--set-proc-title", "no",  # it would write over the environment, and the guardian's mark
        *secret,
    ))  # fmt: skip


def prometheus(port: int, config: Path, tsdb: Path, *, host: str = LOOPBACK) -> Command:
    """Return a Prometheus with its data in `tsdb`."""
    return Command((
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={tsdb}",
        f"--storage.tsdb.retention.time={_FOREVER}", f"--web.listen-address={host}:{port}",
        "--enable-feature=exemplar-storage", "--log.level=warn",
    ))  # fmt: skip


@dataclass(frozen=True)
class TempoPorts:
    """Where a Tempo serves: its HTTP API, OTLP/HTTP, and gRPC for parts of itself."""

    http: int = 3200
    otlp: int = 4318
    grpc: int = 9095


def tempo(
    ports: TempoPorts, directory: Path, *, config: Path = TEMPO_CONFIG, host: str = LOOPBACK
) -> Command:
    """Return a Tempo with its data in `directory`; its configuration reads the environment."""
    return Command(
        ("tempo", f"-config.file={config}", "-config.expand-env=true"),
        {
            "TEMPO_HOST": host,
            "TEMPO_HTTP_PORT": str(ports.http),
            "TEMPO_OTLP_PORT": str(ports.otlp),
            "TEMPO_GRPC_PORT": str(ports.grpc),
            "TEMPO_DIRECTORY": str(directory),
        },
    )


def exporters(  # noqa: PLR0913 - what they look at, and where they serve it
    port: int,
    *,
    framework: str,
    queue: str,
    roles: Path,
    redis_url: str,
    marks: Path | None = None,
    host: str = LOOPBACK,
) -> Command:
    """Return the exporters of one cell. The URL may hold a password: it goes by environment."""
    arguments = ("--framework", framework, "--queue", queue, "--roles", str(roles),
                 "--port", str(port), "--host", host)  # fmt: skip
    marked = ("--marks", str(marks)) if marks else ()
    return Command(python("exporters", *arguments, *marked), {"TASKSCOPE_REDIS_URL": redis_url})


def generator(
    plan: Mapping[str, object], environ: Mapping[str, str], phases: Path | None = None
) -> Command:
    """Return the load generator with its plan; its phases come from a file, or else from stdin."""
    return Command(python("loadgen", json.dumps(plan), *([str(phases)] if phases else [])), environ)


def requirement(
    name: str, port: int, settings: Mapping[str, object], *, host: str = LOOPBACK
) -> Command:
    """Return a service that tasks need: the module of its name, told how to be by a variable."""
    module = name.replace("-", "_")
    variable = f"TASKSCOPE_{module.upper()}"
    command = python(f"tasks.{module}", "--port", str(port), "--host", host)
    return Command(command, {variable: json.dumps(settings)})


def otlp_sink(port: int) -> Command:
    """Return an OTLP backend that takes in all spans, and only counts them."""
    return Command(python("compose.stock.sink", str(port)))

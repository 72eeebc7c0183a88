"""The stack as containers: what `compose.yaml` says, from the command lines of the local processes.

`python -m compose` writes it. Everything is published on loopback only, runs without privileges,
and has its limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from compose import services
from compose.command import Command, WorkerSettings
from compose.frameworks import framework
from compose.telemetry import telemetry_environment
from exporters.queues import load_adapters

type Service = dict[str, Any]

IMAGES: Final = {
    "redis": "docker.io/library/redis:7.2.5-bookworm",
    "prometheus": "docker.io/prom/prometheus:v3.4.0",
    "tempo": "docker.io/grafana/tempo:3.0.0",
    "grafana": "docker.io/grafana/grafana:12.0.1",
    "node-exporter": "docker.io/prom/node-exporter:v1.9.1",
    "redis-exporter": "docker.io/oliver006/redis_exporter:v1.69.0-alpine",
    "ours": "taskscope:local",
}
SESSION: Final = "containers"
SCENARIO: Final = "watched"
#: The phases that the generators send; mounted, and short enough to be edited.
PHASES: Final = "phases.jsonl"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - inside a container; compose.yaml publishes on loopback
_QUEUE: Final = "taskscope"
_CONCURRENCY: Final = 4
_TRACE_RATIO: Final = 0.01
_ASK: Final = "make up writes one to compose/.env"
_REDIS_PASSWORD: Final = f"${{REDIS_PASSWORD:?{_ASK}}}"
_REDIS_URL: Final = f"redis://:{_REDIS_PASSWORD}@redis:6379"
_METRICS: Final = 9464
_EXPORTERS: Final = 9465
_MOUNTED: Final = "./mounted"
_INSIDE: Final = "/etc/taskscope"
_ENTRYPOINTS: Final = {"redis-server"}  # of images whose entrypoint is not the program itself


@dataclass(frozen=True)
class Limits:
    """The most that a container may use: cores, and memory as Compose writes it."""

    cpus: str
    memory: str


def document() -> dict[str, Any]:
    """Return what compose.yaml holds."""
    return {
        "name": "taskscope",
        "services": all_services(),
        "volumes": {"prometheus-data": {}, "tempo-data": {}, "grafana-data": {}},
    }


def all_services() -> dict[str, Service]:
    """Return every service by its name, in the order in which they start."""
    found = {"redis": _redis(), "mock-api": _mock_api(), "tempo": _tempo(),
             "node-exporter": _node_exporter(), "redis-exporter": _redis_exporter(),
             "prometheus": _prometheus(), "grafana": _grafana()}  # fmt: skip
    for name in _frameworks():
        found[f"worker-{name}"] = _worker(name)
        found[f"exporters-{name}"] = _exporters(name)
        found[f"generator-{name}"] = _generator(name)
    return found


def targets() -> list[dict[str, Any]]:
    """Return what Prometheus scrapes in the containers, in the form of file_sd."""
    found = [
        {"targets": [f"{service}:{port}"],
         "labels": {**_labels(name), "component": component}}
        for name in _frameworks()
        for component, service, port in (
            ("worker", f"worker-{name}", _METRICS),
            ("generator", f"generator-{name}", _METRICS),
            ("exporters", f"exporters-{name}", _EXPORTERS),
        )
    ]  # fmt: skip
    others = {"mock-api": 8000, "tempo": 3200, "node-exporter": 9100, "redis-exporter": 9121,
              "prometheus": 9090, "grafana": 3000}  # fmt: skip
    return found + [{"targets": [f"{service}:{port}"], "labels": {"job": service}}
                    for service, port in others.items()]  # fmt: skip


def _frameworks() -> list[str]:
    return sorted(load_adapters())


def _labels(name: str) -> dict[str, str]:
    variant, _ = framework(name).WATCHED
    return {"session": SESSION, "scenario": SCENARIO, "framework": name, "variant": variant,
            "repetition": "1"}  # fmt: skip


def _service(  # noqa: PLR0913 - what a service is
    image: str,
    command: Command,
    limits: Limits,
    healthy: Sequence[str],
    *,
    after: Sequence[str] = (),
    profiles: Sequence[str] = (),
    **more: Any,
) -> Service:
    """Return a service: without privileges, with limits, once others are healthy."""
    found: Service = {"image": image}
    if profiles:
        found["profiles"] = list(profiles)
    found["command"] = list(_inside(command))
    if command.environ:
        found["environment"] = dict(command.environ)
    found |= {k: v for k, v in more.items() if v is not None}
    if after:
        found["depends_on"] = {name: {"condition": "service_healthy"} for name in after}
    return found | {
        "healthcheck": {"test": ["CMD", *healthy], "interval": "5s", "timeout": "4s",
                        "retries": 12, "start_period": "10s"},
        "deploy": {"resources": {"limits": {"cpus": limits.cpus, "memory": limits.memory}}},
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }  # fmt: skip


def _inside(command: Command) -> tuple[str, ...]:
    """Return a command line as the image takes it: its Python, or what follows its entrypoint."""
    program, *arguments = command.argv
    if arguments[:1] == ["-P"]:
        return ("python", *arguments)
    return command.argv if program in _ENTRYPOINTS else tuple(arguments)


def _published(variable: str, port: int) -> list[str]:
    return [f"127.0.0.1:${{{variable}:-{port}}}:{port}"]


def _redis() -> Service:
    command = services.redis_server(6379, Path("/data"), host=_EVERYWHERE, password=_REDIS_PASSWORD)
    return _service(
        IMAGES["redis"], Command(command.argv, {"REDISCLI_AUTH": _REDIS_PASSWORD}),
        Limits("1.0", "1536m"), ["redis-cli", "-e", "ping"],  # more than it may hold itself
        user="redis", ports=_published("REDIS_PORT", 6379), tmpfs=["/data"],
    )  # fmt: skip


def _mock_api() -> Service:
    command = services.requirement("mock-api", 8000, {}, host=_EVERYWHERE)
    return _ours(command, Limits("1.0", "256m"), "http://127.0.0.1:8000/health",
                 ports=_published("MOCK_API_PORT", 8000))  # fmt: skip


def _tempo() -> Service:
    command = services.tempo(
        services.TempoPorts(), Path("/var/tempo"), config=Path("/etc/tempo.yaml"), host=_EVERYWHERE
    )
    return _service(
        IMAGES["tempo"], command, Limits("1.0", "3g"), ["/tempo", "-health"],
        profiles=["monitoring"],
        ports=_published("TEMPO_PORT", 3200) + _published("OTLP_PORT", 4318),
        volumes=["./tempo.yaml:/etc/tempo.yaml:ro", "tempo-data:/var/tempo"],
    )  # fmt: skip


def _prometheus() -> Service:
    command = services.prometheus(
        9090, Path("/etc/prometheus/prometheus.yml"), Path("/prometheus"), host=_EVERYWHERE
    )
    return _service(
        IMAGES["prometheus"], command, Limits("1.0", "2g"),
        ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9090/-/ready"],
        profiles=["monitoring"],
        ports=_published("PROMETHEUS_PORT", 9090),
        volumes=["../prometheus/prometheus.yml:/etc/prometheus/prometheus.yml:ro",
                 "../prometheus/rules:/etc/prometheus/rules:ro",
                 f"{_MOUNTED}/targets.json:/etc/prometheus/targets/containers.json:ro",
                 "prometheus-data:/prometheus"],
    )  # fmt: skip


def _grafana() -> Service:
    environ = {
        "GF_SECURITY_ADMIN_PASSWORD": f"${{GRAFANA_ADMIN_PASSWORD:?{_ASK}}}",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }
    found = _service(
        IMAGES["grafana"], Command(("grafana",), environ), Limits("1.0", "512m"),
        ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:3000/api/health"],
        profiles=["monitoring"],
        after=["prometheus", "tempo"],
        ports=_published("GRAFANA_PORT", 3000),
        volumes=[f"{_MOUNTED}/grafana:/etc/grafana/provisioning:ro",
                 "../grafana/dashboards:/etc/grafana/taskscope:ro",
                 "grafana-data:/var/lib/grafana"],
        tmpfs=["/tmp"],  # noqa: S108 - of the container
    )  # fmt: skip
    del found["command"]  # the image's own
    return found


def _node_exporter() -> Service:
    collectors = ("cpu", "diskstats", "loadavg", "meminfo", "stat", "vmstat")
    command = Command((
        "node_exporter", "--path.procfs=/host/proc", "--path.sysfs=/host/sys",
        "--collector.disable-defaults", *(f"--collector.{name}" for name in collectors),
    ))  # fmt: skip
    return _service(
        IMAGES["node-exporter"], command, Limits("0.5", "128m"),
        ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9100/"],
        profiles=["monitoring"],
        volumes=["/proc:/host/proc:ro", "/sys:/host/sys:ro"],
    )  # fmt: skip


def _redis_exporter() -> Service:
    command = Command(("redis_exporter",), {
        "REDIS_ADDR": "redis://redis:6379", "REDIS_PASSWORD": _REDIS_PASSWORD,
    })  # fmt: skip
    found = _service(
        IMAGES["redis-exporter"], command, Limits("0.5", "128m"),
        ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9121/health"],
        profiles=["monitoring"],
        after=["redis"],
    )  # fmt: skip
    del found["command"]
    return found


def _ours(command: Command, limits: Limits, url: str, **more: Any) -> Service:
    """Return a service of the project's own image."""
    look = "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=3)"
    return _service(
        IMAGES["ours"], command, limits, ["python", "-c", look, url],
        build={"context": "..", "dockerfile": "compose/Dockerfile"},
        init=True, restart="on-failure", tmpfs=["/tmp"], **more,  # noqa: S108 - of the container
    )  # fmt: skip


def _worker_settings(name: str) -> WorkerSettings:
    _, settings = framework(name).WATCHED
    return WorkerSettings(settings, _CONCURRENCY, _QUEUE, _REDIS_URL)


def _container(name: str) -> str:
    """Name a worker's container, for who shares its process ids; both engines know names."""
    return f"taskscope-worker-{name}"


def _worker(name: str) -> Service:
    command = framework(name).worker(_worker_settings(name))
    return _ours(
        _instrumented(command, "worker", name), Limits("1.0", "1g"), _metrics_url(_METRICS),
        after=["redis", "mock-api"], profiles=["workers"], container_name=_container(name),
    )  # fmt: skip


def _exporters(name: str) -> Service:
    """Return the exporters, which see the worker's processes: its first one has the id 1."""
    command = services.exporters(
        _EXPORTERS, framework=name, queue=_QUEUE, roles=Path(_INSIDE, "roles.json"),
        redis_url=_REDIS_URL, host=_EVERYWHERE,
    )  # fmt: skip
    return _ours(
        command, Limits("0.5", "256m"), _metrics_url(_EXPORTERS),
        after=["redis", f"worker-{name}"], profiles=["workers"],
        volumes=[f"{_MOUNTED}/roles.json:{_INSIDE}/roles.json:ro"],
        pid=f"container:{_container(name)}",
    ) | {"init": False}  # fmt: skip


def _generator(name: str) -> Service:
    module = framework(name)
    plan = {"framework": name, "tasks": [f"{module.TASKS}:noop"], "queue": _QUEUE,
            "in_flight": min(50, module.MOST_IN_FLIGHT)}  # fmt: skip
    phases = Path(_INSIDE, PHASES)
    command = services.generator(plan, module.client_environment(_worker_settings(name)), phases)
    return _ours(
        _instrumented(command, "generator", name), Limits("1.0", "512m"), _metrics_url(_METRICS),
        after=["redis", f"worker-{name}"], profiles=["bench"],
        volumes=[f"{_MOUNTED}/{PHASES}:{phases}:ro"],
    )  # fmt: skip


def _metrics_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/metrics"


def _instrumented(command: Command, role: str, name: str) -> Command:
    """Return the command with its telemetry, as a cell's processes have it, sent over the network.

    Prometheus knows the targets from a file, and Tempo takes the spans.
    """
    everything: Mapping[str, str] = telemetry_environment(
        role, _labels(name), _TRACE_RATIO, Path(), Path()
    )
    telemetry = {k: v for k, v in everything.items() if not k.startswith("TASKQUEUE_")}
    return Command(command.argv, {
        **command.environ, **telemetry,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://tempo:4318",
        "OTEL_EXPORTER_PROMETHEUS_HOST": _EVERYWHERE,
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(_METRICS),
        "PYTHONUNBUFFERED": "1",
    })  # fmt: skip

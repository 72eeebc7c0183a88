"""The stack in containers: what compose.yaml says is whole, safe, and what the processes run."""

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from promtool import promtool

from compose import containers, services
from compose.__main__ import files
from compose.command import Command, WorkerSettings
from compose.frameworks import framework
from exporters.__main__ import build_parser
from exporters.queues import load_adapters
from exporters.roles import parse_roles
from loadgen.plan import Phase, Plan
from taskscope.scenario import FRAMEWORKS, load_scenario

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())[
    "services"
]
IN_IMAGE = ("exporters", "instrumentation", "loadgen", "tasks")


def test_the_committed_files_are_up_to_date() -> None:
    for path, content in files().items():
        assert path.read_text() == content, "run: .venv/bin/python -m compose"


def test_it_keeps_to_the_compose_specification() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema",
         "vendor.compose-spec", COMPOSE / "compose.yaml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_a_wrong_key_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {redis: {image: redis, ulimitz: 3}}")
    checked = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema",
         "vendor.compose-spec", tmp_path / "compose.yaml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 1
    assert "ulimitz" in checked.stdout


def test_everything_that_the_stack_needs_is_there() -> None:
    of_frameworks = {f"{part}-{name}" for name in FRAMEWORKS
                     for part in ("worker", "exporters", "generator")}  # fmt: skip
    assert set(SERVICES) == of_frameworks | {
        "redis", "prometheus", "grafana", "tempo", "node-exporter", "redis-exporter", "mock-api",
    }  # fmt: skip
    profiles = {name: tuple(s.get("profiles", ())) for name, s in SERVICES.items()}
    assert profiles["redis"] == profiles["mock-api"] == ()
    for name, mine in profiles.items():
        if name.startswith(("worker", "exporters")):
            assert mine == ("workers",), name
        elif name.startswith("generator"):
            assert mine == ("bench",), name


def mounts() -> list[tuple[str, str]]:
    return [(name, volume.split(":")[0]) for name, service in SERVICES.items()
            for volume in service.get("volumes", ())]  # fmt: skip


@pytest.mark.parametrize(("service", "source"), mounts())
def test_everything_mounted_is_there(service: str, source: str) -> None:
    named = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["volumes"]
    assert source in named or (COMPOSE / source).exists(), service


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_held_in_check(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"taskscope:local|[^:]+:v?\d+\.\d+\.\d+[\w.-]*", service["image"])
    for published in service.get("ports", ()):
        assert published.startswith("127.0.0.1:")
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


def test_they_start_one_after_another() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert other in SERVICES, name
    assert set(SERVICES["generator-celery"]["depends_on"]) == {"redis", "worker-celery"}
    assert set(SERVICES["worker-celery"]["depends_on"]) == {"redis", "mock-api"}


def test_no_password_has_a_default() -> None:
    text = (COMPOSE / "compose.yaml").read_text()
    assert not re.search(r"PASSWORD(:?[-+]|[-:]\s*['\"]?\w)", text)
    for name in ("GRAFANA_ADMIN_PASSWORD", "REDIS_PASSWORD"):
        assert text.count(f"${{{name}") == text.count(f"${{{name}:?make up writes one to") > 0


def native(command: Command) -> list[str]:
    """Return a native command line as the container's image takes it."""
    return ["python", *command.argv[1:]]


def without(command: list[str], *options: str) -> list[str]:
    """Leave out options with their value: what must differ between the two."""
    text = "\0".join(command)
    for option in options:
        text = re.sub(rf"\0{option}[=\0][^\0]*", "", text)
    return text.split("\0")


def test_redis_and_prometheus_run_as_in_a_run_of_ones_own() -> None:
    here = Path("here")
    where = ("--port", "--bind", "--dir", "--requirepass")
    assert without(SERVICES["redis"]["command"], *where) == without(
        list(services.redis_server(1, here).argv), *where
    )
    where = ("--config.file", "--storage.tsdb.path", "--web.listen-address")
    assert without(["", *SERVICES["prometheus"]["command"]], *where)[1:] == without(
        list(services.prometheus(1, here, here).argv), *where
    )[1:]  # fmt: skip


def test_redis_reaches_its_own_limit_before_that_of_its_container() -> None:
    limit = SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("m")) * 2**20 >= 1.4 * services.REDIS_MEMORY_BYTES


def test_promtool_accepts_what_prometheus_reads_in_its_container(tmp_path: Path) -> None:
    for volume in SERVICES["prometheus"]["volumes"]:
        source, inside, *_ = volume.split(":")
        if inside.startswith("/etc/prometheus/"):
            here, there = COMPOSE / source, tmp_path / inside.removeprefix("/etc/prometheus/")
            there.parent.mkdir(exist_ok=True)
            (shutil.copytree if here.is_dir() else shutil.copy)(here, there)
    said = promtool("check", "config", tmp_path / "prometheus.yml")
    assert said.returncode == 0, said.stderr
    assert "3 rule files found" in said.stdout
    assert "FAILED" not in said.stdout + said.stderr


@pytest.mark.parametrize("name", ["mock-api", "tempo"])
def test_other_services_run_as_in_a_run_of_ones_own(name: str) -> None:
    where = ("--host", "--port", "-config.file")
    if name == "tempo":
        command = list(services.tempo(services.TempoPorts(), Path()).argv)[1:]
    else:
        command = native(services.requirement("mock-api", 1, {}))
    assert without(["", *SERVICES[name]["command"]], *where) == without(["", *command], *where)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_workers_exporters_and_generator_run_as_in_a_cell(name: str) -> None:
    module = framework(name)
    settings = WorkerSettings(module.WATCHED[1], 4, "taskscope", "redis://redis:6379")
    worker = SERVICES[f"worker-{name}"]
    assert worker["command"] == native(module.worker(settings))
    for variable, value in module.worker(settings).environ.items():
        found = re.sub(r":\$\{.*\}@", "", worker["environment"][variable])
        assert found == value, variable
    exporters = services.exporters(
        9465, framework=name, queue="taskscope", roles=Path("/etc/taskscope/roles.json"),
        redis_url="", host="0.0.0.0",  # noqa: S104 - what is compared
    )  # fmt: skip
    assert SERVICES[f"exporters-{name}"]["command"] == native(exporters)
    _, _, _, _, plan, phases = SERVICES[f"generator-{name}"]["command"]
    assert msgspec.json.decode(plan, type=Plan).framework == name
    assert phases == "/etc/taskscope/phases.jsonl"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_watched_variant_has_the_scenarios_settings(name: str) -> None:
    variant, settings = framework(name).WATCHED
    (mine,) = [v for v in load_scenario("throughput").variants if v.name == variant]
    assert (mine.framework, dict(mine.settings)) == (name, dict(settings))
    assert mine.concurrency is None  # the containers' workers have the concurrency of the run


def test_the_mounted_files_are_what_their_readers_want() -> None:
    assert parse_roles((COMPOSE / "mounted" / "roles.json").read_text())
    for line in (COMPOSE / "mounted" / "phases.jsonl").read_text().splitlines():
        assert msgspec.json.decode(line, type=Phase).count
    build_parser(sorted(load_adapters()))


def test_every_target_is_a_service_that_listens_there() -> None:
    targets = json.loads((COMPOSE / "mounted" / "targets.json").read_text())
    for group in targets:
        (target,) = group["targets"]
        service, _, port = target.partition(":")
        asked = json.dumps(SERVICES[service]["healthcheck"]["test"])
        assert port in asked or service == "tempo", target
    cells = [g["labels"] for g in targets if "session" in g["labels"]]
    assert {(x["framework"], x["component"]) for x in cells} == {
        (name, part) for name in FRAMEWORKS for part in ("worker", "generator", "exporters")
    }


def test_grafana_finds_its_data_sources() -> None:
    path = COMPOSE / "mounted" / "grafana" / "datasources" / "taskscope.yaml"
    for source in yaml.safe_load(path.read_text())["datasources"]:
        service, port = re.fullmatch(r"http://([\w-]+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
        assert any(p.endswith(f":{port}") for p in SERVICES[service]["ports"])


def test_the_image_holds_all_that_its_code_imports() -> None:
    known = packages_distributions()
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["worker"]
    held = {re.split(r"[\[>=<]", wanted)[0] for wanted in group}
    for path in (p for folder in IN_IMAGE for p in (ROOT / folder).rglob("*.py")):
        for module in third_party(path):
            names = {name.lower().replace("_", "-") for name in known[module]}
            assert held & names, f"{path} imports {module}"


def third_party(path: Path) -> set[str]:
    ours = {*IN_IMAGE, *sys.stdlib_module_names}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    # kombu, billiard and asgiref are Celery's own, and come with it.
    return found - ours - {"kombu", "billiard", "vine"}


def test_the_image_runs_as_nobody_in_particular() -> None:
    lines = (COMPOSE / "Dockerfile").read_text().splitlines()
    assert lines[-1] == "USER 10001:10001"
    copied = [line.split()[1] for line in lines if line.startswith("COPY") and "--from" not in line]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in {name.split("/")[0] for names in copied for name in names.split()}:
        assert f"!{source}" in ignored
        assert (ROOT / source).exists()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Copy what `make up` runs, with nothing on PATH but what any system has."""
    for name in ("containers.sh", "compose.yaml"):
        shutil.copy(COMPOSE / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname", "env", "head", "base64", "tr", "tail", "cat", "umask"):
        if found := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path / "containers.sh"


def run(script: Path, action: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": str(script.parent / "bin")}
    return subprocess.run([script, action], env=environ, capture_output=True, text=True,
                          check=False, timeout=20)  # fmt: skip


def program(script: Path, name: str, text: str) -> None:
    path = script.parent / "bin" / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


DOCKER = '[ "$*" != "compose version" ] || exit 0\n[ "$1" != info ] || {info}\necho "ran: $*"'


def test_without_an_engine_up_says_what_to_do(script: Path) -> None:
    done = run(script, "up")
    assert done.returncode == 3
    assert "There is no container engine: neither docker nor podman is on PATH." in done.stderr
    assert "Install Docker Engine with its Compose plugin" in done.stderr
    assert "`make bench` needs none" in done.stderr
    assert not (script.parent / ".env").exists()


def test_an_engine_that_does_not_answer_is_named(script: Path) -> None:
    program(script, "docker", DOCKER.format(info="{ echo 'no daemon at x.sock' >&2; exit 1; }"))
    done = run(script, "up")
    assert done.returncode == 3
    assert "its engine does not answer: no daemon at x.sock" in done.stderr
    assert "sudo systemctl start docker" in done.stderr


def test_a_missing_compose_plugin_is_named(script: Path) -> None:
    program(script, "docker", "exit 1")
    done = run(script, "up")
    assert done.returncode == 3
    assert "docker is here, but not its Compose plugin." in done.stderr


def test_podman_without_podman_compose_is_named(script: Path) -> None:
    program(script, "podman", "exit 0")
    done = run(script, "up")
    assert done.returncode == 3
    assert "pipx install podman-compose" in done.stderr


def test_the_first_start_makes_passwords_and_the_second_keeps_them(script: Path) -> None:
    program(script, "docker", DOCKER.format(info="exit 0"))
    done = run(script, "up")
    assert done.returncode == 0, done.stderr
    assert (
        "ran: compose -f compose.yaml --profile monitoring --profile workers up -d" in done.stdout
    )
    env = script.parent / ".env"
    first = env.read_text()
    assert re.fullmatch(r"GRAFANA_ADMIN_PASSWORD=[\w-]{24}\nREDIS_PASSWORD=[\w-]{24}\n", first)
    assert len(set(first.split("="))) == 3
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    run(script, "down")
    assert env.read_text() == first
    assert "compose/.env" in (ROOT / ".gitignore").read_text()
    assert not any(secret in done.stdout for secret in re.findall(r"=(.*)", first))


def test_logs_are_those_of_every_container(script: Path) -> None:
    program(script, "docker", DOCKER.format(info="exit 0"))
    done = run(script, "logs")
    assert done.returncode == 0, done.stderr
    every = " ".join(f"--profile {name}" for name in ("monitoring", "workers", "bench"))
    assert f"ran: compose -f compose.yaml {every} logs --tail 200" in done.stdout


def test_an_unknown_action_is_refused(script: Path) -> None:
    done = run(script, "destroy")
    assert done.returncode == 3
    assert "Say up, down or logs." in done.stderr


def test_containers_and_processes_read_the_same_tempo_configuration() -> None:
    volumes = SERVICES["tempo"]["volumes"]
    assert "./tempo.yaml:/etc/tempo.yaml:ro" in volumes
    assert COMPOSE / "tempo.yaml" == services.TEMPO_CONFIG
    used = set(re.findall(r"\$\{(\w+):-", services.TEMPO_CONFIG.read_text()))
    assert used == set(services.tempo(services.TempoPorts(), Path()).environ)
    assert containers.PHASES == "phases.jsonl"

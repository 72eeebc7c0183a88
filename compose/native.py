"""The stack as local processes: Redis and Prometheus of the run's own, or the user's.

All on free loopback ports, with data and logs in the run directory. Leaving the `with` block stops
them in order, however it is left; see `guardian` for when even that cannot happen.
"""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import requests

import prometheus
from compose import broker, guardian, services
from compose.cell import Cell, CellSpec
from compose.command import Command
from compose.errors import ServiceError
from compose.ports import free_port
from compose.process import Process

_READY_SECONDS = 30.0
_GRACE_SECONDS = 10.0
_NOT_INHERITED = ("OTEL_EXPORTER_PROMETHEUS_", "OTEL_TRACES_EXPORTER", "TASKQUEUE_", "TASKSCOPE_")


class NativeStack:
    """Redis and Prometheus for one session; cells of workers are started and stopped within.

    Every process gets `variables` beside what it inherits. `workers` are the addresses of those
    that run already, by variant.
    """

    def __init__(  # noqa: PLR0913 - whatever is not the run's own
        self,
        directory: Path,
        session: str,
        *,
        redis_url: str | None = None,
        prometheus_url: str | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
        workers: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        self._directory = directory
        self._work = directory / "stack"
        self._session = session
        self._began = time.time()
        self.workers = workers
        self.redis_url = redis_url or ""
        self.prometheus_url = prometheus_url or ""
        # The user's own Prometheus reads one folder, whatever the run's directory is called.
        self.traces = directory / "traces"
        self.targets = self._work / "targets"
        if prometheus_url:
            self.targets = directory.parent / "targets"
        self._environ = {**inherited(), **variables, guardian.MARK: session,
                         "PYTHONUNBUFFERED": "1"}  # fmt: skip
        self._roles: dict[str, list[int]] = {}  # whose processes are elsewhere is not in here
        self._services: list[Process] = []
        self._exits = ExitStack()
        self._cells: list[Cell] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        try:
            self.stop_cells()
            if isinstance(error, ServiceError):
                self._blame_service(error)
        finally:
            self._exits.close()

    def _blame_service(self, error: ServiceError) -> None:
        """Where a service has ended, say so instead: what failed to reach it is no news then."""
        for process in self._services:
            if process.has_ended():
                raise process.died() from error

    def _start(self) -> None:
        for name in ("logs", "traces", "prometheus", "stack"):
            (self._directory / name).mkdir()
        self.targets.mkdir(exist_ok=True)
        watcher = guardian.start(self._session)
        self._exits.callback(_release, watcher)
        if not self.redis_url:
            self._start_redis()
        if not self.prometheus_url:
            self._start_prometheus()

    def _start_redis(self) -> None:
        port = free_port()
        data = self._work / "redis"
        data.mkdir()
        self.redis_url = f"redis://127.0.0.1:{port}"
        process = self._launch("redis-server", services.redis_server(port, data))
        process.wait_ready(lambda: broker.is_own(self.redis_url, data), _READY_SECONDS)
        self._roles["broker"] = [process.pid]
        self._services.append(process)

    def _start_prometheus(self) -> None:
        shutil.copy(prometheus.CONFIG, self._work)
        shutil.copytree(prometheus.RULES, self._work / prometheus.RULES.name)
        config = self._work / prometheus.CONFIG.name
        process, self.prometheus_url = self._exits.enter_context(
            running_prometheus(
                config, self._directory / "prometheus", self._log("prometheus"), self._environ
            )
        )
        self._roles["monitoring"] = [process.pid]
        self._services.append(process)

    def _launch(self, name: str, command: Command) -> Process:
        require(command.argv[0])
        process = Process(name, command, self._log(name), self._environ, cwd=self._work)
        self._exits.callback(process.stop, _GRACE_SECONDS)
        return process

    def _log(self, name: str) -> Path:
        return self._directory / "logs" / f"{name}.log"

    def check(self) -> None:
        """Raise ServiceError if a service of the whole run has ended by itself."""
        for process in self._services:
            if process.exit_code() is not None:
                raise process.died()

    def check_broker(self) -> None:
        """Raise ServiceError if Redis, whosever it is, does not answer."""
        self.check()
        broker.check(self.redis_url)

    def start_cell(self, spec: CellSpec) -> Cell:
        """Start a cell's processes; they are not ready yet."""
        cell = Cell(spec, self._directory, self.targets, self._environ, self._work,
                    services_roles=self._roles)  # fmt: skip
        self._cells.append(cell)
        cell.mark("run", at=self._began)
        return cell

    def stop_cells(self) -> list[str]:
        """Stop all cells there are; return the names of processes that had to be killed."""
        cells, self._cells = self._cells, []
        return [name for cell in cells for name in cell.stop()]

    @contextmanager
    def running(
        self,
        name: str,
        command: Command,
        environ: Mapping[str, str],
        *,
        without: tuple[str, ...] = (),
        piped: bool = False,
    ) -> Iterator[Process]:
        """Run a process of the session while the block lasts; its log is logs/NAME.log.

        It inherits no variable whose name begins as one of `without`.
        """
        inherited = {k: v for k, v in self._environ.items() if not k.startswith(without)}
        process = Process(name, command, self._log(name), {**inherited, **environ},
                          cwd=self._work, piped=piped)  # fmt: skip
        try:
            yield process
        finally:
            process.stop(_GRACE_SECONDS)


@contextmanager
def running_prometheus(
    config: Path, tsdb: Path, log: Path, environ: dict[str, str]
) -> Iterator[tuple[Process, str]]:
    """Run Prometheus on a data folder; yields the process and its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = services.prometheus(port, config, tsdb)
    require(command.argv[0])
    process = Process("prometheus", command, log, environ)
    try:
        process.wait_ready(lambda: _is_own_prometheus(url, tsdb), _READY_SECONDS)
        yield process, url
    finally:
        process.stop(_GRACE_SECONDS)


@contextmanager
def replayed_prometheus(tsdb: Path, scratch: Path) -> Iterator[str]:
    """Run Prometheus on a copy of a stored TSDB, scraping nothing; yields its URL.

    The copy leaves the original as it was: a starting Prometheus rewrites its folder.
    """
    copy = scratch / "tsdb"
    shutil.copytree(tsdb, copy, ignore=shutil.ignore_patterns("lock", "queries.active"))
    config = scratch / "prometheus.yml"
    config.write_text("global: {}\n")
    session = f"replay-{uuid.uuid4().hex}"
    watcher = guardian.start(session)
    environ = {**os.environ, guardian.MARK: session}
    try:
        with running_prometheus(config, copy, scratch / "prometheus.log", environ) as (_, url):
            yield url
    finally:
        _release(watcher)


def _release(watcher: subprocess.Popen[bytes]) -> None:
    """Let the guardian make its last sweep, and see it end."""
    assert watcher.stdin is not None  # noqa: S101 - it was started with a pipe
    watcher.stdin.close()
    watcher.wait()


def require(program: str) -> None:
    """ServiceError if the program is not installed."""
    if shutil.which(program) is None:
        raise ServiceError(
            f"{program} is not installed, or not on PATH.",
            f"Run `make setup`, or install Debian's package {Path(program).name}.",
        )


def _is_own_prometheus(url: str, tsdb: Path) -> bool:
    """Whether it is ready; another one may have taken the port after it had been found free."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to loopback
        try:
            ready = session.get(f"{url}/-/ready", timeout=1).ok
            flags = session.get(f"{url}/api/v1/status/flags", timeout=1).json()
        except requests.RequestException:
            return False
    return ready and flags["data"]["storage.tsdb.path"] == str(tsdb)


def inherited() -> dict[str, str]:
    """Return the environment without what would lead metrics and spans away from the run."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_NOT_INHERITED)}

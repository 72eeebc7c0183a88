"""The processes of one cell: fresh workers, generator, exporters and what tasks need."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from compose import services
from compose.affinity import pinned
from compose.command import Command, WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework
from compose.ports import free_port
from compose.process import Process
from compose.telemetry import telemetry_environment
from exporters.marks import Mark, Marks
from instrumentation.server import Announcement

_WORKER_GRACE_SECONDS = 15.0
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class CellSpec:
    """What runs in one cell. `labels` identify it in every series and span.

    `workers` is how many there are of the worker; where `elsewhere` has the addresses of some that
    run already, none is started. `requires` has the settings of each service that its tasks need,
    by name.
    Spans go to the folder `traces` of the run directory; `wrapped` may put the worker's command
    into another one.
    With `together`, another cell runs at the same time; `cores` are what workers and generator may
    use, () meaning all.
    """

    framework: str
    worker: WorkerSettings
    tasks: tuple[str, ...]
    in_flight: int
    labels: Mapping[str, str]
    trace_ratio: float
    workers: int = 1
    elsewhere: tuple[str, ...] = ()
    requires: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    traces: str = "traces"
    wrapped: Callable[[Command], Command] = lambda command: command
    together: bool = False
    cores: tuple[int, ...] = ()

    @property
    def components(self) -> int:
        """How many targets Prometheus is to see: besides these, generator and exporters."""
        return (len(self.elsewhere) or self.workers) + len(self.requires) + 2


class Cell:
    """Started when made; `stop` ends generator, workers, what they need, and exporters, in order.

    `urls` are the addresses of what the tasks need, by name.
    """

    def __init__(  # noqa: PLR0913 - where a cell lives, and beside what
        self,
        spec: CellSpec,
        directory: Path,
        targets: Path,
        environ: Mapping[str, str],
        work: Path,
        *,
        services_roles: Mapping[str, list[int]],
    ) -> None:
        self._spec = spec
        self._directory = directory
        self._targets = targets
        module = framework(spec.framework)
        # A framework is set by its variant, and not behind the user's back by variables around.
        self._environ = {k: v for k, v in environ.items() if not k.startswith(module.VARIABLES)}
        self._work = work
        self._marks = Marks(together=spec.together)
        self._processes: list[Process] = []
        self.mark()
        self._write_roles(services_roles)
        self.exporters = self._start_exporters()
        self.urls: dict[str, str] = {}
        self.needed = {name: self._start_needed(name) for name in spec.requires}
        self._announced = self._announce_workers()
        started = 0 if spec.elsewhere else spec.workers
        self.workers = [self._start_worker(number) for number in range(1, started + 1)]
        plan: dict[str, object] = {
            "framework": spec.framework,
            "tasks": [f"{module.TASKS}:{task}" for task in spec.tasks],
            "queue": spec.worker.queue,
            "in_flight": spec.in_flight,
        }
        client = module.client_environment(spec.worker)
        self.generator = self._start("generator", services.generator(plan, client), piped=True)
        own = {
            "generator": [self.generator.pid],
            **{name: [process.pid] for name, process in self.needed.items()},
        }
        if self.workers:
            own["worker"] = [worker.pid for worker in self.workers]
        self._write_roles({**services_roles, **own})

    def _announce_workers(self) -> list[Announcement]:
        """Announce the workers that run already as this cell's, while it lasts."""
        labels = {**self._spec.labels, "component": "worker"}
        cell = "-".join(self._spec.labels.values())
        return [
            Announcement.publish(self._targets / f"worker-at-{cell}-{number}.json", where, labels)
            for number, where in enumerate(self._spec.elsewhere, start=1)
        ]

    def _start_worker(self, number: int) -> Process:
        settings = replace(self._spec.worker, number=number)
        command = self._spec.wrapped(framework(self._spec.framework).worker(settings))
        return self._start("worker", command, name=f"worker-{number}" if number > 1 else "worker")

    def _start(
        self, role: str, command: Command, *, name: str = "", piped: bool = False
    ) -> Process:
        spec, name = self._spec, name or role
        telemetry = telemetry_environment(
            role, spec.labels, spec.trace_ratio, self._directory / spec.traces, self._targets
        )
        environ = {**self._environ, **telemetry}
        with pinned(spec.cores):
            process = Process(name, command, self._log(name), environ, cwd=self._work, piped=piped)
        self._processes.append(process)
        return process

    def file(self, name: str) -> Path:
        """Return where a file of this cell lies that its exporters read again and again."""
        suffix = f"-{self._spec.labels['variant']}" if self._spec.together else ""
        return self._work / f"{name}{suffix}.json"

    def _write_roles(self, roles: Mapping[str, list[int]]) -> None:
        path = self.file("roles")
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(roles))
        temporary.replace(path)

    def mark(self, *names: str, at: float | None = None) -> None:
        """Let people who watch know that the cell has reached these marks, now or at an instant."""
        instant = time.time() if at is None else at
        added = (Mark(name, instant) for name in names)
        self._marks = msgspec.structs.replace(self._marks, marks=(*self._marks.marks, *added))
        self._marks.store(self.file("marks"))

    def _start_needed(self, name: str) -> Process:
        port = free_port()
        self.urls[name] = f"http://{self._host}:{port}"
        command = services.requirement(name, port, self._spec.requires[name], host=self._host)
        return self._start_announced(name, command, port)

    def _start_exporters(self) -> Process:
        port = free_port()
        command = services.exporters(
            port,
            framework=self._spec.framework,
            queue=self._spec.worker.queue,
            roles=self.file("roles"),
            marks=self.file("marks"),
            redis_url=self._spec.worker.redis_url,
            host=self._host,
        )
        return self._start_announced("exporters", command, port)

    def _start_announced(self, name: str, command: Command, port: int) -> Process:
        """Start what serves metrics without knowing whose they are, and announce it."""
        process = Process(name, command, self._log(name), self._environ, cwd=self._work)
        self._processes.append(process)
        file = self._targets / f"{name}-{process.pid}.json"
        labels = {**self._spec.labels, "component": name}
        Announcement.publish(file, f"{self._host}:{port}", labels)
        return process

    @property
    def _host(self) -> str:
        """Where the cell's processes serve their metrics."""
        return self._environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", services.LOOPBACK)

    def _log(self, role: str) -> Path:
        labels = self._spec.labels
        name = f"{labels['scenario']}-{labels['variant']}-{labels['repetition']}-{role}.log"
        return self._directory / "logs" / name

    def dead(self) -> Process | None:
        """Return a process that ended by itself, if any did."""
        return next((p for p in self._processes if p.exit_code() is not None), None)

    def send(self, phase: Mapping[str, object]) -> "Answer":
        """Tell the generator to send a batch; the answer comes while others go on."""
        return send(self.generator, phase)

    def stop(self) -> list[str]:
        """Stop everything; return the names of those that had to be killed."""
        with suppress(OSError):  # it may have ended with half a line unread
            self.generator.stdin.close()
        graces = [
            (self.generator, _GRACE_SECONDS),
            *((worker, _WORKER_GRACE_SECONDS) for worker in self.workers),
            *((process, _GRACE_SECONDS) for process in self.needed.values()),
            (self.exporters, _GRACE_SECONDS),
        ]
        killed = [process.name for process, grace in graces if not process.stop(grace)]
        for announcement in self._announced:
            announcement.withdraw()
        for process in self._processes:  # one that was killed could not withdraw its target itself
            for file in self._targets.glob(f"*-{process.pid}.json"):
                file.unlink(missing_ok=True)
        return killed


def send(generator: Process, phase: Mapping[str, object]) -> "Answer":
    """Tell a generator to send a batch. ServiceError if it has ended."""
    try:
        generator.stdin.write(json.dumps(phase).encode() + b"\n")
        generator.stdin.flush()
    except OSError:
        raise generator.died() from None
    return Answer(generator)


class Answer:
    """The generator's answer to one phase, read in a thread so that waiting can be watched."""

    def __init__(self, generator: Process) -> None:
        self._generator = generator
        self._line = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._line = self._generator.stdout.readline()

    def poll(self) -> dict[str, object] | None:
        """Return the answer once it is there; ServiceError if the generator ended without one."""
        if self._thread.is_alive():
            return None
        if not self._line:
            raise self._generator.died()
        answer: dict[str, object] = json.loads(self._line)
        if answer["failed"]:
            raise ServiceError(
                f"The generator could not send {answer['failed']} tasks: {answer['error']}",
                f"See {self._generator.log}.",
            )
        return answer

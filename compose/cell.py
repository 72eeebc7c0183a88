"""The processes of one cell: a fresh worker, generator and exporters, and the role of each."""

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from compose import services
from compose.command import Command, WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework
from compose.process import Process, free_port
from compose.telemetry import telemetry_environment
from instrumentation.server import Announcement

_WORKER_GRACE_SECONDS = 15.0
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class CellSpec:
    """What runs in one cell. `labels` identify it in every series and span.

    `workers` are the addresses of workers that run already; without any, one is started.
    """

    framework: str
    worker: WorkerSettings
    task: str
    in_flight: int
    labels: Mapping[str, str]
    trace_ratio: float
    workers: tuple[str, ...] = ()

    @property
    def components(self) -> int:
        """How many targets Prometheus is to see: besides workers, generator and exporters."""
        return max(len(self.workers), 1) + 2


class Cell:
    """Started when made; `stop` ends generator, worker and exporters, in that order."""

    def __init__(
        self, spec: CellSpec, directory: Path, targets: Path, environ: Mapping[str, str], work: Path
    ) -> None:
        self._spec = spec
        self._directory = directory
        self._targets = targets
        module = framework(spec.framework)
        # A framework is set by its variant, and not behind the user's back by variables around.
        self._environ = {k: v for k, v in environ.items() if not k.startswith(module.VARIABLES)}
        self._work = work
        self._processes: list[Process] = []
        self.exporters = self._start_exporters()
        self._announced = self._announce_workers()
        self.worker = None if spec.workers else self._start("worker", module.worker(spec.worker))
        plan: dict[str, object] = {
            "framework": spec.framework,
            "task": f"{module.TASKS}:{spec.task}",
            "queue": spec.worker.queue,
            "in_flight": spec.in_flight,
        }
        client = module.client_environment(spec.worker)
        self.generator = self._start("generator", services.generator(plan, client), piped=True)
        self.roles: dict[str, list[int]] = {"generator": [self.generator.pid]}
        if self.worker:
            self.roles["worker"] = [self.worker.pid]

    def _announce_workers(self) -> list[Announcement]:
        """Announce the workers that run already as this cell's, while it lasts."""
        labels = {**self._spec.labels, "component": "worker"}
        cell = "-".join(self._spec.labels.values())
        return [
            Announcement.publish(self._targets / f"worker-at-{cell}-{number}.json", where, labels)
            for number, where in enumerate(self._spec.workers, start=1)
        ]

    def _start(self, role: str, command: Command, *, piped: bool = False) -> Process:
        spec = self._spec
        telemetry = telemetry_environment(
            role, spec.labels, spec.trace_ratio, self._directory / "traces", self._targets
        )
        environ = {**self._environ, **telemetry}
        process = Process(role, command, self._log(role), environ, cwd=self._work, piped=piped)
        self._processes.append(process)
        return process

    def _start_exporters(self) -> Process:
        port = free_port()
        command = services.exporters(
            port,
            framework=self._spec.framework,
            queue=self._spec.worker.queue,
            roles=self._work / "roles.json",
            redis_url=self._spec.worker.redis_url,
            host=self._host,
        )
        log = self._log("exporters")
        process = Process("exporters", command, log, self._environ, cwd=self._work)
        self._processes.append(process)
        labels = {**self._spec.labels, "component": "exporters"}
        file = self._targets / f"exporters-{process.pid}.json"
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
        workers = [(self.worker, _WORKER_GRACE_SECONDS)] if self.worker else []
        graces = [(self.generator, _GRACE_SECONDS), *workers, (self.exporters, _GRACE_SECONDS)]
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

"""The generator's process: a plan as argument, phases on stdin, an answer to each on stdout.

    python -m loadgen '{"framework": "celery", "tasks": ["tasks.celery:noop"], …}' < phases.jsonl
    python -m loadgen '{"framework": "celery", "tasks": ["tasks.celery:noop"], …}' phases.jsonl

Its telemetry is configured by the same environment as a worker's. It ends when its phases do.
"""

import gc
import importlib
import signal
import sys
from pathlib import Path
from types import FrameType

import msgspec
from prometheus_client import CollectorRegistry, Gauge

from instrumentation.telemetry import Telemetry
from loadgen.calls import calls
from loadgen.load import dispatcher
from loadgen.pacer import Pacer
from loadgen.plan import Phase, Plan
from loadgen.priority import on_time
from loadgen.schedule import ArrivalSpec, offsets_ns


def main(argv: list[str]) -> None:
    """Serve phases until they end."""
    signal.signal(signal.SIGTERM, _end)
    plan = msgspec.json.decode(argv[1], type=Plan)
    registry = CollectorRegistry()
    planned = Gauge("loadgen_planned_tasks", "Tasks of the present phase.", registry=registry)
    realtime = Gauge("loadgen_realtime", "1 where its priority is real-time.", registry=registry)
    telemetry = Telemetry(plan.framework, registry=registry)
    if plan.instrumented:
        importlib.import_module(f"instrumentation.{plan.framework}").instrument(telemetry)
        telemetry.serve()
    sender = dispatcher(plan)
    # Publishing leaves no cycles behind: collecting seldom gives back what telemetry costs.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        for line in Path(argv[2]).open() if argv[2:] else sys.stdin:  # noqa: SIM115 - to its end
            phase = msgspec.json.decode(line, type=Phase)
            planned.set(phase.count)
            offsets = offsets_ns(
                ArrivalSpec(phase.arrivals, phase.numbers), phase.count, phase.seed
            )
            wanted = calls(phase.parts, phase.count, phase.seed, phase.payload_bytes)
            with on_time(scheduled=offsets is not None) as granted:
                realtime.set(granted)
                answer = sender.dispatch(Pacer(offsets, wanted))
            sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
            sys.stdout.flush()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it has come, or is about to: no hurry now
        sender.close()
        telemetry.close()


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv)

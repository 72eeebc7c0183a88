"""What a reader of the results needs to know of the machine and the software."""

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import machine, platform, processor, python_version
from typing import Any

from taskscope.doctor import diagnose
from taskscope.machine import read_machine, version_output

_PACKAGES = ("taskscope", "asynctasq", "celery", "kombu", "billiard", "redis", "hiredis", "uvloop",
             "opentelemetry-sdk", "opentelemetry-instrumentation-celery",
             "prometheus-client")  # fmt: skip


def machine_facts(directory: Path) -> dict[str, Any]:
    """Return kernel, CPU, memory, load and the doctor's doubts, as they are now."""
    facts = read_machine(directory)
    doubts = [asdict(check) for check in diagnose(facts) if check.status != "ok"]
    cpu = {"platform": platform(), "architecture": machine(), "cpu": _cpu_model()}
    return {**cpu, **asdict(facts), "doubts": doubts}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")


def versions() -> dict[str, str]:
    """Return the versions of everything whose behaviour is measured, or measures."""
    found = {"python": python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    for program in ("redis-server", "prometheus"):
        found[program] = (version_output(program) or "").partition("\n")[0]
    return found

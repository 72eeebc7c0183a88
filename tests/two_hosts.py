"""A second host on one machine: a network namespace with a name and a clock of its own."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from compose.command import Command
from compose.process import Process

NAME = "hostb"
#: Runs before all else in every Python of that host. Only its clock is not the real thing.
_HOST = """
import socket, time
socket.sethostname("{name}")
_ns, _seconds = time.time_ns, time.time
time.time_ns = lambda: _ns() + {shift_ns}
time.time = lambda: _seconds() + {shift_ns} / 1e9
"""


def _permitted() -> bool:
    if not shutil.which("ip") or not shutil.which("unshare"):
        return False
    tried = subprocess.run(["unshare", "--net", "--uts", "true"],  # noqa: S607
                           capture_output=True, check=False)  # fmt: skip
    return tried.returncode == 0 and os.geteuid() == 0


needs_two_hosts = pytest.mark.skipif(
    not _permitted(),
    reason="NO NETWORK NAMESPACES HERE (root, iproute2): nothing between two hosts is tested",
)


@dataclass(frozen=True)
class OtherHost:
    """Another host, and the addresses of this one and of that one on the cable between them."""

    namespace: str
    here: str
    there: str
    shift_ns: int
    directory: Path

    def start(self, name: str, command: Command, environ: dict[str, str]) -> Process:
        """Start a process there."""
        inside = ("ip", "netns", "exec", self.namespace, "unshare", "--uts", *command.argv)
        everything = {**os.environ, **command.environ, **environ,
                      "PYTHONPATH": str(self.directory)}  # fmt: skip
        return Process(name, Command(inside), self.directory / f"{name}.log", everything,
                       cwd=self.directory)  # fmt: skip


@contextmanager
def other_host(directory: Path, shift_ns: int) -> Iterator[OtherHost]:
    """Make a namespace with one cable to this one, and take it away again."""
    number = random.randrange(1, 250)  # noqa: S311
    namespace, cable = f"taskscope-{os.getpid()}", f"ts{os.getpid() % 10**7}"
    here, there = f"10.213.{number}.1", f"10.213.{number}.2"
    (directory / "sitecustomize.py").write_text(_HOST.format(name=NAME, shift_ns=shift_ns))
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", f"{cable}a", "type", "veth", "peer", "name", f"{cable}b")
        _ip("link", "set", f"{cable}b", "netns", namespace)
        _ip("addr", "add", f"{here}/30", "dev", f"{cable}a")
        _ip("link", "set", f"{cable}a", "up")
        _ip("-n", namespace, "addr", "add", f"{there}/30", "dev", f"{cable}b")
        for device in (f"{cable}b", "lo"):
            _ip("-n", namespace, "link", "set", device, "up")
        yield OtherHost(namespace, here, there, shift_ns, directory)
    finally:
        _end_all(namespace)
        subprocess.run(["ip", "netns", "del", namespace], check=False)  # noqa: S607
        subprocess.run(["ip", "link", "del", f"{cable}a"],  # noqa: S607
                       capture_output=True, check=False)  # fmt: skip


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S607


def _end_all(namespace: str) -> None:
    """End what still runs there, or the namespace would live on."""
    found = subprocess.run(["ip", "netns", "pids", namespace],  # noqa: S607
                           capture_output=True, text=True, check=False)  # fmt: skip
    for pid in found.stdout.split():
        with suppress(psutil.Error):
            psutil.Process(int(pid)).kill()
    time.sleep(0.1)

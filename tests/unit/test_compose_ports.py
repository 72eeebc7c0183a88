"""A port that was found free stays free until the service has it."""

import subprocess
import sys
from pathlib import Path

import pytest

from compose.ports import free_port


def test_a_free_port_is_none_that_a_client_may_be_given_meanwhile() -> None:
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    if int(first) > 15_000:
        assert max(free_port() for _ in range(20)) < int(first)


def test_a_free_port_is_given_away_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compose.ports._service_ports", lambda: range(10_000, 10_040))
    ports = [free_port() for _ in range(10)]
    assert len(set(ports)) == 10
    few = f"p._service_ports = lambda: range({ports[0]}, {ports[0] + 1})"
    code = f"from compose import ports as p; {few}; p.free_port()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Address already in use" in done.stderr

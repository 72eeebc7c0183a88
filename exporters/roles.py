"""Which processes play which role: a JSON file, rewritten by whoever starts the processes.

A process that starts listed processes should not be listed itself: a child's CPU time is its
parent's until the child is listed, and again once the parent has reaped it.
"""

import json
from collections.abc import Mapping

MONITORING = "monitoring"
"""The role of whatever observes, this exporter included."""

type Roles = dict[str, tuple[int, ...]]
"""Role -> ids of its root processes."""


class RolesError(ValueError):
    """The roles file is not what it should be."""


def parse_roles(text: str) -> Roles:
    """Parse ``{"worker": [pid, ...], "broker": [...], ...}``. Raises RolesError."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise RolesError(f"roles file: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RolesError("roles file: not an object of role -> list of process ids")
    return {role: _pids(role, pids) for role, pids in document.items()}


def _pids(role: str, pids: object) -> tuple[int, ...]:
    if not isinstance(pids, list) or any(type(pid) is not int for pid in pids):
        raise RolesError(f"roles file: {role}: not a list of process ids")
    return tuple(pids)


def with_monitor(roles: Roles, pid: int) -> Roles:
    """Count process ``pid`` among the monitoring, whatever the file says about it."""
    others = {role: tuple(p for p in pids if p != pid) for role, pids in roles.items()}
    return others | {MONITORING: (*others.get(MONITORING, ()), pid)}


def roots_by_pid(roles: Mapping[str, tuple[int, ...]]) -> dict[int, str]:
    """Turn the mapping round. Raises RolesError if a process is listed under two roles."""
    roots: dict[int, str] = {}
    for role, pids in roles.items():
        for pid in pids:
            if roots.setdefault(pid, role) != role:
                raise RolesError(f"roles file: process {pid} is both {roots[pid]} and {role}")
    return roots

"""What a generator is told, as JSON: once how to send, then phase by phase how many and when."""

from typing import Any

import msgspec


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls of one of the plan's tasks: their share of all, by weight, and their arguments."""

    weight: float
    arguments: dict[str, Any]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to send. Each of `tasks` is `module:attribute` of a task as its framework knows it.

    Messages of a client that is not `instrumented` carry nothing of ours.
    """

    framework: str
    tasks: list[str]
    queue: str
    in_flight: int
    instrumented: bool = True


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One batch of tasks. `arrivals` and `numbers` are an ArrivalSpec's kind and numbers.

    Part i is of the plan's task i.
    """

    count: int
    arrivals: str
    numbers: dict[str, float]
    seed: int
    parts: list[Part]
    payload_bytes: int = 0


class Sent(msgspec.Struct, frozen=True):
    """The answer when a phase is over: how many publishes the client reported as done and failed.

    Only for the orchestrator to notice trouble; results come from the telemetry.
    """

    sent: int
    failed: int
    error: str

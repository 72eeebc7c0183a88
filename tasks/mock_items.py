"""What the mock API's items are: how long each takes, whether it fails, and its body."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta

VARIABLE: Final = "TASKSCOPE_MOCK_API"
#: So many different items there are; then they come again.
_PERIOD: Final = 65_536

type Seconds = Annotated[float, Meta(ge=0, le=60)]
type Share = Annotated[float, Meta(ge=0, le=1)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the API behaves.

    `latency`: fixed; log-normal, with the median `latency_seconds` and `sigma`; or tail, where
    `tail_share` of the items take `tail_seconds` instead. `bandwidth_bytes` is what one answer gets
    through in a second, 0 for no limit.
    """

    latency: Literal["fixed", "log-normal", "tail"] = "fixed"
    latency_seconds: Seconds = 0.1
    sigma: Annotated[float, Meta(gt=0, le=3)] = 0.5
    tail_share: Share = 0.01
    tail_seconds: Seconds = 1.0
    error_share: Share = 0.0
    response_bytes: Annotated[int, Meta(ge=0, le=10_000_000)] = 200
    bandwidth_bytes: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    seed: Annotated[int, Meta(ge=0)] = 1


@dataclass(frozen=True, slots=True)
class Item:
    """What one item's answer is."""

    latency_seconds: float
    fails: bool
    body: bytes
    headers: list[tuple[bytes, bytes]]
    bandwidth: float

    @property
    def seconds(self) -> float:
        """How long the whole answer is to take."""
        through = len(self.body) / self.bandwidth if self.bandwidth else 0.0
        return self.latency_seconds + through


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from a JSON object. msgspec.ValidationError where it does not fit."""
    return msgspec.json.decode(environ.get(VARIABLE, "{}"), type=Settings)


def items(settings: Settings) -> Callable[[int], Item]:
    """Return what tells an item by its number; the same settings give the same items."""
    latencies = latencies_seconds(settings).tolist()
    # Its own stream: whether an item fails does not depend on how latencies are drawn.
    errors = np.random.default_rng([settings.seed, 1]).random(_PERIOD) < settings.error_share
    fails = errors.tolist()

    def item(number: int) -> Item:
        place = number % _PERIOD
        body = b"" if fails[place] else _body(number, settings)
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")]
        return Item(latencies[place], fails[place], body, headers, settings.bandwidth_bytes)

    return item


def latencies_seconds(settings: Settings) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the latency of each item."""
    draw = np.random.default_rng([settings.seed, 0])
    if settings.latency == "log-normal":
        return settings.latency_seconds * np.exp(draw.normal(0, settings.sigma, _PERIOD))
    found = np.full(_PERIOD, settings.latency_seconds)
    if settings.latency == "tail":
        found[draw.random(_PERIOD) < settings.tail_share] = settings.tail_seconds
    return found


def _body(number: int, settings: Settings) -> bytes:
    text = b"item %d of seed %d; " % (number, settings.seed)
    return (text * (settings.response_bytes // len(text) + 1))[: settings.response_bytes]

"""Trace and span ids: random, as text, at a fraction of a microsecond each."""

import os
import random
from typing import NamedTuple

# Ids, not secrets. A generator of our own leaves the application's sequence alone, and is seeded
# afresh in forked children, who would otherwise all make the same ids.
_random = random.Random()  # noqa: S311
_random_bits = _random.getrandbits
os.register_at_fork(after_in_child=_random.seed)


class SpanIds(NamedTuple):
    """A span's identity as text: 32 and 16 hexadecimal digits, and the sampled flag."""

    trace_id: str
    span_id: str
    sampled: bool

    def traceparent(self) -> str:
        """Write the W3C header that makes this span the parent."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


#: What stands for no span.
NO_IDS = SpanIds("0" * 32, "0" * 16, sampled=False)


def new_span_id() -> str:
    """Make a random span id, never the invalid zero."""
    return f"{_random_bits(64) or 1:016x}"


def new_trace_id() -> str:
    """Make a random trace id, never the invalid zero."""
    return f"{_random_bits(128) or 1:032x}"


def random_digits(count: int) -> str:
    """Make the digits of many ids at once; that one is zero is as likely as a guessed key."""
    return f"{_random_bits(4 * count):0{count}x}" if count else ""


def new_span_ids(count: int) -> list[str]:
    """Make many at a third of the cost."""
    digits = random_digits(16 * count)
    return [digits[i : i + 16] for i in range(0, 16 * count, 16)]


def new_roots(sample_ratio: float, count: int = 1) -> list[str]:
    """Start traces: traceparents of new PRODUCER spans; `sample_ratio` of them are sampled."""
    # By the low 64 bits of the trace id, as the SDK's TraceIdRatioBased decides: asked about a span
    # of this trace, it comes to the same. As text of one length, numbers compare as they are.
    bound = round(sample_ratio * 2**64)
    below = f"{bound:016x}" if bound < 2**64 else "g"
    digits = random_digits(48 * count)
    ids = [digits[at : at + 48] for at in range(0, 48 * count, 48)]
    return [f"00-{one[:32]}-{one[32:]}-{'01' if one[16:32] < below else '00'}" for one in ids]

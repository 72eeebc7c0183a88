"""`python -m stepping_clock …` is `python -m instrumentation …` with a clock that steps back."""

import itertools
import runpy
import time

_real, _calls = time.time_ns, itertools.count()
_STEP_NS = 5_000_000_000


def _stepping() -> int:
    """Be five seconds behind at every other call: some things end before they begin."""
    return _real() - _STEP_NS * (next(_calls) % 2)


if __name__ == "__main__":
    time.time_ns = _stepping
    runpy.run_module("instrumentation", run_name="__main__", alter_sys=True)

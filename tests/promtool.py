"""Prometheus' own tool, for tests."""

import subprocess


def promtool(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False,
                          timeout=60)  # fmt: skip

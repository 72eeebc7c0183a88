"""The command line: ``TASKSCOPE_REDIS_URL=... python -m exporters --help``."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from exporters.connection import BrokerUrlError
from exporters.queues import load_adapters
from exporters.server import Settings, serve

URL_VARIABLE = "TASKSCOPE_REDIS_URL"


def build_parser(frameworks: Sequence[str]) -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m exporters",
        description="Serve queue, broker, process and host metrics for Prometheus, read at scrape "
        f"time. The broker's URL comes from {URL_VARIABLE}, for it may hold a password.",
    )
    parser.add_argument("--framework", required=True, choices=frameworks)
    parser.add_argument(
        "--queue", required=True, action="append", dest="queues", metavar="NAME", help="repeatable"
    )
    parser.add_argument(
        "--roles",
        required=True,
        type=Path,
        metavar="FILE",
        help='JSON: {"worker": [pid, ...], ...}',
    )
    parser.add_argument("--marks", type=Path, metavar="FILE", help='JSON: {"marks": [...], ...}')
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    return parser


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Exits with 1 if the address cannot be served, and with 2 if the command line or the variable is
    wrong. A signal that arrives before the imports are done still ends the process by default.
    """
    logging.basicConfig(format="exporters: %(message)s", stream=sys.stderr)
    adapters = load_adapters()
    parser = build_parser(sorted(adapters))
    options = parser.parse_args(argv)
    if not (url := environ.get(URL_VARIABLE)):
        parser.error(f"{URL_VARIABLE} is not set: set it to the broker's URL")
    # A queue asked for twice is one queue: its series must not be there twice.
    queues = tuple(dict.fromkeys(options.queues))
    adapter = adapters[options.framework]
    try:
        serve(Settings(adapter, queues, url, options.roles, options.host, options.port,
                       options.marks))  # fmt: skip
    except BrokerUrlError as error:
        parser.error(f"{URL_VARIABLE}: {error}")
    except (OSError, OverflowError) as error:
        _refuse(parser, options.host, options.port, error)
    return 0


def _refuse(parser: argparse.ArgumentParser, host: str, port: int, error: Exception) -> NoReturn:
    parser.exit(
        1,
        f"exporters: cannot serve on {host} port {port} ({error}): "
        "stop what listens there, or choose a free port with --port\n",
    )


if __name__ == "__main__":
    sys.exit(main())

"""`taskscope report`: a run as one page, to read and to send."""

from rich.console import Console
from rich.text import Text

from taskscope import rundir
from taskscope import together as both
from taskscope.commands.options import Directory, Json
from taskscope.commands.output import print_result
from taskscope.derive import load


def report(directory: Directory, *, as_json: Json = False) -> None:
    """Write a run's report: one HTML file that needs no network, a summary, and the charts.

    Example:
        taskscope report runs/20261121T120000-throughput

    """
    from taskscope.reporting import write_report  # noqa: PLC0415 - scipy takes a second to import

    manifest = rundir.open_run(directory)
    both.refuse(manifest, directory)
    written = [str(path) for path in write_report(directory, manifest, load(directory, manifest))]
    text = Text(f"Report: {written[0]}")
    print_result(as_json, {"page": written[0], "files": written},
                 lambda: Console().print(text, soft_wrap=True))  # fmt: skip

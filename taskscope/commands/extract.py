"""`taskscope extract`: derive the dataset of a run again."""

from taskscope import rundir
from taskscope.commands.options import Directory, Json, PrometheusUrl, TempoUrl
from taskscope.commands.outcome import finish
from taskscope.commands.output import say
from taskscope.derive import derive


def extract(
    directory: Directory,
    *,
    prometheus_url: PrometheusUrl = None,
    tempo_url: TempoUrl = None,
    as_json: Json = False,
) -> None:
    """Derive the dataset of a run again, from its stored series and traces.

    Examples:
        taskscope extract runs/20261121T120000-throughput

        taskscope extract runs/20261121T120000-throughput --tempo-url http://tempo:3200

    """
    manifest = rundir.open_run(directory)
    data = derive(directory, manifest, prometheus_url, tempo_url, say)
    finish(directory, manifest, data, as_json=as_json)

"""`taskscope grafana push`: the dashboards, in a Grafana that runs already."""

from dataclasses import asdict
from typing import Annotated

import typer

from taskscope import grafana
from taskscope.commands.options import GrafanaUrl, Json
from taskscope.commands.output import print_result


def push(
    *,
    grafana_url: GrafanaUrl = None,
    prometheus_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Prometheus, as Grafana's server reaches it."),
    ] = None,
    tempo_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Tempo, as Grafana's server reaches it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Install or update data sources, folder and dashboards in a Grafana that runs already.

    The token of a service account comes from TASKSCOPE_GRAFANA_TOKEN. Without --prometheus-url or
    --tempo-url, that data source is left alone: each dashboard lets one choose another.

    Example:
        taskscope grafana push --grafana-url http://host:3000 --prometheus-url http://prometheus:9090

    """
    from taskscope.grafana_push import Sources, push_all  # noqa: PLC0415 - brings the client

    done = push_all(grafana.base(grafana_url), Sources(prometheus_url, tempo_url))
    lines = [f"{one.what:<12}{one.name}: {one.outcome}" for one in done]
    print_result(as_json, [asdict(one) for one in done], lambda: typer.echo("\n".join(lines)))

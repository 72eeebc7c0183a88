"""What every dashboard has around its panels: variables, marks, links to the others, rows."""

import json
from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

import grafana
from grafana.panels import METRICS, Panel, Shown

#: That of Grafana 11.0; a newer Grafana brings it to its own as it reads it.
SCHEMA: Final = 39
SESSION: Final = 'session="$session"'
SCENARIO: Final = f'{SESSION}, scenario="$scenario"'
#: One side of the run, as the variables name it.
CELL: Final = f'{SCENARIO}, variant="$variant", repetition=~"$repetition"'

_WIDTH: Final = 24
_LABEL_VALUES, _RESULT = 1, 3  # kinds of a variable's query, as Grafana's Prometheus numbers them
_ALL: Final = model.VariableOption(text="All", value="$__all", selected=True)

type Row = tuple[str, int, Sequence[Panel]]
type Variable = dashboard.QueryVariable | dashboard.DatasourceVariable | dashboard.TextBoxVariable


def build(
    title: str, uid: str, description: str, variables: Sequence[Variable], rows: Sequence[Row]
) -> dict[str, Any]:
    """Return a dashboard as plain data. A row is its title, its height, and its panels."""
    board = (
        dashboard.Dashboard(f"taskscope: {title}")
        .uid(uid)
        .description(description)
        .tags([grafana.TAG])
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-15m", "now")
        .refresh("5s")
        .timepicker(dashboard.TimePicker().refresh_intervals(["1s", "5s", "10s", "30s", "1m"]))
        .variables(list(variables))
        .link(
            dashboard.DashboardLink("taskscope")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([grafana.TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    _lay_out(board, rows)
    built = board.build()
    built.schema_version = SCHEMA
    plain: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    plain["annotations"] = {"list": _annotations()}
    return plain


def _lay_out(board: dashboard.Dashboard, rows: Sequence[Row]) -> None:
    top = number = 0
    for title, height, panels in rows:
        place = model.GridPos(x=0, y=top, w=_WIDTH, h=1)
        number += 1
        board.with_row(dashboard.Row(title).id(number).grid_pos(place))
        width = _WIDTH // len(panels)
        for column, panel in enumerate(panels):
            number += 1
            place = model.GridPos(x=column * width, y=top + 1, w=width, h=height)
            board.with_panel(panel.id(number).grid_pos(place))  # type: ignore[attr-defined]
        top += height + 1


def data_source(name: str, label: str, kind: str, uid: str) -> dashboard.DatasourceVariable:
    """Return the choice of a data source; ours unless somebody chooses another."""
    chosen = model.VariableOption(text=label, value=uid, selected=True)
    return dashboard.DatasourceVariable(name).label(label).type(kind).current(chosen)


def standard(*more: Variable) -> list[Variable]:
    """Return the variables that every dashboard has, with `more` between scenario and repetition.

    The session is the newest of the range shown.
    """
    sessions = Shown("sessions").expression()
    return [
        data_source("metrics", "Prometheus", "prometheus", grafana.PROMETHEUS_UID),
        _variable("session", "Session", f"query_result({sessions})", _RESULT, "sessions")
        .regex('/session="([^"]+)"/')
        .sort(model.VariableSort.DISABLED),
        of_cells("scenario", "Scenario", SESSION),
        *more,
        of_cells("repetition", "Repetition", SCENARIO)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(_ALL)
        .sort(model.VariableSort.NUMERICAL_ASC),
    ]


def of_cells(name: str, label: str, selector: str, of: str = "") -> dashboard.QueryVariable:
    """Return the choice among the values of a label (`of`, else `name`) of the cells selected."""
    cells = Shown("cells", selector).expression()
    return _variable(name, label, f"label_values({cells}, {of or name})", _LABEL_VALUES, "cells")


def _variable(
    name: str, label: str, query: str, kind: int, reference: str
) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(METRICS)
        .query({"qryType": kind, "query": query, "refId": reference})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def slow_tasks(variant: str) -> dashboard.DashboardLink:
    """Return a panel's link to the slow tasks of a variant, for the same time."""
    cell = f"var-session=$session&var-scenario=$scenario&var-variant={variant}"
    return (
        dashboard.DashboardLink("Slow tasks")
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{grafana.SLOW_TASKS_UID}?${{__url_time_range}}&${{metrics:queryparam}}&{cell}")
    )


def _annotations() -> list[dict[str, Any]]:
    """Return the marks. As plain data: the SDK does not know what Prometheus' marks have."""
    where = "{{variant}} repetition {{repetition}}"
    return [
        _mark("Run", "blue", Shown("run_mark", SESSION), "run {{session}} begins"),
        _mark("Warm-up", "rgba(160, 160, 160, 0.8)",
              Shown("marks", f'{SCENARIO}, mark="warm-up"'), f"{where}: warm-up"),
        _mark("Repetition", "green",
              Shown("marks", f'{SCENARIO}, mark=~"start|drained"'), f"{where}: {{{{mark}}}}"),
        {
            **_prometheus("Fault", "red", Shown("alerts_firing", SESSION)),
            "titleFormat": "{{alertname}}",
            "textFormat": "{{component}} {{variant}}",
        },
        {
            "name": "Pushed by taskscope run",
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": False,  # the same instants as above, where taskscope was given this Grafana
            "hide": False,
            "iconColor": "purple",
            "builtIn": 0,
            "target": {"type": "tags", "tags": [grafana.TAG, "$session"], "matchAny": False,
                       "limit": 500},
        },
    ]  # fmt: skip


def _mark(name: str, colour: str, shown: Shown, text: str) -> dict[str, Any]:
    return {
        **_prometheus(name, colour, shown),
        "useValueForTime": True,  # the value is the instant itself, in ms: no step rounds it
        "titleFormat": name,
        "textFormat": text,
    }


def _prometheus(name: str, colour: str, shown: Shown) -> dict[str, Any]:
    expression = shown.expression()
    source = {"type": "prometheus", "uid": "${metrics}"}
    return {
        "name": name,
        "datasource": source,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "builtIn": 0,
        "expr": expression,
        "step": "1s",
        "target": {"datasource": source, "expr": expression, "interval": "1s",
                   "refId": shown.query, "range": True},
        "tagKeys": "variant",
    }  # fmt: skip

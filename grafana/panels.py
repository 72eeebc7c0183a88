"""Panels. Each takes its queries from `queries/` by name, with their units and meanings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    tempo,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as values
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_values
from grafana_foundation_sdk.models import tempo as tempo_values

from grafana.questions import SCALE
from queries.watching import Live, live, searches

METRICS: Final = model.DataSourceRef(type_val="prometheus", uid="${metrics}")
TRACES: Final = model.DataSourceRef(type_val="tempo", uid="${traces}")
#: Grafana's names of units; what is not here is counted, and shown as it is called.
_UNITS: Final = {"s": "s", "bytes": "bytes", "bytes/s": "binBps", "ratio": "suffix:×"}
_POINTS: Final = 250  # of a curve: more cost Prometheus more, and show little else
_CELLS: Final = 120  # of a heat map, from left to right

type Panel = Builder[model.Panel]


@dataclass(frozen=True)
class Shown:
    """A query of the catalogue, by name, for the series that `cell` selects (or both sides)."""

    query: str
    cell: str = ""
    first: str = ""
    second: str = ""
    exemplars: bool = False

    @property
    def live(self) -> Live:
        """The query itself."""
        return live()[self.query]

    def expression(self) -> str:
        """Return the PromQL with Grafana's own variables in it."""
        return self.live.render(cell=self.cell, first=self.first, second=self.second,
                                window="$__rate_interval", range="$__range")  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How a curve is drawn."""

    stacked: bool = False
    note: str = ""
    links: Sequence[dashboard.DashboardLink] = ()
    #: What else must fit the vertical axis, without being drawn.
    scale: Sequence[Shown] = field(default=())


def curves(title: str, shown: Sequence[Shown], look: Look | None = None) -> timeseries.Panel:
    """Return curves over time."""
    look = look or Look()
    panel = (
        timeseries.Panel()
        .title(title)
        .description(_description(shown, look.note))
        .datasource(METRICS)
        .unit(_unit(shown))
        .min(0)
        .max_data_points(_POINTS)
        .fill_opacity(30 if look.stacked else 5)
        .line_width(1)
        .show_points(values.VisibilityMode.AUTO)
        .thresholds(_thresholds(_bounds(shown)))
        .tooltip(common.VizTooltipOptions().mode(values.TooltipDisplayMode.MULTI))
        .legend(
            common.VizLegendOptions()
            .display_mode(values.LegendDisplayMode.LIST)
            .placement(values.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .links(list(look.links))
    )
    if _bounds(shown):
        style = common.GraphThresholdsStyleConfig().mode(values.GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(style)
    if look.stacked:
        panel.stacking(common.StackingConfig().mode(values.StackingMode.NORMAL).group("A"))
    for one in shown:
        panel.with_target(_target(one))
    for one in look.scale:
        reference = f"{one.query}{SCALE}"
        panel.with_target(_target(one).ref_id(reference))
        panel.override_by_query(reference, _UNSEEN)
    return panel


#: A series that counts for the axis and is not drawn.
_UNSEEN: Final = [
    model.DynamicConfigValue("custom.lineWidth", 0),
    model.DynamicConfigValue("custom.fillOpacity", 0),
    model.DynamicConfigValue("custom.showPoints", "never"),
    model.DynamicConfigValue("custom.stacking", {"mode": "none", "group": "A"}),
    model.DynamicConfigValue("custom.hideFrom", {"legend": True, "tooltip": True, "viz": False}),
]


def heat_map(title: str, shown: Shown, note: str = "") -> heatmap.Panel:
    """Return how often each latency occurred, over time, from cumulated buckets."""
    return (
        heatmap.Panel()
        .title(title)
        .description(_description([shown], note))
        .datasource(METRICS)
        .unit("s")
        .max_data_points(_CELLS)
        .thresholds(_thresholds(_bounds([shown])))
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(values.AxisPlacement.LEFT))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(values.HeatmapCellLayout.LE))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_values.HeatmapColorMode.SCHEME)
            .scheme("Turbo")
            .scale(heatmap_values.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .cell_values(heatmap.CellValues().unit(_unit([shown])))
        .with_target(_target(shown).format("heatmap"))  # type: ignore[arg-type]
    )


def figure(title: str, shown: Shown, note: str = "", *, good: str = "green") -> stat.Panel:
    """Return one number: over the range shown, or the newest."""
    return (
        stat.Panel()
        .title(title)
        .description(_description([shown], note))
        .datasource(METRICS)
        .unit(_unit([shown]))
        .decimals(2 if shown.live.unit == "ratio" else 0)
        .no_value("–")
        .color_mode(values.BigValueColorMode.VALUE)
        .graph_mode(values.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(_bounds([shown]), good))
        .with_target(_target(shown).instant())
    )


def traces(title: str, search: str, cell: str, bound: str = "0s") -> table.Panel:
    """Return a table of traces, each a link to its spans."""
    found = searches()[search]
    query = (
        tempo.TempoQuery()
        .ref_id(search)
        .datasource(TRACES)
        .query_type("traceql")
        .query(found.render(cell=cell, bound=bound))
        .limit(20)
        .spss(3)
        .table_type(tempo_values.SearchTableType.TRACES)
    )
    return (
        table.Panel()
        .title(title)
        .description(found.meaning)
        .datasource(TRACES)
        .unit("short")
        .no_value("no such trace, or no Tempo")
        .thresholds(_thresholds(()))
        .sort_by([common.TableSortByFieldState().display_name("Duration").desc(True)])
        .with_target(query)
    )


def _target(shown: Shown) -> prometheus.Dataquery:
    query = (
        prometheus.Dataquery()
        .ref_id(shown.query)
        .datasource(METRICS)
        .expr(shown.expression())
        .legend_format(shown.live.legend or shown.live.name)
        .range()
    )
    return query.exemplar(True) if shown.exemplars else query


def _unit(shown: Sequence[Shown]) -> str:
    units = {one.live.unit for one in shown}
    if len(units) != 1:
        raise ValueError(f"one axis for {', '.join(sorted(units))}")
    unit = units.pop()
    return _UNITS.get(unit, f"count:{unit}")


def _bounds(shown: Sequence[Shown]) -> tuple[float, ...]:
    """Return the bounds of what is shown, which must agree, as there is one axis."""
    found = {one.live.bounds for one in shown if one.live.bounds}
    if len(found) > 1:
        raise ValueError(f"several bounds on one axis: {sorted(found)}")
    return found.pop() if found else ()


def _description(shown: Sequence[Shown], note: str) -> str:
    meanings = list(dict.fromkeys(one.live.meaning for one in shown))
    return "\n\n".join([*meanings, *([note] if note else [])])


def _thresholds(bounds: Sequence[float], good: str = "green") -> dashboard.ThresholdsConfig:
    colours = zip(bounds, ("orange", "red"), strict=False)
    steps = [model.Threshold(value=bound, color=colour) for bound, colour in colours]
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=None, color=good), *steps])
    )

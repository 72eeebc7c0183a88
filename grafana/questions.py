"""What the dashboards ask, one question after another, as Grafana would send it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import grafana

#: What the query is called in a panel that has it for its scale alone.
SCALE: Final = "-for-scale"
_SCRAPE_SECONDS: Final = 1
#: Below this many seconds, that step: Grafana rounds to what people count in.
_STEPS: Final = ((1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60))


@dataclass(frozen=True, slots=True)
class Question:
    """A query, where it stands, by which name the catalogue has it, and how fine its answer is."""

    dashboard: str
    place: str
    name: str
    kind: Literal["range", "instant", "labels", "traces"]
    text: str
    points: int = 1000

    def request(
        self, variables: Mapping[str, str], begin: float, end: float
    ) -> tuple[str, dict[str, Any]]:
        """Return path and parameters of the request for a range, in Unix seconds.

        It goes to Prometheus, or to Tempo where it is about traces. KeyError for a variable of the
        dashboard that has no value.
        """
        step = _step((end - begin) / self.points)
        window = max(step + _SCRAPE_SECONDS, 4 * _SCRAPE_SECONDS)
        own = {"__range": f"{round(end - begin)}s", "__rate_interval": f"{window}s"}
        text = re.sub(r"\$(\w+)", lambda found: {**variables, **own}[found[1]], self.text)
        if self.kind == "traces":
            return "search", {"q": text, "start": int(begin), "end": int(end) + 1, "limit": 20}
        if self.kind == "instant":
            return "query", {"query": text, "time": end}
        if self.kind == "range":
            return "query_range", {"query": text, "start": begin, "end": end, "step": step}
        match, label = text.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        return f"label/{label}/values", {"match[]": match, "start": begin, "end": end}


def _step(seconds: float) -> int:
    """Return the step that Grafana takes where so many seconds would lie between two points."""
    return next((step for bound, step in _STEPS if seconds < bound), round(seconds))


def questions() -> Iterator[Question]:
    """Yield every query of every dashboard: of panels, of variables, of annotations."""
    for uid, dashboard in grafana.dashboards().items():
        for panel in charts(dashboard):
            for target in panel["targets"]:
                yield _of_target(uid, panel, target)
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield _of_variable(uid, variable)
        for mark in dashboard["annotations"]["list"]:
            if mark["datasource"]["type"] == "prometheus":
                name = mark["target"]["refId"]
                yield Question(uid, f"mark {mark['name']}", name, "range", mark["expr"], 100)


def charts(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def _of_target(uid: str, panel: Mapping[str, Any], target: Mapping[str, Any]) -> Question:
    reference = target["refId"]
    place, name = f"{panel['title']}: {reference}", reference.removesuffix(SCALE)
    if target["datasource"]["type"] == "tempo":
        return Question(uid, place, name, "traces", target["query"])
    kind: Literal["instant", "range"] = "instant" if target["instant"] else "range"
    return Question(uid, place, name, kind, target["expr"], panel.get("maxDataPoints", 1000))


def _of_variable(uid: str, variable: Mapping[str, Any]) -> Question:
    query = variable["query"]["query"]
    name, place = variable["query"]["refId"], f"variable {variable['name']}"
    if found := re.fullmatch(r"query_result\((.*)\)", query, re.DOTALL):
        return Question(uid, place, name, "instant", found[1])
    return Question(uid, place, name, "labels", query)

"""`taskscope grafana push`: data sources, folder and dashboards, as they should be.

What is as it should be already is left alone, so that the same command may be given again and
again, and whoever else edits these dashboards sees no new version without a change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from grafana_client import GrafanaApi

import grafana
from taskscope import grafana_api
from taskscope.errors import UsageError
from taskscope.grafana_api import explained, found

type Outcome = Literal["created", "updated", "unchanged", "provisioned"]


@dataclass(frozen=True, slots=True)
class Pushed:
    """One thing of Grafana's, and what became of it."""

    what: str
    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Sources:
    """Where Grafana's server finds Prometheus and Tempo; without an address, no data source."""

    prometheus_url: str | None
    tempo_url: str | None


def push_all(base_url: str, sources: Sources) -> list[Pushed]:
    """Bring a Grafana up to date and return what was done.

    UsageError for a missing or refused token or permission, MissingServiceError without a Grafana.
    """
    wanted = list(_data_sources(sources))
    api = grafana_api.connect(base_url, grafana_api.token())
    grafana_api.check(api, base_url)
    with explained(base_url, "write data sources"):
        done = [
            Pushed("data source", source["name"], _push_source(api, source)) for source in wanted
        ]
    with explained(base_url, "write folders"):
        done.append(Pushed("folder", grafana.FOLDER_TITLE, _push_folder(api)))
    with explained(base_url, "write dashboards"):
        for uid, dashboard in grafana.dashboards().items():
            outcome = _push_dashboard(api, uid, dashboard)
            done.append(Pushed("dashboard", dashboard["title"], outcome))
    return done


def _data_sources(sources: Sources) -> Iterator[dict[str, Any]]:
    """Yield the data sources that have an address, credentials apart from it."""
    prometheus = sources.prometheus_url and _address(sources.prometheus_url, "--prometheus-url")
    tempo = sources.tempo_url and _address(sources.tempo_url, "--tempo-url")
    made = grafana.data_sources(prometheus or "", tempo or None)
    for source in made:
        if source["url"]:
            given = str(sources.tempo_url if source["type"] == "tempo" else sources.prometheus_url)
            yield {**source, **_credentials(given)}


def _address(url: str, option: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            f"What was given as {option} is no address.",  # it may hold a password
            f"Write {option} http://host:port, as Grafana's server reaches it.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return urlunsplit((parts.scheme, f"{host}:{port}" if port else host, parts.path, "", ""))


def _credentials(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if not parts.username:
        return {}
    return {
        "basicAuth": True,
        "basicAuthUser": unquote(parts.username),
        "secureJsonData": {"basicAuthPassword": unquote(parts.password or "")},
    }


def _push_source(api: GrafanaApi, source: Mapping[str, Any]) -> Outcome:
    present = found(api.datasource.get_datasource_by_uid, source["uid"])
    if present is None:
        api.datasource.create_datasource(source)
        return "created"
    if present.get("readOnly"):
        return "provisioned"
    secret = "secureJsonData" in source  # Grafana tells nobody what it holds: written again
    if not secret and _has(present, source):
        return "unchanged"
    api.datasource.update_datasource_by_uid(source["uid"], {**present, **source})
    return "updated"


def _push_folder(api: GrafanaApi) -> Outcome:
    if found(api.folder.get_folder, grafana.FOLDER_UID) is not None:
        return "unchanged"
    api.folder.create_folder(grafana.FOLDER_TITLE, uid=grafana.FOLDER_UID)
    return "created"


def _push_dashboard(api: GrafanaApi, uid: str, dashboard: Mapping[str, Any]) -> Outcome:
    present = found(api.dashboard.get_dashboard, uid)
    if present is not None:
        if present["meta"].get("provisioned"):
            return "provisioned"
        in_place = present["meta"].get("folderUid") == grafana.FOLDER_UID
        if in_place and _without_number(present["dashboard"]) == _without_number(dashboard):
            return "unchanged"
    api.dashboard.update_dashboard(
        {
            "dashboard": {**dashboard, "id": None},
            "folderUid": grafana.FOLDER_UID,
            "overwrite": True,
            "message": "taskscope grafana push",
        }
    )
    return "created" if present is None else "updated"


def _without_number(dashboard: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dashboard without what each Grafana adds by itself."""
    return {key: value for key, value in dashboard.items() if key not in {"id", "version"}}


def _has(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all that is wanted is present, whatever else may be."""
    return all(present.get(key) == value for key, value in wanted.items())

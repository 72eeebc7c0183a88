"""An HTTP server that answers as Grafana's API does, and keeps what it is told.

No Grafana could be run where this was written. Paths, status codes and bodies are those of
Grafana's documentation of its HTTP API and of the handlers in its source (versions 11 and 12):
401 for a token that it does not know, 403 with the permission that is missing, 404 for what is not
there, 412 for a folder or dashboard that is there already, 403 for a read-only data source.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROLES = {
    "admin-token": {"datasources", "folders", "dashboards", "annotations"},
    "editor-token": {"folders", "dashboards", "annotations"},
    "viewer-token": set[str](),
}


@dataclass
class Grafana:
    """What it holds, and every request that was made: method, path and body."""

    url: str = ""
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    prefix: str = ""
    hangs: bool = False
    fails: bool = False

    @property
    def written(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _ in self.requests if method != "GET"]

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        """Return status and body."""
        self.requests.append((method, path, body))
        if self.fails:
            return 500, {"message": "database is locked"}
        if path == "/health":
            return 200, {"commit": "abc", "database": "ok", "version": "12.0.0"}
        if token not in ROLES:
            return 401, {"message": "Invalid API key", "messageId": "api-key.invalid",
                         "statusCode": 401, "traceID": ""}  # fmt: skip
        kind = path.split("/")[1]
        if method != "GET" and kind not in ROLES[token]:
            return 403, {
                "accessErrorId": "ACE0123456789", "title": "Access denied",
                "message": "You'll need additional permissions to perform this action. "
                           f"Permissions needed: {kind}:create",
            }  # fmt: skip
        handler = getattr(self, f"_{kind}", None)
        return handler(method, path, body) if handler else (404, {"message": "Not found"})

    def _datasources(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        uid = path.rpartition("/")[2]
        if method == "POST":
            if any(body["name"] == there["name"] for there in self.sources.values()):
                return 409, {"message": "data source with the same name already exists"}
            self.sources[body["uid"]] = self._stored(body)
            return 200, {"message": "Datasource added", "name": body["name"],
                         "datasource": self.sources[body["uid"]]}  # fmt: skip
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        if method == "GET":
            return 200, self.sources[uid]
        if self.sources[uid]["readOnly"]:
            return 403, {"message": "Cannot update read-only data source"}
        self.sources[uid] = self._stored(body)
        return 200, {"message": "Datasource updated", "datasource": self.sources[uid]}

    @staticmethod
    def _stored(body: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in body.items() if key != "secureJsonData"}
        secret = dict.fromkeys(body.get("secureJsonData", {}), True)
        return {"id": 1, "orgId": 1, "isDefault": False, "basicAuth": False, "version": 1,
                "readOnly": False, **kept, "secureJsonFields": secret}  # fmt: skip

    def _folders(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "POST":
            if body["uid"] in self.folders:
                return 412, {"message": "a folder with that UID already exists"}
            self.folders[body["uid"]] = {"id": 7, "version": 1, **body}
            return 200, self.folders[body["uid"]]
        found = self.folders.get(path.rpartition("/")[2])
        return (200, found) if found else (404, {"message": "folder not found",
                                                 "status": "not-found"})  # fmt: skip

    def _dashboards(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "GET":
            found = self.boards.get(path.rpartition("/")[2])
            return (200, found) if found else (404, {"message": "Dashboard not found"})
        uid, folder = body["dashboard"]["uid"], body["folderUid"]
        if folder not in self.folders:
            return 400, {"message": "folder not found"}
        before = self.boards.get(uid)
        if before and before["meta"]["provisioned"]:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if before and not body["overwrite"]:
            return 412, {"message": "The dashboard has been changed by someone else",
                         "status": "version-mismatch"}  # fmt: skip
        version = before["dashboard"]["version"] + 1 if before else 1
        self.boards[uid] = {
            "dashboard": {**body["dashboard"], "id": len(self.boards) + 1, "version": version},
            "meta": {"folderUid": folder, "provisioned": False, "version": version},
        }
        return 200, {"id": 1, "uid": uid, "url": f"/d/{uid}/x", "status": "success",
                     "version": version}  # fmt: skip

    def _annotations(self, method: str, _path: str, body: Any) -> tuple[int, Any]:
        if method != "POST":
            return 404, {"message": "Not found"}
        if not body["text"]:
            return 400, {"message": "Failed to save annotation"}
        self.annotations.append(body)
        return 200, {"message": "Annotation added", "id": len(self.annotations)}


@contextmanager
def recording_grafana(prefix: str = "") -> Iterator[Grafana]:
    """Serve one on a free loopback port, below a path if need be."""
    grafana = Grafana(prefix=prefix)

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            while grafana.hangs:
                time.sleep(0.05)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            inside = re.fullmatch(rf"{re.escape(prefix)}/api(/.*)", self.path)
            if inside is None:
                self._send(200, b"<html>Some other site</html>", "text/html; charset=UTF-8")
                return
            status, answer = grafana.answer(self.command, inside[1], token, body)
            self._send(status, json.dumps(answer).encode(), "application/json")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # whom it kept waiting has gone
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = _any  # noqa: N815 - what http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    grafana.url = f"http://127.0.0.1:{server.server_port}{prefix}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield grafana
    finally:
        grafana.hangs = False
        server.shutdown()
        server.server_close()
        thread.join()

"""An HTTP API that takes as long as it is told to: what I/O-bound tasks wait for.

    TASKSCOPE_MOCK_API='{"latency_seconds": 0.1}' uvicorn tasks.mock_api:app
    python -m tasks.mock_api --port 8000

`GET /items/N` answers after the latency of item N, or fails as item N does: all follows from the
seed and the number, so that every client sees the same whatever the order. It is plain ASGI, as
FastAPI's routing would cost more than all else; `/health` and `/settings` are FastAPI's. `/metrics`
tells how busy the process was, how late its answers were, and how far its event loop lagged:
whether it, and not its client, was what limited.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import generate_latest

from tasks.mock_items import Item, Settings, items, read_settings
from tasks.mock_metrics import Metrics

_TICK_SECONDS = 0.010
_CHUNKS_A_SECOND = 100
_ITEMS = "/items/"


def create(settings: Settings, metrics: Metrics) -> Any:
    """Return the ASGI application."""
    chosen = items(settings)
    described = _described(settings, metrics)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        path: str = scope.get("path", "")
        number = path[len(_ITEMS) :]
        if path.startswith(_ITEMS) and number.isascii() and number.isdigit():
            await _answer(chosen(int(number)), send, metrics)
        else:
            await described(scope, receive, send)

    return application


async def _answer(item: Item, send: Any, metrics: Metrics) -> None:
    arrived = perf_counter()
    metrics.in_flight += 1
    try:
        await asyncio.sleep(item.latency_seconds)
        status = 503 if item.fails else 200
        await send({"type": "http.response.start", "status": status, "headers": item.headers})
        await _send_body(item, send)
        late = max(perf_counter() - arrived - item.seconds, 0.0)  # timers may fire early
        metrics.answered(item.seconds, late, failed=item.fails)
    finally:
        metrics.in_flight -= 1


async def _send_body(item: Item, send: Any) -> None:
    """Send the body at once, or in chunks as the bandwidth lets them through."""
    size = len(item.body)
    if item.bandwidth:
        size = max(1, int(item.bandwidth / _CHUNKS_A_SECOND))
    for start in range(0, max(len(item.body), 1), size or 1):
        chunk = item.body[start : start + size]
        if item.bandwidth:
            await asyncio.sleep(len(chunk) / item.bandwidth)
        more = start + size < len(item.body)
        await send({"type": "http.response.body", "body": chunk, "more_body": more})


def _described(settings: Settings, metrics: Metrics) -> FastAPI:
    @asynccontextmanager
    async def ticking(_app: FastAPI) -> AsyncIterator[None]:
        ticker = asyncio.create_task(_tick(metrics))
        yield
        ticker.cancel()

    api = FastAPI(title="taskscope mock API", lifespan=ticking)

    @api.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/settings")
    async def told() -> dict[str, Any]:
        return dict(msgspec.to_builtins(settings))

    @api.get("/metrics")
    async def exposition() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain")

    return api


async def _tick(metrics: Metrics) -> None:
    """Note how late the event loop is: a request that just came in waits as long for its turn."""
    while True:
        began = perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        metrics.lagged(perf_counter() - began - _TICK_SECONDS)


app = create(read_settings(os.environ), Metrics())


def main(argv: list[str] | None = None) -> None:
    """Serve on loopback until told to end."""
    parser = argparse.ArgumentParser(prog="python -m tasks.mock_api", description=__doc__)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    options = parser.parse_args(argv)
    uvicorn.run(
        app, host=options.host, port=options.port, loop="uvloop", http="httptools",
        log_level="warning", access_log=False, backlog=4096, timeout_keep_alive=600,
    )  # fmt: skip


if __name__ == "__main__":
    main()

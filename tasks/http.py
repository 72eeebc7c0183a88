"""HTTP clients as each side's users have them: one for each process, its connections kept open."""

import asyncio
import logging
import os
from functools import cache

import httpx
import requests
from requests.adapters import HTTPAdapter

_TIMEOUT_SECONDS = 60
_MOST_CONNECTIONS = 1000


def get(url: str) -> bytes:
    """GET, blocking the thread. requests.RequestException unless the answer is a good one."""
    response = _session(os.getpid()).get(url, timeout=_TIMEOUT_SECONDS)
    response.raise_for_status()
    return response.content


async def get_async(url: str) -> bytes:
    """GET from the event loop. httpx.HTTPError unless the answer is a good one."""
    response = await _client(asyncio.get_running_loop()).get(url)
    response.raise_for_status()
    return response.content


@cache
def _session(_pid: int) -> requests.Session:
    """Return the process's session: one of before a fork would share its connections."""
    session = requests.Session()
    session.trust_env = False  # no proxy leads to the mock API
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=_MOST_CONNECTIONS))
    return session


@cache
def _client(_loop: asyncio.AbstractEventLoop) -> httpx.AsyncClient:
    """Return the event loop's client: its connections are of no use to another."""
    # It writes a line for each request at INFO, which AsyncTasQ's worker would print in colour, at
    # more CPU time than the request takes. No worker here logs anything else for each task.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # The default limits: a larger pool of idle connections costs CPU time with each request.
    return httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False)

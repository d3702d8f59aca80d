"""What machines ask: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever restarts or replaces a gateway.

    GET  /metrics    the text of Prometheus, or of OpenMetrics where that is asked for
    GET  /healthz    ProbeView: 200 alive, 503 not
    GET  /readyz     ProbeView: 200 ready, 503 not

None of them depends on devices or brokers: a power cut in the plant must never look like a gateway that is ill.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from agent.metrics.exposition import render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.control.desk import Desk
    from agent.status import ProbeView

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Probes:
    """One method per route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> dict[str, Handler]:
        return {"GET /metrics": self.metrics, "GET /healthz": self.healthz, "GET /readyz": self.readyz}

    async def metrics(self, request: web.Request) -> web.Response:
        # In a thread: a thousand devices make some ten thousand lines, and no alarm waits for them.
        accept = request.headers.get("Accept", "")
        body, content_type = await asyncio.to_thread(render, self._desk.scrape(), accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(self, _: web.Request) -> web.Response:
        return _answer(self._desk.alive())

    async def readyz(self, _: web.Request) -> web.Response:
        return _answer(self._desk.ready())


def _answer(probe: ProbeView) -> web.Response:
    status = HTTPStatus.OK if probe.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(body=msgspec.json.encode(probe), status=status, content_type="application/json")

"""The control API: the desk as HTTP and JSON, for whoever is let in.

    GET  /v1/status              Status
    GET  /v1/config              ConfigView
    GET  /v1/points?device=      [PointView]
    POST /v1/config/reload       {reason} -> ReloadView
    POST /v1/read                {device, points, orders} -> [PointView]
    GET  /v1/watch?point=…       NDJSON, one [PointView] a line
    GET  /v1/tail?stream=…       NDJSON, one envelope a line
    POST /v1/alarms/order        {verb, alarm_id, comment, …} -> AlarmView
    POST /v1/maintenance/start   {system, until_s, reason, …} -> MaintenanceView
    POST /v1/maintenance/end     {id, reason} -> MaintenanceView
    GET  /metrics, /healthz, /readyz     see `agent.control.probes`

An error is `{"error": what happened, "hint": what to do}` with a fitting status code. Who the caller is, is found out
by who serves this application; what they may do is in `agent.control.roles`.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import web

from agent.control.desk import Refusal
from agent.control.probes import Probes
from agent.control.requests import (
    AlarmHistoryRequest,
    AlarmRequest,
    BackupRequest,
    EndRequest,
    HistoryRequest,
    MaintenanceRequest,
    OccurrenceRequest,
    ReadRequest,
    ReloadRequest,
)
from agent.control.roles import LOCAL, NEEDED, ORDERS, Caller, Forbidden, require
from agent.rules import MaintenanceCommand
from drivers.errors import DriverError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from agent.control.desk import Desk

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_BYTES_MAX = 64 * 1024
STREAMS_MAX = 32
VERSION_HINT = "client and daemon should be of one version"
CALLER = web.RequestKey("caller", Caller)

_T = TypeVar("_T")


class Routes:
    """The API as routes of one application; `middleware` asks `identify` who is there, and whether they may."""

    def __init__(self, desk: Desk, identify: Callable[[web.Request], Caller], *, remote: bool = False) -> None:
        self._desk = desk
        self._identify = identify
        self._api = _Api(desk)
        self._left_out = LOCAL if remote else frozenset()

    def add_to(self, app: web.Application) -> None:
        for route, handler in self._api.routes().items():
            method, _, path = route.partition(" ")
            if route not in self._left_out:
                app.router.add_route(method, path, self._admitting(handler, route))
        app.on_shutdown.append(self._api.end_streams)

    def _admitting(self, handler: Handler, route: str) -> Handler:
        needed = NEEDED[route]

        async def admit(request: web.Request) -> web.StreamResponse:
            caller = self._identify(request)
            request[CALLER] = caller
            try:
                await require(caller, needed, route)
                return await handler(request)
            except Forbidden as forbidden:
                self._desk.turned_away(await caller.actor(), route, forbidden.what)
                raise

        return admit


class _Api:
    """One method per route; `_streams` are the watchers that a shutdown has to end."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._probes = Probes(desk)
        self._streams: set[asyncio.Task[object]] = set()

    def routes(self) -> dict[str, Handler]:
        return {
            "GET /v1/status": self.status,
            "GET /v1/config": self.configuration,
            "POST /v1/config/reload": self.reload,
            "GET /v1/points": self.points,
            "POST /v1/read": self.read,
            "GET /v1/watch": self.watch,
            "GET /v1/tail": self.tail,
            "GET /v1/history": self.history,
            "GET /v1/alarms/history": self.alarm_history,
            "GET /v1/alarms/occurrence": self.occurrence,
            "POST /v1/journal/backup": self.backup,
            "POST /v1/alarms/order": self.order,
            "POST /v1/maintenance/start": self.start_maintenance,
            "POST /v1/maintenance/end": self.end_maintenance,
            **self._probes.routes(),
        }

    async def status(self, _: web.Request) -> web.Response:
        return answer(self._desk.status())

    async def configuration(self, _: web.Request) -> web.Response:
        return answer(await self._desk.configuration())

    async def reload(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=ReloadRequest)
        return answer(await self._desk.reload(await request[CALLER].actor(), asked.reason))

    async def points(self, request: web.Request) -> web.Response:
        return answer(self._desk.points(request.query.get("device")))

    async def read(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=ReadRequest)
        return answer(await self._desk.read(asked.device, asked.points, orders=asked.orders))

    async def watch(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._desk.watch(request.query.getall("point", [])), msgspec.json.encode)

    async def tail(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._desk.tail(request.query.getall("stream", [])), bytes)

    async def history(self, request: web.Request) -> web.Response:
        asked = msgspec.convert(dict(request.query), HistoryRequest, strict=False)
        return answer(await self._desk.history(asked.point, asked.from_s, asked.to_s, asked.every_s))

    async def alarm_history(self, request: web.Request) -> web.Response:
        asked = msgspec.convert(dict(request.query), AlarmHistoryRequest, strict=False)
        return answer(await self._desk.alarm_history(asked.alarm_id, asked.from_s, asked.to_s))

    async def occurrence(self, request: web.Request) -> web.Response:
        asked = msgspec.convert(dict(request.query), OccurrenceRequest, strict=False)
        return answer(await self._desk.occurrence(asked.alarm_id, asked.occurrence_id))

    async def backup(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=BackupRequest)
        await asyncio.shield(self._desk.backup(asked.path))
        return answer({})

    async def order(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=AlarmRequest)
        await require(request[CALLER], ORDERS[asked.verb], asked.verb)
        actor = await request[CALLER].actor()
        # Shielded, as those below: an operator who hangs up must not interrupt what is being stored.
        return answer(await asyncio.shield(self._desk.order(asked.command(actor), actor)))

    async def start_maintenance(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=MaintenanceRequest)
        actor = await request[CALLER].actor()
        return answer(await asyncio.shield(self._desk.maintain(asked.command(actor), actor)))

    async def end_maintenance(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=EndRequest)
        actor = await request[CALLER].actor()
        command = MaintenanceCommand("maintenance-end", actor.id, asked.reason, id=asked.id)
        return answer(await asyncio.shield(self._desk.maintain(command, actor)))

    async def _stream(
        self, request: web.Request, items: AsyncGenerator[_T, None], encode: Callable[[_T], bytes]
    ) -> web.StreamResponse:
        if len(self._streams) >= STREAMS_MAX:
            raise Refusal(f"{STREAMS_MAX} watchers are connected already", "close one of them first")
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            return await _send(request, items, encode)
        finally:
            self._streams.discard(task)

    async def end_streams(self, _: web.Application) -> None:
        for task in self._streams:
            task.cancel()


async def _send(
    request: web.Request, items: AsyncGenerator[_T, None], encode: Callable[[_T], bytes]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    async with aclosing(items):
        await response.prepare(request)
        with suppress(ConnectionResetError):
            async for item in items:
                await response.write(encode(item).rstrip(b"\n") + b"\n")
    return response


def answer(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what is raised into a status code and two sentences; a bug goes on to be one."""
    try:
        return await handler(request)
    except (KeyError, IndexError):
        raise
    except (LookupError, Refusal, DriverError, msgspec.DecodeError, web.HTTPException) as error:
        return _error(error)


def _error(error: Exception) -> web.Response:
    match error:
        case LookupError():
            what, _, hint = str(error).partition("; ")
            code = 404
        case Refusal(status=code, what=what, hint=hint):
            pass
        case DriverError(endpoint=endpoint, what=said, hint=hint):
            what = f"{endpoint}: {said}"
            code = 504 if isinstance(error, NoAnswer) else 502
        case web.HTTPException():
            code, what, hint = error.status, error.reason, VERSION_HINT
        case _:
            code, what, hint = 400, f"the request is not understood: {error}", VERSION_HINT
    return answer({"error": what, "hint": hint}, code)

"""The control API: the desk as HTTP and JSON on a Unix socket. Who may connect is decided by the file's mode (0660).

    GET  /v1/status              Status
    GET  /v1/config              ConfigView
    GET  /v1/points?device=      [PointView]
    POST /v1/read                {device, points} -> [PointView]
    GET  /v1/watch?point=…       NDJSON, one [PointView] a line
    GET  /v1/tail?stream=…       NDJSON, one envelope a line
    POST /v1/alarms/order        {verb, alarm_id, comment, …} -> AlarmView
    POST /v1/maintenance/start   {system, until_s, reason, …} -> MaintenanceView
    POST /v1/maintenance/end     {id, reason} -> MaintenanceView

An error is `{"error": what happened, "hint": what to do}` with a fitting status code. The peer's credentials, taken
from the kernel, are the actor; nothing that the client says about itself counts.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat
import struct
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from aiohttp import web

from agent.control.desk import Refusal
from agent.events import Actor
from agent.rules import AlarmCommand, MaintenanceCommand, Refused
from agent.rules.commands import AlarmVerb, start_of_maintenance
from config.model import Preset
from drivers.errors import DriverError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from agent.control.desk import Desk

REQUEST_BYTES_MAX = 64 * 1024
STREAMS_MAX = 32
SHUTDOWN_S = 1.0
PROBE_S = 1.0
PATH_BYTES_MAX = 107
"""What Linux leaves of `sockaddr_un` for the name."""
VERSION_HINT = "client and daemon should be of one version"

_T = TypeVar("_T")


class SocketBlocked(Exception):
    """The control socket cannot be opened; the sentence says why and what to do."""


class ReadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: str
    points: list[str] = []


class HistoryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    point: str
    from_s: float
    to_s: float
    every_s: Annotated[float, msgspec.Meta(gt=0)] | None = None


class AlarmHistoryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_s: float
    to_s: float
    alarm_id: str | None = None


class OccurrenceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm_id: str
    occurrence_id: str | None = None


class BackupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str


class AlarmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verb: AlarmVerb
    alarm_id: str
    comment: str = ""
    until_s: float | None = None
    work_order: str = ""
    owner: str = ""

    def command(self, actor: Actor) -> AlarmCommand:
        return AlarmCommand(
            self.verb,
            self.alarm_id,
            actor.id,
            self.comment,
            until=self.until_s,
            work_order=self.work_order,
            owner=self.owner,
        )


class MaintenanceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`preset` instead of the lists."""

    reason: str
    until_s: float
    device: list[str] = []
    system: list[str] = []
    building: list[str] = []
    floor: list[str] = []
    space: list[str] = []
    preset: Preset | None = None

    def command(self, actor: Actor) -> MaintenanceCommand:
        try:
            return start_of_maintenance(self, actor.id, self.until_s)
        except Refused as refused:
            raise Refusal(str(refused)) from refused


class EndRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    reason: str = ""


@asynccontextmanager
async def serve(desk: Desk, path: Path) -> AsyncIterator[None]:
    """Answer on `path` until the block is left. Raises `SocketBlocked`."""
    with _listener(path) as listener:
        runner = web.AppRunner(_app(desk), access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()


@contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    """A socket bound to `path`, and its file removed afterwards if it is still ours."""
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        try:
            listener.bind(str(path))
            # Nobody can connect before listen(), so the mode is right from the first connection on.
            path.chmod(0o660)
            listener.listen()
        except OSError as error:
            raise SocketBlocked(_advice(path, error)) from error
        ours = path.stat().st_ino
        try:
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == ours:
                    path.unlink()


def _clear(path: Path) -> None:
    """Remove a socket that nobody answers on; refuse to touch anything else."""
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise SocketBlocked(
            f"control socket path is longer than {PATH_BYTES_MAX} bytes: {path}; set a shorter control_socket"
        )
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketBlocked(_advice(path, error)) from error
    if not stat.S_ISSOCK(mode):
        raise SocketBlocked(f"{path} exists and is not a socket; remove it or set another control_socket")
    if _answers(path):
        raise SocketBlocked(f"another wardgate already answers on {path}; stop it or set another control_socket")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError as error:
            # Busy or forbidden: somebody is there, so the file stays.
            raise SocketBlocked(_advice(path, error)) from error
        return True


def _advice(path: Path, error: OSError) -> str:
    hints = {
        FileNotFoundError: f"create the folder {path.parent} or set another control_socket",
        PermissionError: f"give this user write access to {path.parent} or set another control_socket",
    }
    hint = hints.get(type(error), "set another control_socket in gateway.yaml")
    return f"cannot open the control socket {path}: {error.strerror or error}; {hint}"


def _app(desk: Desk) -> web.Application:
    app = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[_explain])
    api = _Api(desk)
    app.router.add_get("/v1/status", api.status)
    app.router.add_get("/v1/config", api.configuration)
    app.router.add_get("/v1/points", api.points)
    app.router.add_post("/v1/read", api.read)
    app.router.add_get("/v1/watch", api.watch)
    app.router.add_get("/v1/tail", api.tail)
    app.router.add_get("/v1/history", api.history)
    app.router.add_get("/v1/alarms/history", api.alarm_history)
    app.router.add_get("/v1/alarms/occurrence", api.occurrence)
    app.router.add_post("/v1/journal/backup", api.backup)
    app.router.add_post("/v1/alarms/order", api.order)
    app.router.add_post("/v1/maintenance/start", api.start_maintenance)
    app.router.add_post("/v1/maintenance/end", api.end_maintenance)
    app.on_shutdown.append(api.end_streams)
    return app


class _Api:
    """One method per route; `_streams` are the watchers that a shutdown has to end."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._streams: set[asyncio.Task[object]] = set()

    async def status(self, _: web.Request) -> web.Response:
        return _json(self._desk.status())

    async def configuration(self, _: web.Request) -> web.Response:
        return _json(await self._desk.configuration())

    async def points(self, request: web.Request) -> web.Response:
        return _json(self._desk.points(request.query.get("device")))

    async def read(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=ReadRequest)
        return _json(await self._desk.read(asked.device, asked.points))

    async def watch(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._desk.watch(request.query.getall("point", [])), msgspec.json.encode)

    async def tail(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._desk.tail(request.query.getall("stream", [])), bytes)

    async def history(self, request: web.Request) -> web.Response:
        asked = msgspec.convert(dict(request.query), HistoryRequest, strict=False)
        return _json(await self._desk.history(asked.point, asked.from_s, asked.to_s, asked.every_s))

    async def alarm_history(self, request: web.Request) -> web.Response:
        asked = msgspec.convert(dict(request.query), AlarmHistoryRequest, strict=False)
        return _json(await self._desk.alarm_history(asked.alarm_id, asked.from_s, asked.to_s))

    async def occurrence(self, request: web.Request) -> web.Response:
        asked = msgspec.convert(dict(request.query), OccurrenceRequest, strict=False)
        return _json(await self._desk.occurrence(asked.alarm_id, asked.occurrence_id))

    async def backup(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=BackupRequest)
        await asyncio.shield(self._desk.backup(asked.path))
        return _json({})

    async def order(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=AlarmRequest)
        actor = _actor(request)
        # Shielded, as those below: an operator who hangs up must not interrupt what is being stored.
        return _json(await asyncio.shield(self._desk.order(asked.command(actor), actor)))

    async def start_maintenance(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=MaintenanceRequest)
        actor = _actor(request)
        return _json(await asyncio.shield(self._desk.maintain(asked.command(actor), actor)))

    async def end_maintenance(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=EndRequest)
        actor = _actor(request)
        command = MaintenanceCommand("maintenance-end", actor.id, asked.reason, id=asked.id)
        return _json(await asyncio.shield(self._desk.maintain(command, actor)))

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


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
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
        case Refusal(what=what, hint=hint):
            code = 409
        case DriverError(endpoint=endpoint, what=said, hint=hint):
            what = f"{endpoint}: {said}"
            code = 504 if isinstance(error, NoAnswer) else 502
        case web.HTTPException():
            code, what, hint = error.status, error.reason, VERSION_HINT
        case _:
            code, what, hint = 400, f"the request is not understood: {error}", VERSION_HINT
    return _json({"error": what, "hint": hint}, code)


def _actor(request: web.Request) -> Actor:
    """Who is at the other end, from the kernel; the name if the user has one here, otherwise the number."""
    assert request.transport is not None
    handle = request.transport.get_extra_info("socket")
    # A duplicate of our own, because uvloop's stand-in for the socket has no getsockopt().
    with socket.socket(fileno=os.dup(handle.fileno())) as peer:
        _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    return Actor(type="user", id=name, role="operator")

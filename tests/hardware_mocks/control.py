"""The control socket: one JSON object per line over a Unix socket, one reply line for each.

A reply is `{"ok": true, …}` or `{"ok": false, "error": "…"}`. Used between client, supervisor and servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]

LINE_LIMIT = 1 << 20


class CommandRefused(Exception):
    """The command was understood by nobody or is wrong; the text says what to send instead."""


class ControlServer:
    """Answers commands with what `handler` returns; its `CommandRefused` and `ValueError` become error replies."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LINE_LIMIT)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for writer in tuple(self._writers):
            writer.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                reply = await self._answer(line)
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, line: bytes) -> Message:
        try:
            return {"ok": True, **await self._handler(json.loads(line))}
        except (CommandRefused, ValueError, TypeError) as problem:
            return {"ok": False, "error": str(problem)}


async def ask(path: Path, message: Message) -> Message:
    """Send one command on a connection of its own. Raises `CommandRefused`, and `OSError` where nobody listens."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=LINE_LIMIT)
    try:
        writer.write(json.dumps(message).encode() + b"\n")
        line = await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    if not line:
        raise ConnectionResetError(f"{path}: closed without an answer")
    reply: Message = json.loads(line)
    if not reply.pop("ok"):
        raise CommandRefused(reply["error"])
    return reply

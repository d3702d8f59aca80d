"""The control API on a Unix socket: who may connect is decided by the file's mode, who may do what by their groups.

Without `roles` in gateway.yaml the file lets in its owner and its group (0660). With them, everybody on the machine may
connect (0666), and who has no role is refused every request.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aiohttp import web

from agent.control.acceptor import Acceptor
from agent.control.api import REQUEST_BYTES_MAX, Routes, explain
from agent.control.gate import Limits
from agent.control.peer import Groups, identify, source_of
from agent.control.socket_file import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from contextlib import AsyncExitStack
    from pathlib import Path

    from agent.control.desk import Desk
    from agent.part import Turn
    from config.model import Config, Role

LIMITS = Limits(connections=128, per_source=64, idle_s=75.0, body_s=10.0, write_s=3600.0)
"""One user cannot keep out the others. Whoever pages through `journal tail` may take their time to read."""

FILE_MODE, OPEN_FILE_MODE = 0o660, 0o666


class Rights:
    """Whose groups give which role on the socket at `path`; from one request to the next they may be others."""

    def __init__(self, groups: Groups, path: Path) -> None:
        self.groups = groups
        self._path = path

    @property
    def file_mode(self) -> int:
        return OPEN_FILE_MODE if self.groups.is_open else FILE_MODE

    async def prepare(self, config: Config, _: AsyncExitStack) -> Turn:
        """See `agent.part`. Groups are looked up anew, whether or not other ones are configured."""
        groups = await asyncio.to_thread(Groups, config.roles)

        async def turn() -> None:
            self.groups = groups
            with suppress(FileNotFoundError):  # somebody has removed the file, and nobody can come in
                self._path.chmod(self.file_mode)

        return turn


@asynccontextmanager
async def serve(desk: Desk, path: Path, roles: Mapping[Role, Iterable[str]] | None = None) -> AsyncIterator[Rights]:
    """Answer on `path` until the block is left; `roles` names groups. Raises `SocketBlocked`."""
    rights = Rights(await asyncio.to_thread(Groups, roles or {}), path)
    acceptor = Acceptor(LIMITS, lambda peer, _: source_of(peer))
    with listening(path, rights.file_mode) as listener:
        async with acceptor.serving(application(desk, rights), listener):
            yield rights


def application(desk: Desk, rights: Rights) -> web.Application:
    app = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[explain])
    Routes(desk, lambda request: identify(request, rights.groups)).add_to(app)
    return app

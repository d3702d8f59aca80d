"""The control API on a Unix socket: who may connect is decided by the file's mode, who may do what by their groups.

Without `roles` in gateway.yaml the file lets in its owner and its group (0660). With them, everybody on the machine may
connect (0666), and who has no role is refused every request.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from agent.control.api import REQUEST_BYTES_MAX, Routes, explain
from agent.control.peer import Groups, identify
from agent.control.socket_file import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from agent.control.desk import Desk
    from config.model import Role

SHUTDOWN_S = 1.0
FILE_MODE, OPEN_FILE_MODE = 0o660, 0o666


@asynccontextmanager
async def serve(desk: Desk, path: Path, roles: Mapping[Role, Iterable[str]] | None = None) -> AsyncIterator[None]:
    """Answer on `path` until the block is left; `roles` names groups. Raises `SocketBlocked`."""
    groups = await asyncio.to_thread(Groups, roles or {})
    with listening(path, OPEN_FILE_MODE if groups.is_open else FILE_MODE) as listener:
        runner = web.AppRunner(
            application(desk, groups), access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()


def application(desk: Desk, groups: Groups) -> web.Application:
    app = web.Application(client_max_size=REQUEST_BYTES_MAX, middlewares=[explain])
    Routes(desk, lambda request: identify(request, groups)).add_to(app)
    return app

"""The real listener on a free port of loopback, in front of a fake desk, and a browser of sorts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from aiohttp import ClientSession, CookieJar
from fake_desk import FakeDesk

from agent.clock import ManualClock
from agent.control.listener import Listener
from agent.health import Health
from config.outward import Account, Http, ListenAddress
from config.proofs import Proof, of_password, of_token

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from agent.control.gate import Limits

PASSWORD = "correct horse battery"
TOKEN = "tkn-0123456789abcdef0123456789abcdef"
ANYWHERE = ListenAddress("127.0.0.1", 0)
WITHIN_S = 60.0


@cache
def proof() -> Proof:
    """Of `PASSWORD`; made once, because that is meant to be slow."""
    return of_password(PASSWORD)


def accounts() -> dict[str, Account]:
    return {
        "anna": Account("acknowledge", proof()),
        "guard": Account("view", proof()),
        "prometheus": Account("view", of_token(TOKEN)),
    }


class Page:
    """What is behind the door, and `ask` to knock."""

    def __init__(self, settings: Http, limits: Limits | None, desk: FakeDesk | None = None) -> None:
        self.desk = desk or FakeDesk()
        self._settings = settings
        self._running: asyncio.Task[None] | None = None
        self.health = Health()
        self.clock = ManualClock()
        self.listener = Listener(settings, self.desk, self.health, self.clock, limits)
        self.scheme = "http"
        self.tls: ssl.SSLContext | bool = True
        # Cookies of an address are kept only if told so.
        self.browser = ClientSession(cookie_jar=CookieJar(unsafe=True))

    async def start(self, *, wait: bool = True) -> None:
        """Open it; after `stop` on the port that it had."""
        self._running = asyncio.create_task(self.listener.run())
        if wait:
            await self.until_open()

    async def stop(self) -> None:
        assert self._running is not None
        address = ListenAddress(self._settings.listen.host, self.listener.port or 0)
        self._running.cancel()
        await asyncio.wait([self._running])
        self.listener = Listener(replace(self._settings, listen=address), self.desk, self.health, self.clock)

    @property
    def port(self) -> int:
        assert self.listener.port is not None
        return self.listener.port

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, object]]:
        """The status code, and the body as JSON."""
        url = f"{self.scheme}://127.0.0.1:{self.port}{path}"
        async with self.browser.request(method, url, json=body, headers=headers, ssl=self.tls) as answer:
            return answer.status, await answer.json(content_type=None)

    async def log_in(self, account: str = "anna", password: str = PASSWORD) -> tuple[int, dict[str, object]]:
        return await self.ask("POST", "/v1/login", {"account": account, "password": password})

    def conditions(self) -> dict[str, str]:
        return {view.code: view.detail for view in self.health.views()}

    async def until_open(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.listener.port is None:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(
    settings: Http | None = None, limits: Limits | None = None, *, wait: bool = True, desk: FakeDesk | None = None
) -> AsyncIterator[Page]:
    """The page while the block lasts; without settings on plain loopback, with accounts."""
    page = Page(settings or Http(ANYWHERE, accounts=accounts()), limits, desk)
    try:
        await page.start(wait=wait)
        yield page
    finally:
        await page.browser.close()
        await page.stop()

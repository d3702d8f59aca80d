"""The page under another configuration: it moves, asks for other accounts, closes; who asked for that hears of it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import uvloop
from aiohttp import ClientSession
from config_toy import accepted
from fake_desk import FakeDesk
from page_rig import ANYWHERE, TOKEN, WITHIN_S

from agent.clock import ManualClock
from agent.control.entrance import Entrance
from agent.health import Health
from agent.part import NotReady
from config.outward import Account, Http, ListenAddress
from config.proofs import of_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agent.events import Actor
    from agent.status import ReloadView
    from config.model import Config

OTHER = "tkn-another-0123456789abcdef01234567"


def open_to(token: str, listen: ListenAddress = ANYWHERE) -> Http:
    return Http(listen, accounts={"robot": Account("configure", of_token(token))})


class House:
    """An entrance whose visitors may ask for another one: `wanted`."""

    def __init__(self, config: Config, settings: Http | None) -> None:
        self.config = config
        self.wanted = settings
        self.health = Health()
        self.entrance = Entrance(settings, Reloading(self), self.health, ManualClock())

    @property
    def port(self) -> int:
        assert self.entrance.listener is not None
        assert self.entrance.listener.port is not None
        return self.entrance.listener.port

    async def renew(self, wanted: Http | None) -> None:
        async with AsyncExitStack() as undo:
            turn = await self.entrance.prepare(replace(self.config, http=wanted), undo)
            undo.pop_all()
        before = self.entrance.listener
        await turn()
        await self.until_open(wanted is not None)
        async with asyncio.timeout(WITHIN_S):
            while before is not None and before.socket is not None and before.socket.fileno() != -1:
                await asyncio.sleep(0.005)

    async def until_open(self, wanted: bool = True) -> None:
        async with asyncio.timeout(WITHIN_S):
            while wanted != (self.entrance.listener is not None and self.entrance.listener.port is not None):
                await asyncio.sleep(0.005)

    async def ask(self, host: str, port: int, token: str, verb: str = "GET", path: str = "/v1/status") -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            ClientSession() as visitor,
            visitor.request(
                verb, f"http://{host}:{port}{path}", headers=headers, json={"reason": ""} if verb == "POST" else None
            ) as answer,
        ):
            await answer.read()
            return answer.status


class Reloading(FakeDesk):
    def __init__(self, house: House) -> None:
        super().__init__()
        self._house = house

    async def reload(self, actor: Actor, reason: str) -> ReloadView:
        await self._house.renew(self._house.wanted)
        return await super().reload(actor, reason)


@asynccontextmanager
async def house(folder: Path, settings: Http | None) -> AsyncIterator[House]:
    made = House(accepted(folder, "devices: {}"), settings)
    async with asyncio.TaskGroup() as group:
        made.entrance.start(group)
        await made.until_open(settings is not None)
        yield made
        made.entrance.stop()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_asks_for_other_accounts_gets_the_answer(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """On the same port, on both event loops; from then on only those accounts count."""

    async def change() -> list[int]:
        async with house(tmp_path, open_to(TOKEN)) as made:
            made.wanted, port = open_to(OTHER), made.port
            asked = await made.ask("127.0.0.1", port, TOKEN, "POST", "/v1/config/reload")
            assert made.port == port
            return [asked, await made.ask("127.0.0.1", port, TOKEN), await made.ask("127.0.0.1", port, OTHER)]

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(change()) == [200, 401, 200]


async def test_it_opens_to_all_addresses_on_its_port_and_closes(tmp_path: Path) -> None:
    """The old address and the new one overlap, which is no reason to refuse; closed, nobody answers any more."""
    async with house(tmp_path, open_to(TOKEN)) as made:
        port = made.port
        made.health.hold("certificate_expires", "http", 0.0, "of the former one")
        await made.renew(open_to(TOKEN, ListenAddress("0.0.0.0", port)))  # on purpose
        assert await made.ask("127.0.0.9", port, TOKEN) == 200
        assert list(made.health.views()) == []
        await made.renew(None)
        with pytest.raises(OSError, match="Cannot connect"):
            await made.ask("127.0.0.9", port, TOKEN)


async def test_what_cannot_be_opened_leaves_it_as_it_is(tmp_path: Path) -> None:
    """A port that somebody else has is refused, with the reason; a port that was asked for in vain is free again."""
    async with house(tmp_path, open_to(TOKEN)) as made:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            address = ListenAddress("127.0.0.1", taken.getsockname()[1])
            with pytest.raises(NotReady, match=f"cannot listen on {address}: address already in use"):
                await made.renew(open_to(OTHER, address))
        async with AsyncExitStack() as undo:
            await made.entrance.prepare(replace(made.config, http=open_to(OTHER, address)), undo)
        with closing(socket.create_server((address.host, address.port))):
            assert await made.ask("127.0.0.1", made.port, TOKEN) == 200


async def test_what_was_closed_opens(tmp_path: Path) -> None:
    """Where nothing was open to the network at the start."""
    async with house(tmp_path, None) as made:
        await made.renew(open_to(TOKEN))
        assert await made.ask("127.0.0.1", made.port, TOKEN) == 200

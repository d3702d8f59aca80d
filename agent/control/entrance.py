"""What of the gateway is open to the network, if anything: one listener, which another configuration replaces.

The new one listens before the old one leaves. Who waits for an answer of the old one still gets it; sessions of
browsers end with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.control.listener import CODES, TARGET, Listener, NotOpen
from agent.part import NotReady

if TYPE_CHECKING:
    import asyncio
    from contextlib import AsyncExitStack

    from agent.clock import Clock
    from agent.control.desk import Desk
    from agent.health import Health
    from agent.part import Turn
    from config.model import Config
    from config.outward import Http


class Entrance:
    """`listener` is the one that runs, where there is one."""

    def __init__(self, settings: Http | None, desk: Desk, health: Health, clock: Clock) -> None:
        self._settings = settings
        self._desk = desk
        self._health = health
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self.listener = self._made(settings)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Be open, for as long as the group lives."""
        self._group = group
        self._open()

    def stop(self) -> None:
        self._group = None
        if self._task is not None:
            self._task.cancel()

    async def prepare(self, config: Config, undo: AsyncExitStack) -> Turn:
        """See `agent.part`. Another one listens already, with its certificate."""
        if config.http == self._settings:
            return _stay
        listener = self._made(config.http)
        if listener is not None:
            undo.callback(listener.leave)
            try:
                await listener.prepare(self.listener)
            except NotOpen as error:
                raise NotReady(f"http: {error}", "choose another address, or correct the files") from error

        async def turn() -> None:
            self._settings, self.listener = config.http, listener
            if self._task is not None:
                self._task.cancel()  # nobody waits for it: who asked for this may be one of its visitors
            self._health.release(TARGET, *CODES)
            self._open()

        return turn

    def _made(self, settings: Http | None) -> Listener | None:
        return None if settings is None else Listener(settings, self._desk, self._health, self._clock)

    def _open(self) -> None:
        if self._group is None:
            return  # not yet, or the gateway stops
        self._task = None if self.listener is None else self._group.create_task(self.listener.run(), name="page")


async def _stay() -> None:
    pass

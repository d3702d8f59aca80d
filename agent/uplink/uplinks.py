"""The uplinks that run now, each with its task. Another configuration ends some and begins others.

One that is the same goes on in its session. One that is different says good-bye and connects anew, from where its
cursor is, so that nothing is missing and nothing but what was on its way comes twice. What one that is gone had not
delivered holds nothing back any more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.part import NotReady
from agent.uplink.certificates import load
from agent.uplink.problems import Refused
from buffer.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AsyncExitStack

    from agent.part import Turn
    from agent.uplink.uplink import Uplink
    from buffer.journal import Journal
    from config import outward
    from config.model import Config

CLOSE_S_MAX = 10.0
"""Saying good-bye takes two seconds at most; what takes longer is cut off."""


class Uplinks:
    """In the order of the configuration. `make` builds one that opens nothing before `start`.

    Everybody in `welcomers` hears of one that begins later.
    """

    def __init__(self, config: Config, journal: Journal, make: Callable[[outward.Uplink], Uplink]) -> None:
        self.welcomers: list[Callable[[Uplink], None]] = []
        self._journal = journal
        self._make = make
        self._settings = {settings.id: settings for settings in config.uplinks}
        self._uplinks = {name: make(settings) for name, settings in self._settings.items()}
        self._tasks: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}
        self._group: asyncio.TaskGroup | None = None

    def __iter__(self) -> Iterator[Uplink]:
        return iter(list(self._uplinks.values()))

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin to send, for as long as the group lives."""
        self._group = group
        self._open()

    def stop(self) -> None:
        """Have all of them finish what is on its way; they have ended by the time the group does."""
        self._group = None
        for _, stop in self._tasks.values():
            stop.set()

    async def prepare(self, config: Config, undo: AsyncExitStack) -> Turn:
        """See `agent.part`. What is different must have its secrets and files; what is new gets its cursor."""
        for settings in config.uplinks:
            if settings != self._settings.get(settings.id):
                await asyncio.to_thread(_check, settings)
        for settings in config.uplinks:
            if settings.id not in self._settings:
                undo.callback(self._journal.dismiss, settings.id)
                await self._enlist(settings.id)
        return lambda: self._renew(config)

    async def _enlist(self, name: str) -> None:
        try:
            await self._journal.enlist(name)
        except JournalError as error:
            raise NotReady(f"uplink {name}: {error.what}", error.hint) from error

    async def _renew(self, config: Config) -> None:
        """Those that are the same say which configuration runs; the others connect, which takes them a moment."""
        settings = {each.id: each for each in config.uplinks}
        await self._close([name for name, old in self._settings.items() if settings.get(name) != old])
        for name in self._settings.keys() - settings.keys():
            self._journal.dismiss(name)
        going_on, self._settings = self._uplinks, settings
        for uplink in going_on.values():
            uplink.renew(config.version)
        self._uplinks = {name: going_on.get(name) or self._make(each) for name, each in settings.items()}
        for name in [name for name in settings if name not in going_on]:
            for welcome in self.welcomers:
                welcome(self._uplinks[name])
        self._open()

    async def _close(self, names: list[str]) -> None:
        closing = [self._tasks.pop(name) for name in names if name in self._tasks]
        for _, stop in closing:
            stop.set()
        tasks = [task for task, _ in closing]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_S_MAX)
            for task in late:
                task.cancel()
            await asyncio.wait(tasks)
        for name in names:
            del self._uplinks[name]

    def _open(self) -> None:
        if self._group is None:
            return  # the gateway stops
        for name, uplink in self._uplinks.items():
            if name not in self._tasks:
                stop = asyncio.Event()
                self._tasks[name] = self._group.create_task(uplink.run(stop), name=f"uplink[{name}]"), stop


def _check(settings: outward.Uplink) -> None:
    """That its password can be read, and its certificates used. Raises `NotReady`."""
    try:
        if settings.password is not None:
            settings.password.reveal()
        if settings.brokers[0].tls:
            load(settings.tls)
    except LookupError as error:
        raise NotReady(f"uplink {settings.id}: {error.args[0]}", "provide that secret") from error
    except Refused as refused:
        raise NotReady(f"uplink {settings.id}: {refused.what}", refused.todo) from refused

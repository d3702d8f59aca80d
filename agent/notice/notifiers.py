"""The ways to tell people on the spot that are at work now. Another configuration ends some and begins others."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from agent.part import NotReady
from config.outward import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AsyncExitStack

    from agent.events import Event
    from agent.health import Health
    from agent.notice.notifier import Notifier
    from agent.part import Turn
    from config import outward
    from config.model import Config


class Notifiers:
    """Add `on_stored` to the pipeline's listeners. `make` builds one, `standing` is what stands of all alarms.

    What stands is told by each that begins, where it has not reached a platform.
    """

    def __init__(
        self,
        config: Config,
        make: Callable[[outward.Notifier], Notifier],
        standing: Callable[[], Iterable[Event]],
        health: Health,
    ) -> None:
        self._make = make
        self._standing = standing
        self._health = health
        self._settings: dict[str, outward.Notifier] = {}
        self._notifiers: dict[str, Notifier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._renew(config)

    def on_stored(self, events: Iterable[Event]) -> None:
        for notifier in self._notifiers.values():
            notifier.on_stored(events)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin to look, for as long as the group lives."""
        self._group = group
        self._open()

    def stop(self) -> None:
        self._group = None
        for task in self._tasks.values():
            task.cancel()

    async def prepare(self, config: Config, _: AsyncExitStack) -> Turn:
        """See `agent.part`. What is different must have its secrets and certificates."""
        for settings in config.notifiers:
            if settings != self._settings.get(settings.id):
                await asyncio.to_thread(_check, settings)

        async def turn() -> None:
            self._renew(config)

        return turn

    def _renew(self, config: Config) -> None:
        settings = {each.id: each for each in config.notifiers}
        for name in [name for name, old in self._settings.items() if settings.get(name) != old]:
            del self._notifiers[name]
            if name in self._tasks:
                self._tasks.pop(name).cancel()
            self._health.release(name, "notice_failed")
        self._settings = settings
        for name, each in settings.items():
            if name not in self._notifiers:
                self._notifiers[name] = self._make(each)
                self._notifiers[name].on_stored(self._standing())
        self._open()

    def _open(self) -> None:
        if self._group is None:
            return  # not yet, or the gateway stops
        for name, notifier in self._notifiers.items():
            if name not in self._tasks:
                self._tasks[name] = self._group.create_task(notifier.run(), name=f"notifier[{name}]")


def _check(settings: outward.Notifier) -> None:
    """That its secret can be read, and its certificate used. Raises `NotReady`."""
    way = settings.way
    secret = way.token if isinstance(way, Webhook) else way.password
    try:
        if secret is not None:
            secret.reveal()
        ssl.create_default_context(cafile=way.ca)
    except LookupError as error:
        raise NotReady(f"notify {settings.id}: {error.args[0]}", "provide that secret") from error
    except OSError as error:
        what = f"notify {settings.id}: the certificate {way.ca} cannot be used ({error.strerror or error})"
        raise NotReady(what, "put the PEM file of the authority there") from error

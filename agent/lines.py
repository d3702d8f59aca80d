"""The lines that are polled now, each with its task. Another configuration closes some and opens others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.poll import LineWorker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from agent.poll import Watcher
    from agent.presence import Presence
    from config.model import Config
    from drivers.contract import Driver, Poll


CLOSE_S_MAX = 10.0
"""What does not come to its end by then does so beside what is opened instead."""


class Lines:
    """In the order of the configuration. Made with a driver for each of its lines; nothing is opened before `start`."""

    def __init__(self, config: Config, drivers: Collection[Driver], daemon: Watcher) -> None:
        pairs = zip(config.lines, drivers, strict=True)
        self._workers = {line.id: LineWorker(line, driver, daemon) for line, driver in pairs}
        self._daemon = daemon
        self._of = {device: worker for worker in self for device in worker.devices}
        self._closed: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def __iter__(self) -> Iterator[LineWorker]:
        return iter(self._workers.values())

    def of(self, device: str) -> LineWorker:
        """The one that a device is on."""
        return self._of[device]

    @property
    def devices(self) -> list[Presence]:
        return [presence for worker in self for presence in worker.devices.values()]

    @property
    def polls(self) -> frozenset[Poll]:
        """Those of all lines that are not closed."""
        going_on = (worker for name, worker in self._workers.items() if name not in self._closed)
        return frozenset(poll for worker in going_on for each in worker.devices.values() for poll in each.polls)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin to poll, for as long as the group lives."""
        self._group = group
        self._open()

    def stop(self) -> None:
        """All are closed by the time the group ends."""
        self._group = None
        for task in self._tasks.values():
            task.cancel()

    async def close(self, names: Collection[str]) -> list[LineWorker]:
        """Close these lines, and wait until they are; they are still seen until `renew`. Gives what they were."""
        self._closed = set(names)
        closing = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in closing:
            task.cancel()
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_S_MAX)
        return [self._workers[name] for name in names]

    def renew(self, config: Config, drivers: Collection[Driver]) -> list[LineWorker]:
        """Those of another configuration: what is still there goes on, what is missing is opened. Gives the latter."""
        going_on = {name: worker for name, worker in self._workers.items() if name not in self._closed}
        self._workers, self._closed = {}, set()
        for line, driver in zip(config.lines, drivers, strict=True):
            worker = going_on.get(line.id)
            if worker is not None:
                worker.renew(line)
            self._workers[line.id] = worker or LineWorker(line, driver, self._daemon)
        self._of = {device: worker for worker in self for device in worker.devices}
        self._open()
        return [worker for name, worker in self._workers.items() if name not in going_on]

    def _open(self) -> None:
        if self._group is None:
            return  # the gateway stops
        for name, worker in self._workers.items():
            if name not in self._tasks:
                self._tasks[name] = self._group.create_task(worker.run(), name=f"line[{name}]")

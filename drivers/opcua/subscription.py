"""One subscription of one session: created, and filled with items. Knows nodes and handles, no point.

Nothing is dropped in silence: the server queues each item for `requests.QUEUE_S` and marks what it had to drop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from drivers.errors import Unreachable
from drivers.opcua import requests
from drivers.opcua.faults import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.opcua.requests import Deadband
    from drivers.opcua.session import Session

_NO_DEADBAND = {0x8042_0000, 0x8043_0000, 0x8044_0000, 0x8045_0000, 0x808E_0000}
"""Filter not allowed, invalid or unsupported, deadband invalid: a server that cannot thin sends all."""


@dataclass(frozen=True, slots=True)
class Item:
    """A node to watch. What the server reports of it carries `handle`."""

    handle: int
    node: ua.NodeId
    sampling_s: float
    deadband: Deadband | None = None


class Subscription:
    """Made by `subscribe`. `keep_alive_s` is what the server granted: it says something at least so often.

    `sampling_s` is how often it looks at each item, by handle, `publishing_s` how often it reports, both as granted.
    """

    def __init__(self, session: Session, number: int, publishing_s: float, keep_alive_s: float) -> None:
        self.number = number
        self.publishing_s = publishing_s
        self.keep_alive_s = keep_alive_s
        self.sampling_s: dict[int, float] = {}
        self.short_queues = 0
        self._session = session

    async def watch(self, items: Sequence[Item]) -> list[int]:
        """The status code of each item, in their order; a bad one is not watched. Raises `DriverError`."""
        statuses = await self._watch_all(items)
        undone = [index for index, status in enumerate(statuses) if status & 0xFFFF_0000 in _NO_DEADBAND]
        plain = await self._watch_all([replace(items[index], deadband=None) for index in undone])
        for index, status in zip(undone, plain, strict=True):
            statuses[index] = status
        return statuses

    async def _watch_all(self, items: Sequence[Item]) -> list[int]:
        size = self._session.items_per_call
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        return [status for chunk in chunks for status in await self._watch(chunk)]

    async def _watch(self, items: Sequence[Item]) -> list[int]:
        return await self.watch_requests(
            [requests.monitored_item(item.handle, item.node, item.sampling_s, item.deadband) for item in items]
        )

    async def watch_requests(self, items: Sequence[ua.MonitoredItemCreateRequest]) -> list[int]:
        """The status code of each, in their order. Raises `DriverError`."""
        doing = "subscribing to its points"
        body = await self._session.send(requests.create_items(self.number, items), doing)
        with translated(self._session.endpoint, doing):
            answer = ua_binary.struct_from_binary(ua.CreateMonitoredItemsResponse, Buffer(body))
            answer.ResponseHeader.ServiceResult.check()
            results = list(answer.Results)
        if len(results) != len(items):
            raise Unreachable(self._session.endpoint, f"{len(results)} results for {len(items)} items while {doing}")
        statuses = [int(result.StatusCode.value) for result in results]
        # With a queue of one, a server may replace a value before it was sent, and need not say so.
        granted = zip(results, statuses, strict=True)
        self.short_queues += sum(
            result.RevisedQueueSize == 1 and not status & 0x8000_0000 for result, status in granted
        )
        for item, result in zip(items, results, strict=True):
            self.sampling_s[int(item.RequestedParameters.ClientHandle)] = max(
                0.0, result.RevisedSamplingInterval / 1000
            )
        return statuses


async def subscribe(session: Session, publishing_s: float) -> Subscription:
    """A new, empty subscription. Raises `Unreachable` or `Refused`."""
    doing = "creating the subscription"
    body = await session.send(requests.create_subscription(publishing_s), doing)
    with translated(session.endpoint, doing):
        answer = ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, Buffer(body))
        answer.ResponseHeader.ServiceResult.check()
    granted = answer.Parameters
    publishing_s = granted.RevisedPublishingInterval / 1000
    return Subscription(session, granted.SubscriptionId, publishing_s, publishing_s * granted.RevisedMaxKeepAliveCount)

"""One subscription of one session: created, filled with items, and listened to. Knows nodes and handles, no point.

Nothing is dropped in silence. The server queues each item for `QUEUE_S` and marks what it had to drop; a gap in the
sequence of notifications ends the connection, so that everything is asked for anew. One publish request waits at the
server at any time; its answers come in order, and a slow consumer slows down only itself.

A frozen server is found by what does not arrive: after two keep-alive periods and the line's timeout it is given up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from drivers.errors import Unreachable
from drivers.opcua import decode, requests
from drivers.opcua.faults import name_of, of_status, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.opcua.session import Session

PROBE_S = 4.0
"""A server that grants keep-alives less often than this is asked for a sign of life in between."""
GRACE_S = 0.25
"""After a timeout: answers that had arrived while this process was busy are taken first."""


@dataclass(frozen=True, slots=True)
class Item:
    """A node to watch. What the server reports of it carries `handle`."""

    handle: int
    node: ua.NodeId
    sampling_s: float


class Subscription:
    """Made by `subscribe`. After `start`, call `next` again and again; then `stop`.

    `due_s` is the longest time from one return of `next` to the following one, while the server lives.
    """

    def __init__(self, session: Session, number: int, keep_alive_s: float, timeout_s: float) -> None:
        self.due_s = min(keep_alive_s, PROBE_S)
        self._keep_alive_s = keep_alive_s
        self._silence_s = 2 * keep_alive_s + timeout_s
        self._session = session
        self._number = number
        self._expected: int | None = None
        self._asked_at = 0.0
        self._answer: asyncio.Task[bytes] | None = None

    async def watch(self, items: Sequence[Item]) -> list[int]:
        """The status code of each item, in their order; a bad one is not watched. Raises `DriverError`."""
        size = self._session.items_per_call
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        return [status for chunk in chunks for status in await self._watch(chunk)]

    async def _watch(self, items: Sequence[Item]) -> list[int]:
        doing = "subscribing to its points"
        wanted = [requests.monitored_item(item.handle, item.node, item.sampling_s) for item in items]
        body = await self._session.send(requests.create_items(self._number, wanted), doing)
        with translated(self._session.endpoint, doing):
            answer = ua_binary.struct_from_binary(ua.CreateMonitoredItemsResponse, Buffer(body))
            answer.ResponseHeader.ServiceResult.check()
            results = [int(result.StatusCode.value) for result in answer.Results]
        if len(results) != len(items):
            raise Unreachable(self._session.endpoint, f"{len(results)} results for {len(items)} items while {doing}")
        return results

    def start(self) -> None:
        """Ask for the first notification."""
        self._ask(None)

    async def next(self) -> decode.Publication:
        """The next notification or keep-alive. Raises `DriverError`: the subscription is of no use any more."""
        if self._answer is None:
            raise Unreachable(self._session.endpoint, "the subscription has ended")
        if not await self._answered(self._answer):
            await self._session.probe("asking whether the server lives")
            return decode.Publication(0)
        publication = self._checked(self._answer.result())
        self._ask(None if publication.keep_alive else publication.number)
        return publication

    async def _answered(self, answer: asyncio.Task[bytes]) -> bool:
        """Wait for the answer. False: not due yet, but the server grants so rare keep-alives that it must be asked."""
        left_s = self._asked_at + self._silence_s - asyncio.get_running_loop().time()
        rare = self._keep_alive_s > PROBE_S and left_s > PROBE_S
        await asyncio.wait({answer}, timeout=PROBE_S if rare else max(0, left_s))
        if rare and not answer.done():
            return False
        if answer.done() or (await asyncio.wait({answer}, timeout=GRACE_S))[0]:
            return True
        raise Unreachable(
            self._session.endpoint,
            f"no sign of life for {self._silence_s:g} s, although one is due every {self._keep_alive_s:g} s",
            "see whether the server hangs",
        )

    def _checked(self, body: bytes) -> decode.Publication:
        endpoint, doing = self._session.endpoint, "waiting for changes"
        with translated(endpoint, doing):
            publication = decode.publication(body)
        if publication.result & 0x8000_0000:
            raise of_status(endpoint, doing, publication.result)
        if publication.subscription != self._number:
            raise Unreachable(endpoint, f"a notification of foreign subscription {publication.subscription}")
        if publication.status is not None:
            raise Unreachable(endpoint, f"the server ended the subscription: {name_of(publication.status)}")
        if not publication.keep_alive:
            self._count(publication.number)
        return publication

    def _count(self, number: int) -> None:
        if self._expected is not None and number != self._expected:
            missing = f"notification {self._expected} is missing, {number} came instead"
            raise Unreachable(self._session.endpoint, missing, "values may have been lost: all are asked for anew")
        self._expected = number % 0xFFFF_FFFF + 1

    def _ask(self, taken: int | None) -> None:
        waiting = self._session.send(requests.publish(self._number, taken), "waiting for changes", wait_s=0)
        self._asked_at = asyncio.get_running_loop().time()
        self._answer = asyncio.create_task(waiting, name=f"opcua publish {self._session.endpoint}")
        self._answer.add_done_callback(_seen)

    def stop(self) -> None:
        """Listen no more. The server's side ends with the session."""
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None


def _seen(answer: asyncio.Task[bytes]) -> None:
    """Nobody may be waiting any more when the connection ends: then its error is nobody's business."""
    if not answer.cancelled():
        answer.exception()


async def subscribe(session: Session, publishing_s: float, timeout_s: float) -> Subscription:
    """A new, empty subscription. Raises `Unreachable` or `Refused`."""
    doing = "creating the subscription"
    body = await session.send(requests.create_subscription(publishing_s), doing)
    with translated(session.endpoint, doing):
        answer = ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, Buffer(body))
        answer.ResponseHeader.ServiceResult.check()
    granted = answer.Parameters
    keep_alive_s = granted.RevisedPublishingInterval / 1000 * granted.RevisedMaxKeepAliveCount
    return Subscription(session, granted.SubscriptionId, keep_alive_s, timeout_s)

"""An OPC UA endpoint behind the driver contract: reads batches, or listens to a subscription.

Read-only by construction: `requests` holds every request that can be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from asyncua.ua.object_ids import ObjectIds

from drivers.contract import Clock, Grade, Identity, Poll, Quality, Reading
from drivers.errors import NoAnswer, Unreachable
from drivers.opcua import nodes, requests
from drivers.opcua.faults import quieten
from drivers.opcua.feed import Feed, Picture
from drivers.opcua.opening import Opener
from drivers.opcua.quality import of_status
from drivers.opcua.subscription import Item, Subscription, subscribe

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from asyncua import ua

    from config.model import Device, Line, Point
    from drivers.opcua.decode import Sample
    from drivers.opcua.session import Session
    from drivers.opcua.settings import OpcuaLine, OpcuaPoint

_BUILD = requests.read(
    [
        requests.node_id(ObjectIds.Server_ServerStatus_BuildInfo_ManufacturerName),
        requests.node_id(ObjectIds.Server_ServerStatus_BuildInfo_ProductName),
        requests.node_id(ObjectIds.Server_ServerStatus_BuildInfo_SoftwareVersion),
    ]
)


class _Plan:
    """How one poll is read over one session: requests made once, and the picture of what came last."""

    def __init__(self, session: Session, poll: Poll) -> None:
        self.picture = Picture(poll)
        self.requests: list[tuple[ua.ReadRequest, list[int]]] = []
        found = [(index, _node_id(session, point)) for index, point in enumerate(poll.points)]
        known = [(index, node) for index, node in found if node is not None]
        for start in range(0, len(known), session.nodes_per_read):
            chunk = known[start : start + session.nodes_per_read]
            self.requests.append((requests.read([node for _, node in chunk]), [index for index, _ in chunk]))
        for index, node in found:
            if node is None:
                self.picture.spoil(index, _unknown_namespace(poll.points[index]))


class PollingOpcuaDriver:
    """`mode: read`, and what both modes share."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self._settings = cast("OpcuaLine", line.spec)
        self._endpoint = self._settings.url
        self._timeout_s = line.timeout_s
        self._clock = clock
        self._opener = Opener(line, self._settings, clock)
        self._session: Session | None = None
        self._plans: WeakKeyDictionary[Poll, _Plan] = WeakKeyDictionary()
        quieten()

    async def connect(self) -> None:
        await self.close()
        self._session = await self._opener.open()

    async def close(self) -> None:
        session, self._session = self._session, None
        self._plans.clear()
        if session is not None:
            await session.close()

    async def read(self, poll: Poll) -> Reading:
        session = self._connected()
        # Kept again only when all went well: after a failure others have seen the caller's bad readings, and whatever
        # comes next has changed.
        plan = self._plans.pop(poll, None) or _Plan(session, poll)
        for request, indexes in plan.requests:
            samples = await session.read(request, f"reading {poll.device.id}", NoAnswer)
            for index, (_, kind, raw, status, ticks) in zip(indexes, samples, strict=True):
                plan.picture.put(index, kind, raw, status, ticks)
        self._plans[poll] = plan
        return plan.picture.reading(self._clock.wall(), self._clock.mono())

    async def identify(self, device: Device) -> Identity:
        samples = await self._connected().read(_BUILD, f"identifying {device.id}", NoAnswer)
        vendor, model, firmware = (value if isinstance(value, str) else "" for _, _, value, _, _ in samples)
        return Identity(vendor=vendor, model=model, firmware=firmware)

    def _connected(self) -> Session:
        if self._session is None:
            raise Unreachable(self._endpoint, "not connected")
        return self._session


class SubscribingOpcuaDriver(PollingOpcuaDriver):
    """`mode: subscribe`: the server reports changes by itself."""

    async def changes(self, polls: Sequence[Poll]) -> AsyncGenerator[Reading, None]:
        """As `drivers.contract.Subscribing`. One call per connection: connect again before calling it anew."""
        session = self._connected()
        subscription = await subscribe(session, self._settings.publishing, self._timeout_s)
        try:
            feed = Feed(polls)
            await self._fill(session, subscription, feed)
            subscription.start()
            samples: Sequence[Sample] = ()
            while True:
                time, mono = self._clock.wall(), self._clock.mono()
                for reading in feed.take(samples, time, mono, subscription.due_s):
                    yield reading
                samples = (await subscription.next()).samples
        finally:
            subscription.stop()

    async def _fill(self, session: Session, subscription: Subscription, feed: Feed) -> None:
        """Watch every point; those that cannot be watched get their flaw."""
        items: list[Item] = []
        points = [point for picture in feed.pictures for point in picture.poll.points]
        for handle, point in enumerate(points):
            node = _node_id(session, point)
            if node is None:
                feed.spoil(handle, _unknown_namespace(point))
            else:
                sampling_s = cast("OpcuaPoint", point.spec).sampling or self._settings.publishing
                items.append(Item(handle, node, sampling_s))
        for item, status in zip(items, await subscription.watch(items), strict=True):
            flaw = of_status(status)
            if flaw is not None and flaw.grade is Grade.BAD:
                feed.spoil(item.handle, flaw)


def OpcuaDriver(line: Line, clock: Clock) -> PollingOpcuaDriver:  # noqa: N802 - called by the registry like the other drivers' classes
    """The driver for the mode of the line: only one that subscribes may look like it to the caller."""
    subscribes = cast("OpcuaLine", line.spec).mode == "subscribe"
    return SubscribingOpcuaDriver(line, clock) if subscribes else PollingOpcuaDriver(line, clock)


def _node_id(session: Session, point: Point) -> ua.NodeId | None:
    """The node of a point on this server, `None` where the server does not have its namespace."""
    address = nodes.parse(cast("OpcuaPoint", point.spec).node)
    if address.uri is None:
        return requests.node_id(address.identifier, address.index)
    if address.uri not in session.namespaces:
        return None
    return requests.node_id(address.identifier, session.namespaces.index(address.uri))


def _unknown_namespace(point: Point) -> Quality:
    uri = nodes.parse(cast("OpcuaPoint", point.spec).node).uri
    return Quality(Grade.BAD, "config_error", f"no namespace {uri}")

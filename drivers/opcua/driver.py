"""An OPC UA endpoint behind the driver contract: reads batches, or listens to a subscription.

Read-only by construction: `requests` holds every request that can be sent.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from config.errors import ConfigProblem
from drivers.contract import Clock, Grade, Identity, Poll, Quality, Reading, Validity
from drivers.errors import NoAnswer, Unreachable
from drivers.opcua import requests
from drivers.opcua.alarms import Alarms
from drivers.opcua.conditions import Following
from drivers.opcua.faults import quieten
from drivers.opcua.feed import FIRST_S, Feed, Picture
from drivers.opcua.learn import learn
from drivers.opcua.opening import Opener
from drivers.opcua.publishing import NOTHING, Publisher
from drivers.opcua.quality import of_status
from drivers.opcua.requests import Deadband
from drivers.opcua.resolve import Resolver
from drivers.opcua.safety import Safety, Watched
from drivers.opcua.subscription import Item, Subscription, subscribe
from drivers.opcua.verify import Proofs, nothing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from asyncua import ua

    from config.model import Device, Line, Point
    from drivers.errors import DriverError
    from drivers.opcua.decode import Sample
    from drivers.opcua.learn import Known
    from drivers.opcua.resolve import Found
    from drivers.opcua.session import Session
    from drivers.opcua.settings import OpcuaLine, OpcuaPoint

_BUILD = requests.read(
    [
        requests.node_id(ObjectIds.Server_ServerStatus_BuildInfo_ManufacturerName),
        requests.node_id(ObjectIds.Server_ServerStatus_BuildInfo_ProductName),
        requests.node_id(ObjectIds.Server_ServerStatus_BuildInfo_SoftwareVersion),
    ]
)


REPLACED_S_MIN = 600.0
"""A client whose subscription stands still is replaced at most this often: where that does not help, the safety read
carries the values, and the line is not torn down again and again.
"""

_COUNTED = ("overflows", "short_queues", "unreported", "replaced", "by_library", "undecodable")
"""Values that a server had to drop, items that it does not queue, values that it did not report, clients that were
replaced for that; notifications that only the library's decoder understood, and those that nobody did.
"""

_BY_EVENT = Quality(Grade.BAD, "not_available", "reported by events only")


class _Plan:
    """How one poll is read over one session: requests made once, and the picture of what came last."""

    def __init__(self, poll: Poll, found: Sequence[Found], known: Mapping[Point, Known], nodes_per_read: int) -> None:
        self.picture = Picture(poll, known)
        self.requests: list[tuple[ua.ReadRequest, list[int]]] = []
        there = []
        for index, node in enumerate(found):
            if isinstance(node, Quality):
                self.picture.spoil(index, node)
            else:
                there.append((index, node))
        for start in range(0, len(there), nodes_per_read):
            chunk = there[start : start + nodes_per_read]
            self.requests.append((requests.read([node for _, node in chunk]), [index for index, _ in chunk]))


class PollingOpcuaDriver:
    """`mode: read`, and what both modes share."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self._settings = cast("OpcuaLine", line.spec)
        self._endpoint = self._settings.url
        self._timeout_s = line.timeout_s
        self._clock = clock
        self._opener = Opener(line, self._settings, clock)
        self._session: Session | None = None
        self._resolver: Resolver | None = None
        self._plans: WeakKeyDictionary[Poll, _Plan] = WeakKeyDictionary()
        self._proofs = Proofs(line.devices, self._ask)
        if self._settings.mode == "read":
            for device in line.devices:
                _refuse_alarms(device)
        quieten()

    async def connect(self) -> None:
        await self.close()
        self._session = await self._opener.open()

    async def close(self) -> None:
        session, self._session = self._session, None
        self._plans.clear()
        self._proofs.forget()
        if session is not None:
            await session.close()

    async def read(self, poll: Poll) -> Reading:
        wrong = await self._proofs.objection(poll.device, NoAnswer)
        if wrong is None:
            return await self._ask(poll, NoAnswer)
        self._plans.pop(poll, None)
        return nothing(poll, wrong, self._clock.wall(), self._clock.mono())

    async def _ask(self, poll: Poll, otherwise: type[DriverError]) -> Reading:
        """All points in as few requests as the server allows. Raises `DriverError`, for a silence `otherwise`."""
        session = self._connected()
        # Kept again only when all went well: after a failure others have seen the caller's bad readings, and whatever
        # comes next has changed.
        plan = self._plans.pop(poll, None) or await self._plan(session, poll)
        for request, indexes in plan.requests:
            samples = await session.read(request, f"reading {poll.device.id}", otherwise)
            for index, (_, kind, raw, status, ticks) in zip(indexes, samples, strict=True):
                plan.picture.put(index, kind, raw, status, ticks)
        for index, (_, kind, raw, status, ticks) in self._by_event(poll):
            plan.picture.put(index, kind, raw, status, ticks)
        self._plans[poll] = plan
        return plan.picture.reading(self._clock.wall(), self._clock.mono())

    def _by_event(self, poll: Poll) -> Iterator[tuple[int, Sample]]:  # noqa: ARG002 - without a subscription none are known
        """What is known of points that cannot be asked for."""
        return iter(())

    async def _plan(self, session: Session, poll: Poll) -> _Plan:
        found = await self._nodes(session, poll.points)
        found = [_BY_EVENT if _spec(point).alarm else node for point, node in zip(poll.points, found, strict=True)]
        return _Plan(poll, found, await learn(session, poll.points, found), session.nodes_per_read)

    async def _nodes(self, session: Session, points: Sequence[Point]) -> list[Found]:
        if self._resolver is None or self._resolver.session is not session:
            self._resolver = Resolver(session)
        return await self._resolver.find(_spec(point).node for point in points)

    async def identify(self, device: Device) -> Identity:
        samples = await self._connected().read(_BUILD, f"identifying {device.id}", NoAnswer)
        vendor, model, firmware = (value if isinstance(value, str) else "" for _, _, value, _, _ in samples)
        return Identity(vendor=vendor, model=model, firmware=firmware)

    def validities(self) -> Mapping[str, Validity]:
        """As `Certified`; without security there are none."""
        return self._opener.validities

    def _connected(self) -> Session:
        if self._session is None:
            raise Unreachable(self._endpoint, "not connected")
        return self._session


class SubscribingOpcuaDriver(PollingOpcuaDriver):
    """`mode: subscribe`: the server reports changes by itself."""

    def __init__(self, line: Line, clock: Clock) -> None:
        super().__init__(line, clock)
        self._counts = Counter(dict.fromkeys(_COUNTED, 0))
        self._replaced_mono = -REPLACED_S_MIN
        self._feed: Feed | None = None
        self._alarms: Alarms | None = None
        self._followed: dict[Point, Following] = {}

    def counts(self) -> Mapping[str, int]:
        """As `drivers.contract.Counting`."""
        running = self._feed.overflows if self._feed else 0
        running += self._alarms.conditions.overflows if self._alarms else 0
        return {**self._counts, "overflows": self._counts["overflows"] + running}

    def report_s(self, point: Point) -> float:
        """As `drivers.contract.Reporting`: the server looks, and then waits until it may publish."""
        publishing_s = _spec(point).publishing or self._settings.publishing
        return (_spec(point).sampling or publishing_s) + publishing_s

    async def changes(self, polls: Sequence[Poll]) -> AsyncGenerator[Reading, None]:
        """As `drivers.contract.Subscribing`. One call per connection: connect again before calling it anew."""
        session = self._connected()
        await self._proofs.examine(dict.fromkeys(poll.device for poll in polls), self._clock.mono(), Unreachable)
        points = [point for poll in polls for point in poll.points]
        nodes = await self._nodes(session, points)
        feed = self._feed = Feed(polls, await learn(session, points, nodes))
        subscriptions, watched = await self._subscribe(session, feed, points, nodes)
        alarms = self._alarms = await self._follow(session, feed, points, nodes, subscriptions)
        samples = await self._first(session, [each for each in watched if each.publishing_s > FIRST_S])
        publisher, publication = Publisher(session, subscriptions, self._timeout_s, self._counts), NOTHING
        safety = Safety(session, feed, watched, self._counts)
        publisher.start()
        try:
            while True:
                time, mono = self._clock.wall(), self._clock.mono()
                for device in await self._proofs.examine_again(mono, Unreachable):
                    feed.renew(device)
                for reading in feed.take(samples, time, mono, publisher.due_s):
                    yield self._proofs.told(reading)
                if safety.look(publication.subscription, publication.samples, mono):
                    for reading in feed.take((), time, mono, publisher.due_s):
                        yield self._proofs.told(reading)
                    self._give_up(safety, mono)
                publication = await publisher.next()
                samples = publication.samples
                if alarms and publication.events:
                    samples = (*samples, *await alarms.take(publication))
        finally:
            publisher.stop()
            safety.stop()
            self._counts["overflows"] += feed.overflows + (self._alarms.conditions.overflows if self._alarms else 0)
            self._feed = self._alarms = None

    def _give_up(self, safety: Safety, mono: float) -> None:
        """Raises `Unreachable` where a subscription was found dead, so that the client is replaced; not too often."""
        has_died, safety.has_died = safety.has_died, False
        if has_died and mono - self._replaced_mono >= REPLACED_S_MIN:
            self._replaced_mono = mono
            self._counts["replaced"] += 1
            what = "a subscription stands still: values change in the server, and it reports none of them"
            raise Unreachable(self._endpoint, what, "see whether the server hangs; it is connected anew")

    async def _subscribe(
        self, session: Session, feed: Feed, points: Sequence[Point], nodes: Sequence[Found]
    ) -> tuple[list[Subscription], list[Watched]]:
        """One subscription for each publishing interval, the fastest first; flaws for what cannot be watched. Also what
        they watch.
        """
        groups: dict[float, list[Item]] = {}
        for handle, (point, node) in enumerate(zip(points, nodes, strict=True)):
            if isinstance(node, Quality):
                feed.spoil(handle, node)
            elif not _spec(point).alarm:
                publishing_s = _spec(point).publishing or self._settings.publishing
                groups.setdefault(publishing_s, []).append(_item(handle, node, point, publishing_s))
        groups = groups or {self._settings.publishing: []}
        subscriptions, watched = [], []
        for publishing_s, items in sorted(groups.items()):
            subscriptions.append(await subscribe(session, publishing_s))
            good = await self._watch(subscriptions[-1], items, feed)
            watched += [_watched(item, points[item.handle], subscriptions[-1]) for item in good]
        return subscriptions, watched

    async def _first(self, session: Session, items: Sequence[Watched]) -> Sequence[Sample]:
        """What the items hold now: a server may wait a whole publishing interval before it says so."""
        samples: list[Sample] = []
        for start in range(0, len(items), session.nodes_per_read):
            some = items[start : start + session.nodes_per_read]
            found = await session.read(requests.read([item.node for item in some]), "reading first values", Unreachable)
            samples += [(item.handle, *sample[1:]) for item, sample in zip(some, found, strict=True)]
        return samples

    async def _follow(
        self,
        session: Session,
        feed: Feed,
        points: Sequence[Point],
        nodes: Sequence[Found],
        subscriptions: list[Subscription],
    ) -> Alarms | None:
        """Follow the source alarms, if there are any to follow, over a subscription of their own."""
        wanted = [
            (handle, point, node)
            for handle, (point, node) in enumerate(zip(points, nodes, strict=True))
            if _spec(point).alarm and not isinstance(node, Quality)
        ]
        if not wanted:
            return None
        there = await session.read(
            requests.read([node for *_, node in wanted], AttributeIds.NodeClass), "looking for alarms", Unreachable
        )
        following = []
        for (handle, point, node), (_, _, _, status, _) in zip(wanted, there, strict=True):
            flaw = of_status(status)
            if flaw is not None and flaw.grade is Grade.BAD:
                feed.spoil(handle, flaw)
            else:
                following.append(_following(handle, point, node))
        self._followed = {points[each.handle]: each for each in following}
        subscriptions.append(await subscribe(session, self._settings.publishing))
        alarms = Alarms(session, subscriptions[-1], following)
        flaw = await alarms.start(handle=len(points))
        for each in following if flaw else ():
            feed.spoil(each.handle, cast("Quality", flaw))
        return alarms

    def _by_event(self, poll: Poll) -> Iterator[tuple[int, Sample]]:
        if self._alarms is None or not self._alarms.conditions.complete:
            return
        for index, point in enumerate(poll.points):
            if point in self._followed:
                yield index, self._alarms.conditions.sample(self._followed[point])

    async def _watch(self, subscription: Subscription, items: Sequence[Item], feed: Feed) -> list[Item]:
        """Gives those that are watched; the others have a flaw."""
        good = []
        for item, status in zip(items, await subscription.watch(items), strict=True):
            flaw = of_status(status)
            if flaw is not None and flaw.grade is Grade.BAD:
                feed.spoil(item.handle, flaw)
            else:
                good.append(item)
        self._counts["short_queues"] += subscription.short_queues
        return good


def OpcuaDriver(line: Line, clock: Clock) -> PollingOpcuaDriver:  # noqa: N802 - called by the registry like the other drivers' classes
    """The driver for the mode of the line: only one that subscribes may look like it to the caller."""
    subscribes = cast("OpcuaLine", line.spec).mode == "subscribe"
    return SubscribingOpcuaDriver(line, clock) if subscribes else PollingOpcuaDriver(line, clock)


def _spec(point: Point) -> OpcuaPoint:
    return cast("OpcuaPoint", point.spec)


def _item(handle: int, node: ua.NodeId, point: Point, publishing_s: float) -> Item:
    return Item(handle, node, _spec(point).sampling or publishing_s, _deadband(point))


def _watched(item: Item, point: Point, subscription: Subscription) -> Watched:
    """A part of a range is as large as only the server knows."""
    written = _spec(point).server_deadband
    tolerance = inf if isinstance(written, str) else written or 0.0
    times = subscription.sampling_s.get(item.handle, item.sampling_s), subscription.publishing_s
    return Watched(item.handle, item.node, subscription.number, *times, tolerance)


def _refuse_alarms(device: Device) -> None:
    for point in device.points:
        if _spec(point).alarm:
            hint = "write mode: subscribe on the line, or name a node that holds the state"
            raise ConfigProblem("alarms are reported, not read", hint, device=device.id, point=point.id, field="alarm")


def _following(handle: int, point: Point, node: ua.NodeId) -> Following:
    spec = _spec(point)
    assert spec.alarm is not None, "only such points are followed"
    return Following(handle, (node.NamespaceIndex, node.Identifier), spec.condition or "", spec.alarm)


def _deadband(point: Point) -> Deadband | None:
    """What is written in the unit of the point, in that of the node."""
    written = _spec(point).server_deadband
    if written is None or point.type not in {"number", "integer"}:
        return None
    if isinstance(written, str):
        return Deadband(float(written.removesuffix("%")), percent=True)
    return Deadband(abs(written / point.scale), percent=False)

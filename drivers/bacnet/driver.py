"""BACnet/IP behind the driver contract: one UDP socket, many devices, one to four requests at a time for each of them.

Here is who stands where, and whether it is the right one; requests and refusals are `asking`, sockets `stack`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from bacpypes3.pdu import Address, IPv4Address

from config.errors import ConfigProblem
from drivers.bacnet import names
from drivers.bacnet.asking import Met, after_silence, ask_all, ask_one, learn, refresh
from drivers.bacnet.batches import fitting
from drivers.bacnet.codec import NO_INDEX
from drivers.bacnet.cov import Cov
from drivers.bacnet.encoding import AccessError, ObjectId
from drivers.bacnet.following import Following
from drivers.bacnet.foreign import ForeignLink
from drivers.bacnet.peer import Peer
from drivers.bacnet.plan import Plan
from drivers.bacnet.reports import CovNotification
from drivers.bacnet.settings import BacnetAddress, BacnetLine, BacnetPoint
from drivers.bacnet.stack import Stack, open_stack
from drivers.bacnet.transactions import APDU_BYTES_MAX
from drivers.bacnet.verify import objection
from drivers.bacnet.waiting import Waiting
from drivers.contract import Grade, Identity, Quality, Reading, Request
from drivers.errors import NoAnswer, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from config.model import Device, Line
    from drivers.bacnet.codec import IAm
    from drivers.bacnet.transactions import Report
    from drivers.contract import Clock, Poll

APDU_BYTES_MIN = 50
_APDU_BYTES_UNKNOWN = 480
_UNKNOWN_OBJECT = 31
_IDENTITY = {"vendor": "vendor-name", "model": "model-name", "firmware": "firmware-revision", "serial": "serial-number"}


class BacnetDriver:
    """One line; see `drivers.contract.Driver`."""

    def __init__(self, line: Line, clock: Clock) -> None:
        assert isinstance(line.spec, BacnetLine)
        self._line = line
        self._spec = line.spec
        self._clock = clock
        self._stack: Stack | None = None
        self._met: dict[Device, Met] = {}
        self._cov: Cov | None = None
        self._following: Following | None = None
        self._counts: Counter[str] = Counter()
        self._by_instance = {_address(device).instance: device for device in line.devices}
        self._by_address: dict[Address, Device] = {}
        self._plans: WeakKeyDictionary[Poll, tuple[Met, Plan]] = WeakKeyDictionary()
        _check(line, line.spec)

    async def connect(self) -> None:
        await self.close()
        for device in self._met:
            self._lose(device)
        self._stack = await open_stack(self._spec.bind, self._line.timeout_s, self._spec.retries, self._foreign_link())
        self._stack.watch(self._announced)
        self._stack.listen(self._noticed)

    def _foreign_link(self) -> ForeignLink | None:
        spec = self._spec
        if spec.bbmd is None:
            return None
        return ForeignLink(IPv4Address(spec.bbmd), spec.bbmd_lifetime, self._clock, self._counts)

    async def close(self) -> None:
        if self._cov is not None:
            await self._cov.close()
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.close()

    async def read(self, poll: Poll) -> Reading:
        if poll in self._plans:
            self._plans[poll][1].begin()
        stack = self._open_stack()
        while True:
            met = await self._meet(stack, poll.device)
            if isinstance(met, Quality):
                return self._strange(poll, met)
            plan = self._plan(poll, met)
            reading = await self._ask(stack, met, plan, poll)
            if met.certain:  # else somebody said meanwhile that this is his number, or his address
                break
        stack.renew()
        if self._cov is not None:
            self._cov.after_read(stack, met, plan, reading)
        return reading

    async def _ask(self, stack: Stack, met: Met, plan: Plan, poll: Poll) -> Reading:
        try:
            await learn(stack, met, plan)
            await refresh(stack, met, plan)
            return Reading(poll, self._clock.wall(), self._clock.mono(), *plan.end())
        except NoAnswer:
            self._met[poll.device] = after_silence(met, plan)
            self._lose(poll.device)
            raise
        except Unreachable:
            self._lose(poll.device)
            raise
        finally:
            plan.rest()

    async def notices(self, polls: Sequence[Poll]) -> AsyncGenerator[Reading, None]:
        """As `drivers.contract.Notifying`."""
        waiting = Waiting(self._clock, self._counts)
        cov = self._cov = Cov(polls, self._clock, self._counts, waiting)
        self._following = Following(polls, waiting, self._counts)
        try:
            while True:
                yield await waiting.next()
        finally:
            self._cov = self._following = None
            await cov.close()

    def _noticed(self, report: Report, source: Address) -> bool:
        """A device reports by itself; gives whether anybody here listens to it."""
        if isinstance(report, CovNotification):
            return self._cov is not None and self._cov.take(report, source)
        device = self._by_instance.get(report.instance)
        met = None if device is None else self._met.get(device)
        if self._following is None or device is None or met is None:
            return False
        return self._following.take(report, source, device, met, self._plans)

    def counts(self) -> Mapping[str, int]:
        """As `drivers.contract.Counting`."""
        return self._counts

    def _lose(self, device: Device) -> None:
        """It fell silent, or is in doubt: who stands there, and what it was asked to report, is open again."""
        self._met[device].certain = False
        if self._cov is not None:
            self._cov.forget(device)

    def requests(self, poll: Poll) -> Sequence[Request]:
        """As `drivers.contract.Planning`, for a device that answers as much at once as its address allows."""
        plan = Plan(poll, _address(poll.device).batch)
        return [Request(batch.what, tuple(poll.points[at].id for at in batch.at)) for batch in plan.batches]

    async def identify(self, device: Device) -> Identity:
        stack = self._open_stack()
        met = await self._meet(stack, device)
        if isinstance(met, Quality):
            raise NoAnswer(device.id, met.raw, "correct the instance or the address of the device")
        target = names.object_id(names.DEVICE, _address(device).instance)
        keys = {name: (target, names.parse_property(text), NO_INDEX) for name, text in _IDENTITY.items()}
        raw = await ask_all(stack, met, list(keys.values()))
        said = {name: raw.get(key) for name, key in keys.items()}
        return Identity(**{name: value for name, value in said.items() if isinstance(value, str)})

    def _open_stack(self) -> Stack:
        if self._stack is None:
            raise Unreachable(self._spec.bind, "the line is not connected")
        return self._stack

    async def _meet(self, stack: Stack, device: Device) -> Met | Quality:
        """The device, found and checked once and again after each silence; or why it is not the right one."""
        known = self._met.get(device)
        if known is not None and known.certain:
            return known
        address = _address(device)
        instance, at = address.instance, address.at
        if at is None:
            peer = await _search(stack, instance, all_of_them=known is not None and known.disputed)
        else:
            peer = await _visit(stack, address, at, None if known is None else known.peer)
        if isinstance(peer, Quality):
            return peer
        if known is not None and (known.peer.address, known.peer.max_apdu) == (peer.address, peer.max_apdu):
            known.certain, known.disputed = True, False
            if at is not None:
                known.peer.follow(peer)
            return await self._proved(stack, device, known)
        peer.allow(address.parallel)
        size = fitting(address.batch, peer.max_apdu)
        met = self._met[device] = Met(peer, size, size)
        self._by_address[peer.address] = device
        return await self._proved(stack, device, met)

    async def _proved(self, stack: Stack, device: Device, met: Met) -> Met | Quality:
        """The device that was found, or what tells that it is another one than its profile describes."""
        proved = False
        try:
            wrong = await objection(stack, met, _address(device))
            proved = wrong is None
        finally:
            if not proved:
                self._lose(device)
        return wrong or met

    def _announced(self, i_am: IAm, source: Address) -> None:
        """Somebody says who he is: one of ours at another address, or a stranger at the address of one of ours."""
        ours = self._by_instance.get(i_am.instance)
        met = None if ours is None else self._met.get(ours)
        if ours is not None and met is not None and met.peer.address != source and _address(ours).at is None:
            self._lose(ours)
            met.disputed = True
        there = self._by_address.get(source)
        if there is not None and there is not ours and self._met[there].peer.address == source:
            self._lose(there)

    def _plan(self, poll: Poll, met: Met) -> Plan:
        made_for, plan = self._plans.get(poll, (None, None))
        if plan is None or made_for is not met:
            plan = Plan(poll, met.batch)
            self._plans[poll] = met, plan
        return plan

    def _strange(self, poll: Poll, flaw: Quality) -> Reading:
        """Another device stands there: its values are nobody's."""
        size = len(poll.points)
        flaws = dict.fromkeys(range(size), flaw)
        return Reading(poll, self._clock.wall(), self._clock.mono(), [None] * size, flaws, ((0, size),))


def _check(line: Line, spec: BacnetLine) -> None:
    """What only the whole line shows. Raises `ConfigProblem`."""
    for device in line.devices:
        _check_points(device)
        at = _address(device).at
        if at is not None:
            _check_at(spec, device, at)
        elif spec.bbmd is None and spec.interface.network.prefixlen == spec.interface.max_prefixlen:
            raise ConfigProblem(
                f"has no at:, and line {line.id} cannot search for it",
                f"give its address (at: 10.1.2.3:47808), or the line its prefix (bind: {spec.interface.ip}/24)",
                device=device.id,
                field="at",
            )


def _check_points(device: Device) -> None:
    """The object of another device is nobody's here."""
    instance = _address(device).instance
    for point in device.points:
        assert isinstance(point.spec, BacnetPoint)
        target = names.own_object(names.parse_object(point.spec.object_name), instance)
        if names.is_device(target) and target != names.object_id(names.DEVICE, instance):
            raise ConfigProblem(
                f"{point.spec.object_name} is another device than this one, which has instance {instance}",
                "write object: device",
                device=device.id,
                point=point.id,
                field="object",
            )


def _check_at(spec: BacnetLine, device: Device, at: str) -> None:
    """The stack answers itself, instead of sending, whatever goes to its own port at any loopback address."""
    there = IPv4Address(at)
    ours = spec.interface.ip
    if there.addrTuple[1] == spec.port and (there.ip == ours or (there.ip.is_loopback and ours.is_loopback)):
        raise ConfigProblem(
            f"{at} has the port of the line itself",
            f"bind the line to a port that no device uses (bind: {spec.interface}:{spec.port + 92})",
            device=device.id,
            field="at",
        )


def _address(device: Device) -> BacnetAddress:
    assert isinstance(device.address, BacnetAddress)
    return device.address


async def _search(stack: Stack, instance: int, *, all_of_them: bool) -> Peer | Quality:
    """Where a device is; that there are several of one number is a flaw."""
    first, *others = await stack.find(instance, all_of_them=all_of_them)
    if not others:
        return first
    places = ", ".join(str(peer.address) for peer in (first, *others))
    return Quality(Grade.BAD, "config_error", f"several devices have instance {instance}: {places}")


async def _visit(stack: Stack, address: BacnetAddress, at: str, earlier: Peer | None) -> Peer | Quality:
    """Who is at an address, by one request that every device must answer; a wrong device is a flaw."""
    there: Address = IPv4Address(at)
    if address.behind is not None:
        router, there = IPv4Address(at), Address(address.behind)
        assert there.addrNet is not None
        await stack.route(there.addrNet, router)
    peer = Peer(there, _APDU_BYTES_UNKNOWN)
    if earlier is not None:
        peer.follow(earlier)
    asked = names.object_id(names.DEVICE, address.instance), names.MAX_APDU, NO_INDEX
    size = await ask_one(stack, peer, asked)
    if isinstance(size, AccessError) and size.code == _UNKNOWN_OBJECT:
        return Quality(Grade.BAD, "config_error", await _who(stack, peer))
    if type(size) is int:
        peer.max_apdu = max(APDU_BYTES_MIN, min(size, APDU_BYTES_MAX))
    return peer


async def _who(stack: Stack, peer: Peer) -> str:
    wildcard = names.object_id(names.DEVICE, names.WILDCARD_INSTANCE)
    said = await ask_one(stack, peer, (wildcard, names.OBJECT_IDENTIFIER, NO_INDEX), exact=False)
    answers = names.object_name(said.number) if isinstance(said, ObjectId) else "another device"
    return f"{answers} answers at {peer.address}"

"""The clean operating room as an OPC UA server: asyncua behind a relay that makes the faults of the wire.

Values are written ten times a second, only those that changed, each with its source time. Anonymous; signed and
encrypted for those whom it trusts, in the open for those who want no security.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.server import Server

from hardware_mocks.layout import PLACES
from hardware_mocks.opcua_identity import URI, Clients, identity
from hardware_mocks.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hardware_mocks.faults import Fault
    from hardware_mocks.signals import Points, Value
    from hardware_mocks.truth import TruthLog
    from hardware_mocks.world import World

NAMESPACE = "urn:wardgate:simulated:or"
WRITE_TICKS = 2
FOREIGN_HANDLE = 0x7FFF_FFFF
FAILED_SENSOR = ua.StatusCode(ua.UInt32(0x808C_0000))
FAILED_DEVICE = ua.StatusCode(ua.UInt32(0x808B_0000))
GOOD = ua.StatusCode(ua.UInt32(0))

DECIMALS = {
    "t": 2, "rh": 1, "dp": 2, "co2": 0, "pm25": 1, "hcho": 4, "hepa_dp": 1,
    "o2_p": 1, "air_p": 1, "vac_p": 2, "iso_r": 0, "n2o_p": 1, "n2_p": 1, "co2_p": 1, "tvoc": 3, "pc_05": 0, "pc_5": 0,
}  # fmt: skip
"""Resolution of the room's analog values; the rest are booleans, and `duty` an integer."""

POLICIES = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]

logging.getLogger("asyncua").setLevel(logging.CRITICAL)


class FaultySession(InternalSession):
    """A client's session that can lose or invent a value."""

    iserver: FaultyServer

    def _spoil(self, values: list[Any], strange: Any) -> list[Any]:
        return self.iserver.plan.spoil(values, strange) if self.external else values

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        values: list[ua.DataValue] = await super().read(params)
        return self._spoil(values, ua.DataValue(ua.Variant(0.0)))

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        """Notifications pass through our hands on their way out."""

        async def publish(result: ua.PublishResult, *rest: Any) -> None:
            for data in result.NotificationMessage.NotificationData or ():
                if isinstance(data, ua.DataChangeNotification):
                    strange = ua.MonitoredItemNotification(FOREIGN_HANDLE, ua.DataValue(ua.Variant(0.0)))
                    data.MonitoredItems = self._spoil(data.MonitoredItems, strange)
            await callback(result, *rest)

        return await super().create_subscription(params, publish, request_callback)


class Distortion:
    """Whether lists that go out get one item too few or too many."""

    def __init__(self, draw: random.Random) -> None:
        self.active = False
        self._random = draw

    def spoil(self, values: list[Any], strange: Any) -> list[Any]:
        if not self.active:
            return values
        return values[:-1] if self._random.random() < 0.5 else [*values, strange]


class FaultyServer(InternalServer):
    """Hands out sessions that follow the distortion's plan."""

    def __init__(self, plan: Distortion) -> None:
        super().__init__()
        self.plan = plan

    def create_session(self, name: str, *args: Any, **options: Any) -> FaultySession:
        return FaultySession(self, self.aspace, self.subscription_service, name, *args, **options)


class OperatingRoomServer:
    """One OPC UA server; a restart makes a new one, which knows no session of the old."""

    def __init__(self, name: str, net: str, world: World, truth: TruthLog, seed: int, pki: Path | None) -> None:
        self._name = name
        self._world = world
        self._truth = truth
        self._address = PLACES[name].address(net)
        draw = random.Random(f"{seed}/{name}")
        self._plan = Distortion(draw)
        self._relay = Relay(self._address, draw)
        self._fault: Fault = "none"
        self._identity = identity(self._address[0])
        self._clients = Clients(pki) if pki else None
        if self._clients:
            self._clients.show(self._identity[0])
        self._server: Any = None
        self._nodes: dict[str, ua.NodeId] = {}
        self._served: Points = {}
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Build the address space, fill it, then listen. Raises `OSError` where the address is taken."""
        host, port = self._address
        server = Server(iserver=FaultyServer(self._plan))
        await server.init()
        server.set_endpoint(f"opc.tcp://{host}:{port}/or")
        server.set_server_name("Simulated operating room")
        await server.set_application_uri(URI)
        server.iserver.certificate, server.iserver.private_key = self._identity
        server.set_security_policy(POLICIES)
        if self._clients:
            server.set_certificate_validator(self._clients.check)
        server.socket_address = (host, 0)
        await self._add_nodes(server)
        await server.start()
        assert server.bserver is not None
        self._server = server
        self._relay.target = (host, server.bserver.port)
        await self._write()
        await self._relay.listen()

    async def _add_nodes(self, server: Any) -> None:
        index = await server.register_namespace(NAMESPACE)
        folder = await server.nodes.objects.add_object(ua.NodeId(ua.String("or1"), ua.Int16(index)), "or1")
        self._nodes = {}
        self._served = {}
        for point, value in self._world.points(self._name).items():
            identifier = ua.NodeId(ua.String(f"or1.{point}"), ua.Int16(index))
            await folder.add_variable(identifier, point, variant(point, value))
            self._nodes[point] = identifier

    async def close(self) -> None:
        await self._relay.vanish()
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def switch(self, fault: Fault) -> None:
        """Behave so from now on."""
        if "exception" in {fault, self._fault}:
            self._served.clear()
        self._fault = fault
        self._plan.active = fault == "wrong_length"
        await self._relay.switch(fault)
        if fault == "restart":
            await self.close()
        elif fault == "refuse":
            await self._relay.vanish()
        elif self._server is None:
            await self.start()
        elif not self._relay.listening:
            await self._relay.listen()
        await self._write()

    async def refresh(self) -> None:
        """Serve what the world and the pins say now."""
        await self._write()

    async def _write(self) -> None:
        """Write what changed since the last time; a device in trouble has a bad status in place of every value."""
        async with self._writing:
            if self._fault == "frozen" or self._server is None:
                return
            points = self._world.points(self._name)
            shown: Points = dict.fromkeys(points) if self._fault == "exception" else rounded(points)
            changed = {name: value for name, value in shown.items() if self._served.get(name, "never") != value}
            if changed:
                await self._write_values(changed)

    async def _write_values(self, changed: Points) -> None:
        now = datetime.now(UTC)
        status = FAILED_DEVICE if self._fault == "exception" else FAILED_SENSOR
        for name, value in changed.items():
            await self._server.write_attribute_value(self._nodes[name], data_value(name, value, status, now))
        self._served.update(changed)
        self._truth.write(self._name, values=changed, source_time=now.timestamp())


def rounded(points: Points) -> Points:
    return {
        name: value if value is None or name not in DECIMALS else round(float(value), DECIMALS[name])
        for name, value in points.items()
    }


def variant(point: str, value: Value | None) -> ua.Variant:
    if point == "duty":
        return ua.Variant(int(value or 0), ua.VariantType.Int32)
    if point in DECIMALS:
        return ua.Variant(float(value or 0.0), ua.VariantType.Double)
    return ua.Variant(bool(value), ua.VariantType.Boolean)


def data_value(point: str, value: Value | None, bad: ua.StatusCode, now: datetime) -> ua.DataValue:
    """A value with its source time, or a bad status without a value."""
    stamp: Any = now.replace(tzinfo=None)
    if value is None:
        return ua.DataValue(None, bad, stamp, ServerTimestamp=stamp)
    return ua.DataValue(variant(point, value), GOOD, stamp, ServerTimestamp=stamp)


class OpcUaServers:
    """The operating room, as the only OPC UA device of the hospital."""

    def __init__(self, net: str, world: World, truth: TruthLog, seed: int, pki: Path | None = None) -> None:
        self._room = OperatingRoomServer("or-1", net, world, truth, seed, pki)
        self.devices = {"or-1": self._room}
        self._ticks = 0

    async def start(self) -> None:
        await self._room.start()

    async def refresh(self) -> None:
        self._ticks += 1
        if self._ticks % WRITE_TICKS == 0:
            await self._room.refresh()

    async def close(self) -> None:
        await self._room.close()

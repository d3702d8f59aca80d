"""A real OPC UA server in a thread of its own, and the configuration to talk to it.

In its own thread it can be frozen like a hung process: the kernel still accepts, nobody answers. The simulated
operating room is `hardware_mocks`; this one holds whatever a test needs.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import pytest
from asyncua import ua
from asyncua.server.server import Server

from agent.clock import SystemClock
from config.model import Device, Home, Line, Place, Point, Text
from drivers.contract import Poll
from drivers.opcua.driver import OpcuaDriver
from drivers.opcua.requests import node_id
from drivers.opcua.settings import OpcuaAddress, OpcuaLine, OpcuaPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from asyncua.server.binary_server_asyncio import BinaryServer

    from drivers.contract import Clock
    from drivers.opcua.driver import PollingOpcuaDriver

HOST = "127.0.31.1"
NAMESPACE = "urn:wardgate:test"
SERVER_URI = "urn:wardgate:test:server"
FOLDER_SIZE = 100  # asyncua needs quadratic time for the nodes of one folder
TEXT = Text("测试", "test")

T = TypeVar("T")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Secured:
    """How a server with security protects itself."""

    certificate: Path
    key: Path
    policies: list[ua.SecurityPolicyType]
    tokens: list[type]
    users: Any


class OpcuaPeer:
    """`with OpcuaPeer() as peer`: a server that listens on `url`."""

    def __init__(self, secured: Secured | None = None) -> None:
        self._secured = secured
        self.port = free_port()
        self.url = f"opc.tcp://{HOST}:{self.port}/test"
        self.server = Server()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="opcua peer", daemon=True)
        self._folders = count()

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wait(self.server.stop())
        self._wait(self._settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        await self.server.init()
        self.server.set_endpoint(self.url)
        await self._secure()
        self.index = await self.server.register_namespace(NAMESPACE)
        await self.server.start()

    async def _secure(self) -> None:
        if self._secured is None:
            self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            return
        await self.server.set_application_uri(SERVER_URI)
        await self.server.load_certificate(str(self._secured.certificate))
        await self.server.load_private_key(str(self._secured.key))
        self.server.set_security_policy(self._secured.policies)
        self.server.set_identity_tokens(self._secured.tokens)
        self.server.iserver.user_manager = self._secured.users

    async def _settle(self) -> None:
        """Let the server's tasks end, so that none is destroyed while it is pending."""
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` in the server's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def node(self, name: str) -> ua.NodeId:
        return node_id(name, self.index)

    @property
    def listener(self) -> BinaryServer:
        assert self.server.bserver is not None
        return self.server.bserver

    async def add(self, values: Mapping[str, ua.Variant]) -> None:
        """New variables; the names must be new as well."""
        await self.run(self._add(values))

    async def _add(self, values: Mapping[str, ua.Variant]) -> None:
        for place, (name, value) in enumerate(values.items()):
            if place % FOLDER_SIZE == 0:
                folder = await self.server.nodes.objects.add_folder(self.index, f"folder{next(self._folders)}")
            await folder.add_variable(self.node(name), name, value)

    async def write(self, name: str, *values: ua.Variant | ua.DataValue) -> None:
        """One value after the other, without a pause between them."""
        await self.run(self._write(name, values))

    async def _write(self, name: str, values: tuple[ua.Variant | ua.DataValue, ...]) -> None:
        node = self.server.get_node(self.node(name))
        for value in values:
            await node.write_value(value if isinstance(value, ua.DataValue) else stamped(value))

    async def drop(self) -> None:
        """Cut every connection."""
        await self.run(self._drop())

    async def _drop(self) -> None:
        for client in tuple(self.listener.clients):
            if client.transport is not None:
                client.transport.abort()

    async def vanish(self) -> None:
        """Close the port and every connection."""
        await self.run(self.listener.stop())

    async def return_(self) -> None:
        """Listen again after `vanish`."""
        await self.run(self.listener.start())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile the server hangs with all its connections open."""
        over = threading.Event()
        hanging = threading.Event()

        def hang() -> None:
            hanging.set()
            over.wait(20)

        self._loop.call_soon_threadsafe(hang)
        hanging.wait(5)
        try:
            yield
        finally:
            over.set()


def stamped(value: ua.Variant) -> ua.DataValue:
    return ua.DataValue(value, SourceTimestamp=cast("Any", datetime.now(UTC)))


def with_status(value: ua.Variant, status: int) -> ua.DataValue:
    return ua.DataValue(value, ua.StatusCode(ua.UInt32(status)))


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    """Wait until `condition` holds; a test that waits in vain fails."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


@contextmanager
def signalled(owner: type, method: str) -> Iterator[asyncio.Event]:
    """Set when `method` of `owner` is next called, which then goes on as ever."""
    called = asyncio.Event()
    original = getattr(owner, method)

    def calls(*arguments: Any, **named: Any) -> Any:
        called.set()
        return original(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, calls)
        yield called


def point(name: str, **settings: Any) -> Point:
    """A point on node `name` of the peer, a number unless `type` says otherwise."""
    spec = OpcuaPoint.model_validate({"node": f"nsu={NAMESPACE};s={name}", **settings.pop("spec", {})})
    fields: dict[str, Any] = {"type": "number", "unit": "1", "poll_s": 1.0, **settings}
    return Point(id=name, device="or-1", system="or", name=TEXT, spec=spec, **fields)


def poll_of(*points: Point, interval_s: float = 1.0) -> Poll:
    device = Device("or-1", TEXT, "or", "line", OpcuaAddress(), Place(), points, ())
    return Poll(device, points, interval_s)


def driver_for(
    url: str,
    *,
    clock: Clock | None = None,
    timeout_s: float = 2.0,
    home: Home | None = None,
    devices: tuple[Device, ...] = (),
    **settings: Any,
) -> PollingOpcuaDriver:
    spec = OpcuaLine.model_validate({"url": url, "publishing": 0.05, "security": "none", **settings})
    line = Line("line", TEXT, "opcua", spec, devices, timeout_s, 1, home or Home())
    return OpcuaDriver(line, clock or SystemClock())

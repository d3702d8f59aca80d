"""Servers that refuse, hang, lie or are something else: three errors, each with a next step, and never a hang."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor
from opcua_peer import HOST, OpcuaPeer, driver_for, point, poll_of, until
from pace import in_time

from drivers.errors import DriverError, NoAnswer, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ACKNOWLEDGE = struct.pack("<4sIIIIII", b"ACKF", 28, 0, 65_535, 65_535, 0, 0)


@pytest.fixture(scope="module")
def peer() -> Iterator[OpcuaPeer]:
    with OpcuaPeer() as peer:
        yield peer


def error_message(status: int) -> bytes:
    return struct.pack("<4sIIi", b"ERRF", 16, status, -1)


@asynccontextmanager
async def saying(*answers: bytes) -> AsyncIterator[str]:
    """The URL of a server that answers each message with the next of `answers`, then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(65_536)
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield f"opc.tcp://{HOST}:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ([error_message(0x8083_0000)], Refused, "BadTcpEndpointUrlInvalid.*path included"),
        ([error_message(0x807D_0000)], Unreachable, "BadTcpServerTooBusy"),
        ([ACKNOWLEDGE, error_message(0x8055_0000)], Refused, "BadSecurityPolicyRejected.*enable an endpoint"),
        ([ACKNOWLEDGE, error_message(0x8013_0000)], Refused, "BadSecurityChecksFailed.*certificate"),
        ([b""], Unreachable, "while connecting"),
        ([ACKNOWLEDGE, b""], Unreachable, "while opening the secure channel"),
        ([b"\0" * 64], Unreachable, "while connecting"),
        ([b"ACKF\x0c\0\0\0abcd"], Unreachable, "while connecting"),
    ],
)
async def test_9_refusals_say_what_is_wrong_and_the_next_step(
    answers: list[bytes], error: type[DriverError], said: str
) -> None:
    """Refusals need a person, all else is tried again; both say what happened and nothing of asyncua gets out."""
    async with saying(*answers) as url:
        driver = driver_for(url, timeout_s=0.5)
        with pytest.raises(error, match=said) as raised:
            await driver.connect()
    assert type(raised.value) is error
    await driver.close()


async def test_something_else_than_opc_ua(caplog: pytest.LogCaptureFixture) -> None:
    """A web server announces, read as OPC UA, 800 megabytes: the timeout bounds the wait."""
    async with saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as url:
        with pytest.raises(Unreachable):
            await driver_for(url, timeout_s=0.3).connect()


async def test_9_a_refused_user_needs_a_person(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without anonymous access: Refused, with what to do."""

    class Nobody:
        def get_user(self, *_: object, **__: object) -> None:
            return None

    monkeypatch.setattr(peer.server.iserver, "user_manager", Nobody())
    with pytest.raises(Refused, match=r"BadUserAccessDenied.*right to read"):
        await driver_for(peer.url).connect()


async def test_9_a_server_without_a_fitting_endpoint_needs_a_person(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endpoints with security only: Refused, not a riddle."""

    async def none(*_: object) -> list[ua.EndpointDescription]:
        return []

    monkeypatch.setattr(peer.server.iserver, "get_endpoints", none)
    with pytest.raises(Refused, match="no endpoint with the security that is configured"):
        await driver_for(peer.url).connect()


@pytest.mark.parametrize(
    "raised", [AssertionError(), AttributeError("'NoneType' object has no attribute 'public_key'")]
)
async def test_9_a_refused_channel_is_a_refusal(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    """Two ways in which the library reports a server that refused: neither passes for a mistake of ours."""

    async def refuse(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("asyncua.client.client.Client.open_secure_channel", refuse)
    with pytest.raises(Refused, match="refused the secure channel"):
        await driver_for(peer.url).connect()


async def test_a_refusal_is_not_logged_by_the_library(caplog: pytest.LogCaptureFixture) -> None:
    """The library calls it CRITICAL; the caller of the driver logs it once, in its own words."""
    async with saying(error_message(0x8083_0000)) as url:
        with pytest.raises(Refused):
            await driver_for(url).connect()
    assert [record for record in caplog.records if record.name.startswith("asyncua")] == []
    assert not logging.getLogger("asyncua.client").isEnabledFor(logging.CRITICAL)


async def test_a_host_that_does_not_exist() -> None:
    """No address, or nobody there: Unreachable."""
    with pytest.raises(Unreachable):
        await driver_for("opc.tcp://no-such-host.invalid:4840/").connect()


async def test_connecting_to_a_frozen_server_ends_in_time(peer: OpcuaPeer) -> None:
    """The kernel accepts, the server says nothing: the line's timeout holds."""
    driver = driver_for(peer.url, timeout_s=0.2)
    with peer.frozen():
        before = time.monotonic()
        with pytest.raises(Unreachable, match="no answer while connecting"):
            await driver.connect()
        assert in_time(time.monotonic() - before, 1)


async def test_closing_a_frozen_connection_ends_in_time(peer: OpcuaPeer) -> None:
    """Close says goodbye for a moment only, and then drops the socket."""
    driver = driver_for(peer.url)
    await driver.connect()
    with peer.frozen():
        before = time.monotonic()
        await driver.close()
        assert in_time(time.monotonic() - before, 1.5)
    await until(lambda: not peer.listener.clients)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_refused_request_is_no_answer_of_this_device(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status about one request leaves the line alone; one about the session ends it."""
    await peer.add({"s.t": ua.Variant(1.0)})
    driver, poll = driver_for(peer.url, mode="read"), poll_of(point("s.t"))
    await driver.connect()
    original = InternalSession.read

    def refusing(status: int) -> Any:
        async def read(self: InternalSession, params: ua.ReadParameters) -> list[ua.DataValue]:
            raise ServiceError(status)

        return read

    for status, error in ((0x8010_0000, NoAnswer), (0x801F_0000, Refused), (0x8025_0000, Unreachable)):
        monkeypatch.setattr(InternalSession, "read", refusing(status))
        with pytest.raises(error) as raised:
            await driver.read(poll)
        assert type(raised.value) is error
        monkeypatch.setattr(InternalSession, "read", original)
    assert (await driver.read(poll)).values == (1.0,)
    await driver.close()


@pytest.mark.parametrize("extra", [-1, 1])
async def test_a_wrong_number_of_values_is_never_a_value(
    peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch, extra: int
) -> None:
    """One value too few or too many, and none can be told from the others: nothing of it is used."""
    name = f"n.{extra}"
    await peer.add({name: ua.Variant(1.0), f"{name}.b": ua.Variant(2.0)})
    driver = driver_for(peer.url, mode="read")
    await driver.connect()
    original = InternalSession.read

    async def read(self: InternalSession, params: ua.ReadParameters) -> list[ua.DataValue]:
        values: list[ua.DataValue] = await original(self, params)
        return values[:-1] if extra < 0 else [*values, values[0]]

    monkeypatch.setattr(InternalSession, "read", read)
    with pytest.raises(Unreachable, match=f"{2 + extra} values for 2 nodes"):
        await driver.read(poll_of(point(name), point(f"{name}.b")))
    monkeypatch.undo()
    await driver.close()


async def test_a_session_that_is_rarely_used_is_kept_alive(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends sessions after 0.3 s without a request; the driver waits four times as long between two reads."""
    monkeypatch.setattr(peer.server.iserver, "min_session_timeout_ms", 300)
    monkeypatch.setattr("drivers.opcua.opening.SESSION_S", 0.3)
    await peer.add({"k.t": ua.Variant(1.0)})
    driver, poll = driver_for(peer.url, mode="read"), poll_of(point("k.t"))
    await driver.connect()
    probes = 0
    original = InternalSession.read

    async def read(self: InternalSession, params: ua.ReadParameters) -> list[ua.DataValue]:
        nonlocal probes
        probes += 1
        values: list[ua.DataValue] = await original(self, params)
        return values

    monkeypatch.setattr(InternalSession, "read", read)
    await until(lambda: probes > 12)
    assert (await driver.read(poll)).values == (1.0,)
    await driver.close()


async def test_the_secure_channel_is_renewed(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its life ends, again and again, and requests go on over the new one."""
    monkeypatch.setattr("drivers.opcua.opening.CHANNEL_S", 0.2)
    await peer.add({"c.t": ua.Variant(1.0)})
    driver, poll = driver_for(peer.url, mode="read"), poll_of(point("c.t"))
    await driver.connect()
    renewals = 0
    original: Any = UaProcessor.open_secure_channel

    def renewed(self: UaProcessor, *arguments: Any) -> Any:
        nonlocal renewals
        renewals += 1
        return original(self, *arguments)

    monkeypatch.setattr(UaProcessor, "open_secure_channel", renewed)
    for _ in range(3):
        seen = renewals
        await until(lambda seen=seen: renewals > seen)  # type: ignore[misc]  # mypy cannot infer a bound default
        assert (await driver.read(poll)).values == (1.0,)
    await driver.close()


async def test_a_connection_that_cannot_be_kept_is_dropped(peer: OpcuaPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that froze between two polls: the next read is Unreachable at once."""
    monkeypatch.setattr(peer.server.iserver, "min_session_timeout_ms", 300)
    monkeypatch.setattr("drivers.opcua.opening.SESSION_S", 0.3)
    driver = driver_for(peer.url, mode="read", timeout_s=0.2)
    await driver.connect()
    session = driver._session
    assert session is not None
    with peer.frozen():
        await until(session._keeper.done)
        await asyncio.sleep(0)
        with pytest.raises(Unreachable, match="closed"):
            await driver.read(poll_of(point("x")))
    await driver.close()

"""One connection to one OPC UA server: socket, channel, session; used once and then thrown away. Knows no point.

A new asyncua client is made for each connection, because one that lost a black-holed link may hang for ever
(opcua-asyncio issue 1660). Its `connect()` and its reconnecting are not used: they start a supervisor that probes every
second, swallow a cancellation while they close, and leave the socket open when the server froze. The caller of a driver
reconnects with backoff anyway, so only what OPC UA itself demands is done here: one task keeps the session alive and
renews the channel.

The session times out after a minute, so a server soon forgets a gateway that died.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from asyncua.ua.object_ids import ObjectIds

from drivers.errors import DriverError, Unreachable
from drivers.opcua import decode, library, requests
from drivers.opcua.faults import GARBLED, of_status, opening, translated
from drivers.opcua.walk import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncua import ua
    from asyncua.client.client import Client

CLOSE_S = 1.0
PROBE_S_MAX = 5.0
"""How often a server is asked for its state and its clock."""
STOPPED_CLOCK_S = 12.0
"""A server whose clock shows the same time for so long is given up: it answers, but out of something that hangs."""

_STATE = requests.node_id(ObjectIds.Server_ServerStatus_State)
_TIME = requests.node_id(ObjectIds.Server_ServerStatus_CurrentTime)
_SHUTDOWN = 4


class Session:
    """Open from `opening.open_session` until `close` or the first failure; then every request raises `Unreachable`."""

    def __init__(
        self,
        endpoint: str,
        client: Client,
        namespaces: Sequence[str],
        limits: tuple[int, int],
        renewed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.endpoint = endpoint
        self.namespaces = tuple(namespaces)
        self.nodes_per_read, self.items_per_call = limits
        self._client = client
        self._renewed = renewed
        self._probe = requests.read([_STATE, _TIME])
        self._clock_shown = 0
        self._clock_since_mono = 0.0
        self._keeper = asyncio.create_task(self._keep(), name=f"opcua keep {endpoint}")

    async def send(
        self, request: object, doing: str, otherwise: type[DriverError] = Unreachable, wait_s: float | None = None
    ) -> bytes:
        """The encoded answer. `wait_s` 0 waits without end, `None` for the line's timeout. Raises `DriverError`."""
        protocol = self._client.uaclient.protocol
        if protocol is None or protocol.is_closed:
            raise Unreachable(self.endpoint, f"the connection is closed while {doing}")
        with translated(self.endpoint, doing, otherwise):
            return bytes(await protocol.send_request(request, wait_s))

    async def read(self, request: ua.ReadRequest, doing: str, otherwise: type[DriverError]) -> Sequence[decode.Sample]:
        """One sample for each node of the request. Raises `DriverError`."""
        body = await self.send(request, doing, otherwise)
        with translated(self.endpoint, doing):
            try:
                answer = decode.values(body)
            except Unknown:
                answer = library.values(body)
        if answer.result & 0x8000_0000:
            raise of_status(self.endpoint, doing, answer.result, otherwise)
        if len(answer.samples) != len(request.Parameters.NodesToRead):
            wanted = len(request.Parameters.NodesToRead)
            raise Unreachable(self.endpoint, f"{len(answer.samples)} values for {wanted} nodes while {doing}")
        return answer.samples

    async def probe(self, doing: str) -> None:
        """See that the server answers, works and its clock runs. Raises `DriverError`."""
        (_, _, state, _, _), (_, _, ticks, _, _) = await self.read(self._probe, doing, Unreachable)
        if state == _SHUTDOWN:
            raise Unreachable(self.endpoint, "the server says that it is shutting down")
        if isinstance(ticks, int) and ticks > 0:
            self._check_clock(ticks, asyncio.get_running_loop().time())

    def _check_clock(self, ticks: int, mono: float) -> None:
        """A server may set its clock once a second only, but not for ever."""
        if ticks != self._clock_shown:
            self._clock_shown, self._clock_since_mono = ticks, mono
        elif mono - self._clock_since_mono > STOPPED_CLOCK_S:
            what = "the server answers, but its clock stands still: so may everything that it says"
            raise Unreachable(self.endpoint, what, "see whether the server hangs")

    async def _keep(self) -> None:
        """Show the server that we live, and renew the channel at half its life. A failure ends the connection."""
        channel_s = self._client.secure_channel_timeout / 1000
        pause_s = min(PROBE_S_MAX, self._client.session_timeout / 1000 / 3, channel_s / 2)
        pauses_to_renewal = max(1, int(channel_s / 2 / pause_s))
        pauses = 0
        try:
            while True:
                await asyncio.sleep(pause_s)
                if self._renewed():
                    raise Unreachable(self.endpoint, "the gateway's certificate was replaced")
                pauses += 1
                if pauses % pauses_to_renewal == 0:
                    await self._renew()
                await self.probe("keeping the session alive")
        except DriverError:
            abort(self._client)

    async def _renew(self) -> None:
        with opening(self.endpoint, "renewing the secure channel"):
            await self._client.open_secure_channel(renew=True)
            self._client.uaclient.revolve_security_token()

    async def close(self) -> None:
        """Say goodbye, at most for `CLOSE_S`, and drop the connection. Never raises."""
        self._keeper.cancel()
        try:
            with suppress(DriverError):
                await self._leave()
        finally:
            abort(self._client)

    async def _leave(self) -> None:
        await self.send(requests.close_session(), "closing the session", wait_s=CLOSE_S)
        with suppress(OSError, *GARBLED):
            await self._client.uaclient.close_secure_channel()


def abort(client: Client) -> None:
    """Drop the socket at once: `close` would wait for a frozen server to take what is still to be sent."""
    protocol = client.uaclient.protocol
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()

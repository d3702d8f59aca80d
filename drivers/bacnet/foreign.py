"""A line whose devices are in another subnet: registered with a BBMD there as a foreign device (Annex J).

The library's own registration ends for ever when it is refused once, and when it expires while the BBMD is away. Here
each search registers anew before it asks, and each read that succeeds renews what is half over. So nothing keeps time
by itself, and a BBMD that was restarted or exchanged is found again by whoever needs it.

Invariant: what is forwarded counts only from the BBMD that is configured.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bacpypes3.ipv4.bvll import (
    DistributeBroadcastToNetwork,
    ForwardedNPDU,
    OriginalBroadcastNPDU,
    RegisterForeignDevice,
    Result,
)
from bacpypes3.ipv4.service import BIPNormal
from bacpypes3.pdu import Address

from drivers.errors import NoAnswer, Unreachable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from bacpypes3.ipv4.bvll import LPDU
    from bacpypes3.pdu import PDU, IPv4Address

    from drivers.contract import Clock

REGISTERED, REFUSED = 0x0000, 0x0030
AGAIN_S = 10.0
"""A renewal that failed is not tried again sooner; searches do not wait for that."""


class ForeignLink(BIPNormal):
    """The link layer of such a line."""

    def __init__(self, bbmd: IPv4Address, lifetime_s: float, clock: Clock, counts: Counter[str]) -> None:
        super().__init__()
        self._bbmd = bbmd
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._counts = counts
        self.raise_send_error: Callable[[], None] = _sent
        self._registered_mono: float | None = None
        self._tried_mono: float | None = None
        self._answer: asyncio.Future[int] | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def indication(self, pdu: PDU) -> None:
        """What goes to everybody goes to the BBMD, which passes it on."""
        assert isinstance(pdu.pduDestination, Address)
        if pdu.pduDestination.addrType == Address.localBroadcastAddr:
            await self.request(DistributeBroadcastToNetwork(pdu, destination=self._bbmd, user_data=pdu.pduUserData))
        else:
            await super().indication(pdu)

    async def confirmation(self, lpdu: LPDU) -> None:
        """Answers of the BBMD, and what it passes on; what others broadcast here is not for a foreign device."""
        from_bbmd = lpdu.pduSource == self._bbmd
        if isinstance(lpdu, Result):
            if from_bbmd and self._answer is not None and not self._answer.done():
                self._answer.set_result(int(lpdu.bvlciResultCode or 0))
        elif isinstance(lpdu, ForwardedNPDU) and not from_bbmd:
            self._counts["forwarded by a stranger"] += 1
        elif not isinstance(lpdu, OriginalBroadcastNPDU):
            await super().confirmation(lpdu)

    async def register(self, timeout_s: float, tries: int) -> None:
        """Be known to the BBMD from now on; at once for all who want that at once. Raises `NoAnswer` and `OSError`."""
        if self._answer is not None:
            code = await asyncio.shield(self._answer)
        else:
            code = await self._registered(timeout_s, tries)
        if code != REGISTERED:
            hint = "allow foreign devices at the BBMD, or make its table larger"
            raise NoAnswer(str(self._bbmd), "the BBMD does not register this gateway", hint)

    async def _registered(self, timeout_s: float, tries: int) -> int:
        """The answer of the BBMD; a refusal in its name where it does not answer."""
        self._tried_mono = self._clock.mono()
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answer = answer
        try:
            for _ in range(tries):
                await self.request(RegisterForeignDevice(round(self._lifetime_s), destination=self._bbmd))
                self.raise_send_error()
                await asyncio.wait([answer], timeout=timeout_s / tries)
                if answer.done():
                    break
            else:
                hint = "check its address, its power and the route to it"
                raise NoAnswer(str(self._bbmd), f"the BBMD did not answer within {timeout_s:g} s", hint)
            if answer.result() == REGISTERED:
                self._registered_mono = self._clock.mono()
            return answer.result()
        finally:
            self._answer = None
            if not answer.done():
                answer.set_result(REFUSED)

    def renew_if_due(self, timeout_s: float, tries: int) -> None:
        """Half of the registration is over: renew it, beside whatever else goes on."""
        now = self._clock.mono()
        if self._registered_mono is not None and now - self._registered_mono < self._lifetime_s / 2:
            return
        if self._renewal is not None and not self._renewal.done():
            return
        if self._tried_mono is None or now - self._tried_mono >= AGAIN_S:
            self._renewal = asyncio.create_task(self._renew(timeout_s, tries), name=f"register[{self._bbmd}]")

    async def _renew(self, timeout_s: float, tries: int) -> None:
        try:
            await self.register(timeout_s, tries)
        except (NoAnswer, Unreachable, OSError):
            self._counts["registrations failed"] += 1

    async def close(self) -> None:
        """Ends a renewal that is on its way."""
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)


def _sent() -> None:
    """Nobody knows yet whether something could not be sent."""

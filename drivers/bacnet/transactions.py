"""Transactions of one line: the library's state machines, with answers that nobody has decoded yet.

What devices say by themselves (who they are, what changed, what alarms) is heard here; what they ask of us is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bacpypes3.apdu import ConfirmedRequestPDU, ErrorPDU, RejectPDU, RejectReason, SimpleAckPDU, UnconfirmedRequestPDU
from bacpypes3.appservice import ABORTED, COMPLETED, ApplicationServiceAccessPoint, ClientSSM
from bacpypes3.basetypes import ErrorClass, ErrorCode, Segmentation
from bacpypes3.pdu import Address

from drivers.bacnet import codec, events, reports
from drivers.bacnet.codec import IAm
from drivers.bacnet.encoding import Malformed
from drivers.bacnet.events import EventNotification
from drivers.bacnet.reports import CovNotification

if TYPE_CHECKING:
    from bacpypes3.apdu import APDU
    from bacpypes3.pdu import PDU

APDU_BYTES_MAX = 1476
"""The longest APDU that fits into one UDP datagram of BACnet/IP."""

ANSWER_BYTES_MAX = 65536
"""A longer segmented answer is not what we asked for."""

_SEGMENTS_MAX = 32
_CONFIRMED, _UNCONFIRMED = ConfirmedRequestPDU.pduType, UnconfirmedRequestPDU.pduType
_SEGMENTED = 0x08
_BROADCASTS = frozenset((Address.localBroadcastAddr, Address.remoteBroadcastAddr, Address.globalBroadcastAddr))
Report = CovNotification | EventNotification

_CONFIRMED_REPORTS: Mapping[int, Callable[[bytes], Report]] = {
    reports.CONFIRMED_COV: reports.cov_notification,
    events.CONFIRMED_EVENT: events.event_notification,
}
_UNCONFIRMED_REPORTS: Mapping[int, Callable[[bytes], Report]] = {
    reports.UNCONFIRMED_COV: reports.cov_notification,
    events.UNCONFIRMED_EVENT: events.event_notification,
}
_REFUSED: Mapping[int, int] = {
    reports.CONFIRMED_COV: int(ErrorCode.unknownSubscription),
    events.CONFIRMED_EVENT: int(ErrorCode.serviceRequestDenied),
}
"""What is said to a confirmed report that nobody here asked for."""

Announced = Callable[[IAm, "Address"], None]

Noticed = Callable[[Report, "Address"], bool]
"""What a device reports and who says so; gives whether it was asked for."""


class _NoDevices:
    """What the library knows of devices: nothing. Ours are kept in `Peer`, requests are never segmented."""

    async def get_device_info(self, _: Address) -> None:
        return None


class AccessPoint(ApplicationServiceAccessPoint):
    """Transactions with raw answers: what is in them is decoded once, by `codec`, and not by the library."""

    def __init__(self, apdu_timeout_ms: int, retries: int) -> None:
        super().__init__(None, _NoDevices())
        self.apduTimeout = apdu_timeout_ms
        self.numberOfApduRetries = retries
        self.segmentTimeout = apdu_timeout_ms
        self.maxApduLengthAccepted = APDU_BYTES_MAX
        self.segmentationSupported = Segmentation.segmentedReceive
        self.maxSegmentsAccepted = _SEGMENTS_MAX
        self.heard: Announced = unheard
        self.noticed: Noticed = unasked

    @property
    def tries(self) -> int:
        """How often a request is sent."""
        return 1 + int(self.numberOfApduRetries)

    def transaction(self, address: Address) -> Transaction:
        """A new one; it ends with `end`, whatever happens."""
        made = Transaction(self, address)
        self.clientTransactions.append(made)
        return made

    def pending(self) -> list[Transaction]:
        return [one for one in self.clientTransactions if isinstance(one, Transaction)]

    async def confirmation(self, pdu: PDU) -> None:
        """What comes in. Broadcasts of others are the most frequent thing on a network and cost next to nothing."""
        kind = pdu.pduData[0] >> 4
        assert pdu.pduDestination is not None
        if kind != _UNCONFIRMED and pdu.pduDestination.addrType in _BROADCASTS:
            return  # somebody passes on, in the name of a device, what only the device itself can say to us
        if kind == _UNCONFIRMED:
            if pdu.pduData[1] == codec.I_AM:
                assert pdu.pduSource is not None
                self.heard(codec.i_am(bytes(pdu.pduData[2:])), pdu.pduSource)
            elif decode := _UNCONFIRMED_REPORTS.get(pdu.pduData[1]):
                assert pdu.pduSource is not None
                self.noticed(decode(bytes(pdu.pduData[2:])), pdu.pduSource)
        elif kind == _CONFIRMED:
            whole = not pdu.pduData[0] & _SEGMENTED
            decode = _CONFIRMED_REPORTS.get(pdu.pduData[3]) if whole else None
            await (self._reject(pdu) if decode is None else self._confirm(pdu, decode))
        else:
            await super().confirmation(pdu)

    async def _confirm(self, pdu: PDU, decode: Callable[[bytes], Report]) -> None:
        """A subscription of an earlier run is refused, so that the device forgets it."""
        number, service = pdu.pduData[2], pdu.pduData[3]
        reply: APDU
        assert pdu.pduSource is not None
        if self.noticed(decode(bytes(pdu.pduData[4:])), pdu.pduSource):
            reply = SimpleAckPDU(service, number, destination=pdu.pduSource)
        else:
            reply = ErrorPDU(service, number, destination=pdu.pduSource)
            reply.put_data(bytes((0x91, int(ErrorClass.services), 0x91, _REFUSED[service])))
        await self.request(reply)

    async def _reject(self, pdu: PDU) -> None:
        """We are a client only, and say so without keeping anything of the request."""
        reject = RejectPDU(pdu.pduData[2], RejectReason.unrecognizedService, destination=pdu.pduSource)
        await self.request(reject)


def unheard(_: IAm, __: Address) -> None:
    """Nobody listens yet."""


def unasked(_: Report, __: Address) -> bool:
    """Nobody has subscribed yet."""
    return False


class Transaction(ClientSSM):
    """The library's state machine of one request, which gives its outcome, undecoded, to whoever awaits `answer`."""

    def __init__(self, access: AccessPoint, address: Address) -> None:
        super().__init__(access, address)
        self.answer: asyncio.Future[APDU] = asyncio.get_running_loop().create_future()

    async def response(self, apdu: APDU) -> None:
        if not self.answer.done():
            self.answer.set_result(apdu)

    def append_segment(self, apdu: APDU) -> None:
        super().append_segment(apdu)
        if self.segmentAPDU is None or len(self.segmentAPDU.pduData) <= ANSWER_BYTES_MAX:
            return
        if not self.answer.done():
            self.answer.set_exception(Malformed("an answer without end"))
        self.end()

    def end(self) -> None:
        """Stop its timers and forget it; the library would go on sending for a request that was cancelled."""
        if self.state not in (COMPLETED, ABORTED):
            self.set_state(ABORTED)

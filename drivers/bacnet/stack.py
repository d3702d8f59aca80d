"""The BACnet/IP stack of one line: bacpypes3 from the UDP socket up to the transaction, and nothing above that.

Invariants:
- A socket is ours alone or is not opened: the library itself would share a port, and wait for ever for a taken one.
- A device has at most four requests to answer, and a request that nobody waits for any more sends nothing more.
- Nothing is served and nothing is written: there is no local device object; the only messages that leave are
  ReadProperty, ReadPropertyMultiple, Who-Is, subscriptions, the acknowledgement of segments and of what was subscribed
  to, and the refusal of foreign requests.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from bacpypes3.apdu import (
    AbortPDU,
    AbortReason,
    ComplexAckPDU,
    ConfirmedRequestPDU,
    ErrorPDU,
    RejectPDU,
    RejectReason,
    SimpleAckPDU,
    UnconfirmedRequestPDU,
)
from bacpypes3.appservice import ABORTED, COMPLETED, ApplicationServiceAccessPoint, ClientSSM
from bacpypes3.basetypes import ErrorClass, ErrorCode, Segmentation
from bacpypes3.comm import ApplicationServiceElement, bind
from bacpypes3.ipv4 import IPv4DatagramProtocol, IPv4DatagramServer
from bacpypes3.ipv4.bvll import BVLLCodec
from bacpypes3.ipv4.service import BIPNormal, UDPMultiplexer
from bacpypes3.netservice import NetworkServiceAccessPoint, NetworkServiceElement
from bacpypes3.pdu import Address, GlobalBroadcast, IPv4Address

from drivers.bacnet import codec, reports
from drivers.bacnet.codec import AccessError, IAm, Malformed
from drivers.errors import NoAnswer, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bacpypes3.apdu import APDU
    from bacpypes3.pdu import PDU

    from drivers.bacnet.reports import CovNotification

APDU_BYTES_MAX = 1476
"""The longest APDU that fits into one UDP datagram of BACnet/IP."""

ANSWER_BYTES_MAX = 65536
"""A longer segmented answer is not what we asked for."""

_SEGMENTS_MAX = 32
_CLOSING_TURNS_MAX = 100
_CONFIRMED, _UNCONFIRMED = ConfirmedRequestPDU.pduType, UnconfirmedRequestPDU.pduType

_OTHERS_SHARE = 0.25
"""Of the timeout of a request: how long those are waited for who may have the same number."""

_FOUND_MAX = 16
_SEGMENTED = 0x08
_UNKNOWN_SUBSCRIPTION = bytes((0x91, int(ErrorClass.services), 0x91, int(ErrorCode.unknownSubscription)))

Path = tuple[str, int]

Announced = Callable[[IAm, Address], None]

Noticed = Callable[["CovNotification", Address], bool]
"""What a device reports and who says so; gives whether it was asked for."""


class Refusal(Exception):
    """The device answered, but not with an acknowledgement.

    `divide` says that a smaller request may be granted: a part of this one is wrong, or the answer would be `too_long`.
    """

    def __init__(
        self, text: str, error: AccessError | None = None, *, divide: bool = False, too_long: bool = False
    ) -> None:
        super().__init__(text)
        self.error = error
        self.divide = divide or too_long
        self.too_long = too_long


class UnknownService(Refusal):
    """The device does not know this kind of request."""


class Peer:
    """A device as the stack talks to it: where it is, how much it can take, and how many requests at once."""

    def __init__(self, address: Address, max_apdu: int) -> None:
        self.address = address
        self.max_apdu = max_apdu
        self.allow(1)
        self.latest_id = 0
        self._in_use: set[int] = set()

    def allow(self, at_once: int) -> None:
        """How many requests it may have to answer from now on; not while some are on their way."""
        self.at_once = at_once
        self._free = asyncio.Semaphore(at_once)

    def follow(self, earlier: Peer) -> None:
        """Go on numbering where another left off: a late answer to it is then none to this one."""
        self.latest_id = earlier.latest_id

    @asynccontextmanager
    async def invoke_id(self) -> AsyncIterator[int]:
        """A number for one request, as soon as the device may have one more to answer.

        Counted for each device, so that a late answer meets its number again only after 250 other requests, and never
        while a slower request has it.
        """
        async with self._free:
            number = (self.latest_id + 1) % 256
            while number in self._in_use:
                number = (number + 1) % 256
            self.latest_id = number
            self._in_use.add(number)
            try:
                yield number
            finally:
                self._in_use.discard(number)


class _Search:
    """Who says to be the device that is searched for, with the longest answer that each can take."""

    def __init__(self) -> None:
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.found: dict[Address, int] = {}


class Stack:
    """Opened by `open_stack`; after `close`, or when the socket is lost, every request raises `Unreachable`."""

    def __init__(self, address: IPv4Address, server: _Server, access: _AccessPoint, timeout_s: float) -> None:
        self._endpoint = f"{address.addrTuple[0]}:{address.addrTuple[1]}"
        self._server = server
        self._access = access
        self._timeout_s = timeout_s
        self._searches: dict[int, _Search] = {}
        self._announced: Announced = _unheard
        access.heard = self._heard
        server.lost.add_done_callback(self._fail_pending)

    async def ask(self, peer: Peer, service: int, parameters: bytes) -> bytes:
        """The parameters of the acknowledgement.

        Raises `Refusal` for an error, reject or abort, `Malformed` for an answer to something else, `NoAnswer` and
        `Unreachable`.
        """
        apdu = await self._request(peer, service, parameters)
        if isinstance(apdu, ComplexAckPDU):
            if apdu.apduService != service:
                raise Malformed(f"an acknowledgement of service {apdu.apduService}")
            return bytes(apdu.pduData)
        raise self._refusal(peer, apdu)

    async def subscribe(self, peer: Peer, service: int, parameters: bytes) -> None:
        """Have the device report by itself; `noticed` is told then. Raises as `ask`."""
        apdu = await self._request(peer, service, parameters)
        if not isinstance(apdu, SimpleAckPDU) or apdu.apduService != service:
            raise self._refusal(peer, apdu)

    def listen(self, noticed: Noticed) -> None:
        """Tell `noticed` what devices report, and who; it says whether it asked for that."""
        self._access.noticed = noticed

    def watch(self, announced: Announced) -> None:
        """Tell `announced` of every device that says who it is."""
        self._announced = announced

    async def find(self, instance: int, *, all_of_them: bool = False) -> list[Peer]:
        """Where a device is, by Who-Is to everybody: the first to answer, or all who answer within a while.

        Several are several devices with one number. Raises `NoAnswer` and `Unreachable`.
        """
        endpoint = f"{self._endpoint} device {instance}"
        search = self._searches[instance] = _Search()
        request = UnconfirmedRequestPDU(codec.WHO_IS, destination=GlobalBroadcast())
        request.put_data(codec.who_is(instance, instance))
        try:
            with self._sending(endpoint):
                async with asyncio.timeout(self._timeout_s):
                    await self._access.request(request)
                    self._server.raise_send_error()
                    await search.first
                    if all_of_them:
                        await asyncio.sleep(self._timeout_s * _OTHERS_SHARE)
        except TimeoutError:
            if not search.found:
                hint = (
                    "check its instance number, its power and network; across routers it needs a BBMD, or give it at:"
                )
                raise NoAnswer(endpoint, f"did not answer Who-Is within {self._timeout_s:g} s", hint) from None
        finally:
            del self._searches[instance]
        return [Peer(address, min(max_apdu, APDU_BYTES_MAX)) for address, max_apdu in search.found.items()]

    async def close(self) -> None:
        """Ends what is pending with `Unreachable`; when it returns, the port is free."""
        self._server.close()
        await self._server.released()

    async def _request(self, peer: Peer, service: int, parameters: bytes) -> APDU:
        async with peer.invoke_id() as number:
            request = ConfirmedRequestPDU(service, number, destination=peer.address)
            request.put_data(parameters)
            return await self._answer(peer, request)

    async def _answer(self, peer: Peer, request: ConfirmedRequestPDU) -> APDU:
        transaction = self._access.transaction(peer.address)
        try:
            with self._sending(str(peer.address)):
                async with asyncio.timeout(self._timeout_s):
                    await transaction.indication(request)
                    self._server.raise_send_error()
                    return await transaction.answer
        except TimeoutError:
            raise self._silence(peer) from None
        finally:
            transaction.end()

    @contextmanager
    def _sending(self, endpoint: str) -> Iterator[None]:
        """What goes wrong at the socket, in the words of the contract.

        An error of sending concerns one device, even if it says that the network is down: the socket stays good, and
        opening it again would only disturb the others.
        """
        if self._server.lost.done():
            raise Unreachable(self._endpoint, "the socket is closed")
        try:
            yield
        except TimeoutError:
            raise
        except OSError as error:
            hint = "check the interface of this machine, its route to there and its firewall"
            raise NoAnswer(endpoint, f"cannot send: {error.strerror}", hint) from error

    def _silence(self, peer: Peer) -> NoAnswer:
        return NoAnswer(str(peer.address), f"no answer within {self._timeout_s:g} s", "check its power and network")

    def _refusal(self, peer: Peer, apdu: APDU) -> Exception:
        if isinstance(apdu, ErrorPDU):
            error = codec.access_error(bytes(apdu.pduData))
            return Refusal(
                f"error {error.error_class}/{error.code}", error, divide=error.error_class in _ERRORS_OF_PARTS
            )
        if isinstance(apdu, RejectPDU):
            reason = apdu.apduAbortRejectReason
            kind = UnknownService if reason == RejectReason.unrecognizedService else Refusal
            return kind(f"reject {RejectReason(reason)}", divide=True, too_long=reason in _REJECTS_TOO_LONG)
        if isinstance(apdu, AbortPDU):
            reason = apdu.apduAbortRejectReason
            if reason == AbortReason.noResponse:
                return self._silence(peer)
            return Refusal(f"abort {AbortReason(reason)}", too_long=reason in _ABORTS_TOO_LONG)
        return Malformed(f"answered with an APDU of type {apdu.apduType}")

    def _heard(self, i_am: IAm, source: Address) -> None:
        self._announced(i_am, source)
        search = self._searches.get(i_am.instance)
        if search is not None and len(search.found) < _FOUND_MAX:
            search.found[source] = i_am.max_apdu
            if not search.first.done():
                search.first.set_result(None)

    def _fail_pending(self, _: asyncio.Future[None]) -> None:
        lost = Unreachable(self._endpoint, "the socket was closed")
        answers: list[asyncio.Future[Any]] = [one.answer for one in self._access.pending()]
        for waiting in [*answers, *(search.first for search in self._searches.values())]:
            if not waiting.done():
                waiting.set_exception(lost)


_ERRORS_OF_PARTS = frozenset((int(ErrorClass.object), int(ErrorClass.property)))
_ABORTS_TOO_LONG = frozenset(
    (
        AbortReason.bufferOverflow,
        AbortReason.segmentationNotSupported,
        AbortReason.outOfResources,
        AbortReason.apduTooLong,
    )
)
_REJECTS_TOO_LONG = frozenset((RejectReason.bufferOverflow, RejectReason.tooManyArguments))


async def open_stack(bind_to: str, timeout_s: float, retries: int) -> Stack:
    """Open the socket `ADDRESS/PREFIX:PORT`. Raises `Refused` where it is taken, `Unreachable` where it is not there.

    A request is bounded by `timeout_s` as a whole, in which it is sent `1 + retries` times.
    """
    # The library logs a trace for each datagram that it cannot read: anybody on the network could fill the disk.
    logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)
    address = IPv4Address(bind_to)
    server = _Server(address, _bound_sockets(address))
    access = _AccessPoint(round(timeout_s * 1000 / (1 + retries)), retries)
    network, routing, link = NetworkServiceAccessPoint(), NetworkServiceElement(), BIPNormal()
    multiplexer = UDPMultiplexer()
    bind(routing, network)
    bind(ApplicationServiceElement(), access, network)
    bind(link, BVLLCodec(), multiplexer.annexJ)
    bind(multiplexer, server)
    network.bind(link, address=address)
    await server.ready()
    return Stack(address, server, access, timeout_s)


def _bound_sockets(address: IPv4Address) -> dict[Path, socket.socket]:
    """Our own socket, which nobody may share, and on a real network the one that hears broadcasts, which all share."""
    sockets = {address.addrTuple: _bound_socket(address.addrTuple, shared=False)}
    if address.addrBroadcastTuple != address.addrTuple:
        try:
            sockets[address.addrBroadcastTuple] = _bound_socket(address.addrBroadcastTuple, shared=True)
        except (Refused, Unreachable):
            sockets[address.addrTuple].close()
            raise
    return sockets


def _bound_socket(path: Path, *, shared: bool) -> socket.socket:
    endpoint = f"{path[0]}:{path[1]}"
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(path)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            hint = f"stop the other BACnet program (ss -lunp 'sport = :{path[1]}' names it) or bind another port"
            raise Refused(endpoint, "another program has this address and port", hint) from error
        if error.errno == errno.EADDRNOTAVAIL:
            hint = "is the interface up, and is this its address?"
            raise Unreachable(endpoint, "this machine does not have this address", hint) from error
        raise Refused(endpoint, f"cannot be bound: {error.strerror}", "check bind: of the line") from error
    return opened


class _Protocol(IPv4DatagramProtocol):
    server: _Server

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.server.send_error = exc

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server.lose()


class _Server(IPv4DatagramServer):
    """The library's end of the sockets, given sockets that are bound already."""

    def __init__(self, address: IPv4Address, sockets: dict[Path, socket.socket]) -> None:
        self.send_error: OSError | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sockets = sockets
        super().__init__(address)

    async def retrying_create_datagram_endpoint(
        self,
        loop: asyncio.AbstractEventLoop,
        addrTuple: Path,  # noqa: N803 - the library's name
        bind_socket: socket.socket | None = None,  # noqa: ARG002 - the library's signature
    ) -> tuple[asyncio.DatagramTransport, _Protocol]:
        def protocol() -> _Protocol:
            made = _Protocol()
            made.server = self
            return made

        return await loop.create_datagram_endpoint(protocol, sock=self._sockets[addrTuple])

    async def ready(self) -> None:
        """The sockets are in use. A cancellation is obeyed when they can be closed, which is a few turns later."""
        opening = asyncio.gather(*self._transport_tasks)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await opening
            self.close()
            await self.released()
            raise

    def lose(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def raise_send_error(self) -> None:
        """An error of sending is told to the protocol, not to the sender: here the sender asks."""
        error, self.send_error = self.send_error, None
        if error is not None:
            raise error

    async def released(self) -> None:
        """The transports close their sockets in a later turn of the loop."""
        for _ in range(_CLOSING_TURNS_MAX):
            if all(one.fileno() < 0 for one in self._sockets.values()):
                return
            await asyncio.sleep(0)


class _NoDevices:
    """What the library knows of devices: nothing. Ours are kept in `Peer`, requests are never segmented."""

    async def get_device_info(self, _: Address) -> None:
        return None


class _AccessPoint(ApplicationServiceAccessPoint):
    """Transactions with raw answers: what is in them is decoded once, by `codec`, and not by the library."""

    def __init__(self, apdu_timeout_ms: int, retries: int) -> None:
        super().__init__(None, _NoDevices())
        self.apduTimeout = apdu_timeout_ms
        self.numberOfApduRetries = retries
        self.segmentTimeout = apdu_timeout_ms
        self.maxApduLengthAccepted = APDU_BYTES_MAX
        self.segmentationSupported = Segmentation.segmentedReceive
        self.maxSegmentsAccepted = _SEGMENTS_MAX
        self.heard: Announced = _unheard
        self.noticed: Noticed = _unasked

    def transaction(self, address: Address) -> _Transaction:
        """A new one; it ends with `end`, whatever happens."""
        made = _Transaction(self, address)
        self.clientTransactions.append(made)
        return made

    def pending(self) -> list[_Transaction]:
        return [one for one in self.clientTransactions if isinstance(one, _Transaction)]

    async def confirmation(self, pdu: PDU) -> None:
        """What comes in. Broadcasts of others are the most frequent thing on a network and cost next to nothing."""
        kind = pdu.pduData[0] >> 4
        if kind == _UNCONFIRMED:
            if pdu.pduData[1] == codec.I_AM:
                assert pdu.pduSource is not None
                self.heard(codec.i_am(bytes(pdu.pduData[2:])), pdu.pduSource)
            elif pdu.pduData[1] == reports.UNCONFIRMED_COV:
                assert pdu.pduSource is not None
                self.noticed(reports.cov_notification(bytes(pdu.pduData[2:])), pdu.pduSource)
        elif kind == _CONFIRMED:
            whole = not pdu.pduData[0] & _SEGMENTED
            await (self._confirm(pdu) if whole and pdu.pduData[3] == reports.CONFIRMED_COV else self._reject(pdu))
        else:
            await super().confirmation(pdu)

    async def _confirm(self, pdu: PDU) -> None:
        """A subscription of an earlier run is refused, so that the device forgets it."""
        number, service = pdu.pduData[2], pdu.pduData[3]
        reply: APDU
        assert pdu.pduSource is not None
        if self.noticed(reports.cov_notification(bytes(pdu.pduData[4:])), pdu.pduSource):
            reply = SimpleAckPDU(service, number, destination=pdu.pduSource)
        else:
            reply = ErrorPDU(service, number, destination=pdu.pduSource)
            reply.put_data(_UNKNOWN_SUBSCRIPTION)
        await self.request(reply)

    async def _reject(self, pdu: PDU) -> None:
        """We are a client only, and say so without keeping anything of the request."""
        reject = RejectPDU(pdu.pduData[2], RejectReason.unrecognizedService, destination=pdu.pduSource)
        await self.request(reject)


def _unheard(_: IAm, __: Address) -> None:
    """Nobody listens yet."""


def _unasked(_: CovNotification, __: Address) -> bool:
    """Nobody has subscribed yet."""
    return False


class _Transaction(ClientSSM):
    """The library's state machine of one request, which gives its outcome, undecoded, to whoever awaits `answer`."""

    def __init__(self, access: _AccessPoint, address: Address) -> None:
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

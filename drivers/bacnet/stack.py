"""The BACnet/IP stack of one line: bacpypes3 from the UDP socket up to the transaction, and nothing above that.

Invariants:
- A socket is ours alone or is not opened: the library itself would share a port, and wait for ever for a taken one.
- A device has at most four requests to answer, and a request that nobody waits for any more sends nothing more.
- Nothing is served and nothing is written: there is no local device object; the only messages that leave are
  ReadProperty, ReadPropertyMultiple, GetEventInformation, Who-Is, subscriptions, registrations with a BBMD, the
  acknowledgement of segments and of what was reported, and the refusal of what others ask.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bacpypes3.apdu import ComplexAckPDU, ConfirmedRequestPDU, SimpleAckPDU, UnconfirmedRequestPDU
from bacpypes3.comm import ApplicationServiceElement, bind
from bacpypes3.ipv4.bvll import BVLLCodec
from bacpypes3.ipv4.service import BIPNormal, UDPMultiplexer
from bacpypes3.netservice import NetworkServiceAccessPoint, NetworkServiceElement
from bacpypes3.pdu import GlobalBroadcast, IPv4Address

from drivers.bacnet import codec, refusals
from drivers.bacnet.encoding import Malformed
from drivers.bacnet.peer import Peer
from drivers.bacnet.sockets import Server, bound_sockets
from drivers.bacnet.transactions import APDU_BYTES_MAX, AccessPoint, unheard
from drivers.errors import NoAnswer, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bacpypes3.apdu import APDU
    from bacpypes3.pdu import Address

    from drivers.bacnet.codec import IAm
    from drivers.bacnet.foreign import ForeignLink
    from drivers.bacnet.transactions import Announced, Noticed

_OTHERS_SHARE = 0.25
"""Of the timeout of a request: how long those are waited for who may have the same number."""

_FOUND_MAX = 16


class _Search:
    """Who says to be the device that is searched for, with the longest answer that each can take."""

    def __init__(self) -> None:
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.found: dict[Address, int] = {}


class Stack:
    """Opened by `open_stack`; after `close`, or when the socket is lost, every request raises `Unreachable`."""

    def __init__(
        self,
        address: IPv4Address,
        server: Server,
        network: NetworkServiceAccessPoint,
        access: AccessPoint,
        timeout_s: float,
        foreign: ForeignLink | None,
    ) -> None:
        self._endpoint = f"{address.addrTuple[0]}:{address.addrTuple[1]}"
        self._server = server
        self._network = network
        self._access = access
        self._timeout_s = timeout_s
        self._foreign = foreign
        self._searches: dict[int, _Search] = {}
        self._announced: Announced = unheard
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
        raise refusals.of(apdu) or self._silence(peer)

    async def subscribe(self, peer: Peer, service: int, parameters: bytes) -> None:
        """Have the device report by itself; `noticed` is told then. Raises as `ask`."""
        apdu = await self._request(peer, service, parameters)
        if not isinstance(apdu, SimpleAckPDU) or apdu.apduService != service:
            raise refusals.of(apdu) or self._silence(peer)

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
                if self._foreign is not None:
                    await self._foreign.register(self._timeout_s, self._access.tries)
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

    async def route(self, network: int, router: IPv4Address) -> None:
        """A network is reached through this router; nobody has to be asked for the way."""
        ours = self._network.local_adapter
        assert ours is not None
        await self._network.router_info_cache.update_path_info(ours.adapterNet, router, {network})

    def renew(self) -> None:
        """Something answered: a registration with a BBMD that is half over is renewed."""
        if self._foreign is not None:
            self._foreign.renew_if_due(self._timeout_s, self._access.tries)

    async def close(self) -> None:
        """Ends what is pending with `Unreachable`; when it returns, the port is free."""
        if self._foreign is not None:
            await self._foreign.close()
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


async def open_stack(bind_to: str, timeout_s: float, retries: int, foreign: ForeignLink | None = None) -> Stack:
    """Open the socket `ADDRESS/PREFIX:PORT`. Raises `Refused` where it is taken, `Unreachable` where it is not there.

    A request is bounded by `timeout_s` as a whole, in which it is sent `1 + retries` times. With `foreign`, the devices
    are in another subnet.
    """
    # The library logs a trace for each datagram that it cannot read: anybody on the network could fill the disk.
    logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)
    address = IPv4Address(bind_to)
    server = Server(address, bound_sockets(address))
    if foreign is not None:
        foreign.raise_send_error = server.raise_send_error
    access = AccessPoint(round(timeout_s * 1000 / (1 + retries)), retries)
    network, routing, link = NetworkServiceAccessPoint(), NetworkServiceElement(), foreign or BIPNormal()
    multiplexer = UDPMultiplexer()
    bind(routing, network)
    bind(ApplicationServiceElement(), access, network)
    bind(link, BVLLCodec(), multiplexer.annexJ)
    bind(multiplexer, server)
    network.bind(link, address=address)
    await server.ready()
    return Stack(address, server, network, access, timeout_s, foreign)

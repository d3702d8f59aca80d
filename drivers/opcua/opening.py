"""How a connection is opened: endpoints, certificate, channel, user, limits. Ends in a `Session`, or leaves nothing.

    ask for the endpoints (unprotected) ─▶ choose ─▶ check the certificate ─▶ channel ─▶ session
                                                        ─▶ same endpoints again (protected)? ─▶ user

A user is named only at the last step, so a server that is not the one we trust never learns a password.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from config.secrets import secret_of
from drivers.contract import Validity
from drivers.errors import Refused
from drivers.opcua import endpoints, identity, requests
from drivers.opcua.bounds import bound_frames, bound_messages
from drivers.opcua.endpoints import Unsuitable
from drivers.opcua.faults import opening
from drivers.opcua.identity import Identity, Unusable
from drivers.opcua.leaving import leave_from
from drivers.opcua.session import Session, abort
from drivers.opcua.trust import Shown, TrustList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncua.crypto.security_policies import SecurityPolicy
    from cryptography import x509

    from config.model import Line
    from drivers.contract import Clock
    from drivers.opcua.endpoints import Choice
    from drivers.opcua.settings import OpcuaLine, Policy

SESSION_S = 60.0
CHANNEL_S = 3600.0
NODES_PER_READ = 1000
ITEMS_PER_CALL = 500
_NAMESPACES = requests.node_id(ObjectIds.Server_NamespaceArray)
_READ_LIMIT = requests.node_id(ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead)
_ITEM_LIMIT = requests.node_id(ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall)

_POLICIES: dict[Policy, type[SecurityPolicy]] = {
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
}


@dataclass(frozen=True, slots=True)
class _User:
    """Who logs in; nobody by default."""

    name: str | None = None
    password: str | None = None
    identity: Identity | None = None


class Opener:
    """Opens sessions of one line. Files are read anew each time, so what was replaced or trusted counts at once."""

    def __init__(self, line: Line, settings: OpcuaLine, clock: Clock) -> None:
        self._settings = settings
        self._endpoint = settings.url
        self._timeout_s = line.timeout_s
        self._home = line.home
        self._clock = clock
        self.validities: dict[str, Validity] = {}

    async def open(self) -> Session:
        """A new connection with an active session. Raises `Unreachable` or `Refused`; leaves nothing open then."""
        with _refusals(self._endpoint):
            if self._settings.security == "none":
                return await self._open(None, None, _User())
            ours, user = await asyncio.to_thread(self._credentials)
            choice = await self._choose()
            self._note_validities(ours, user, choice)
            await asyncio.to_thread(self._check, choice)
            return await self._open(ours, choice, user)

    def _credentials(self) -> tuple[Identity, _User]:
        ours = identity.own(identity.folder(self._home.state), self._home.name, self._clock.wall())
        return ours, self._user()

    def _note_validities(self, ours: Identity, user: _User, choice: Choice) -> None:
        """Also of a server that is then refused, for one that has ended is."""
        self.validities = {
            "the gateway's certificate": _validity(ours.certificate),
            "the server's certificate": _validity(_chain(choice.certificate)[0]),
        }
        if user.identity is not None:
            self.validities["the user's certificate"] = _validity(user.identity.certificate)

    def _user(self) -> _User:
        settings, root = self._settings, self._home.config
        try:
            if settings.user_cert and settings.user_key:
                key = secret_of(settings.user_key, root).path()
                return _User(identity=identity.load(root / settings.user_cert, key))
            password = secret_of(settings.password, root).reveal() if settings.password else None
        except LookupError as error:
            raise Unusable(str(error.args[0]), "provide it") from error
        return _User(settings.user, password)

    async def _choose(self) -> Choice:
        """Ask over a connection of its own, which is then given up: a channel cannot change its security."""
        client = self._client()
        with ExitStack() as undo:
            undo.callback(abort, client)
            await self._dial(client)
            with opening(self._endpoint, "asking for its endpoints"):
                offered = await client.get_endpoints()
        return endpoints.choose(offered, self._settings)

    async def _dial(self, client: Client) -> None:
        with opening(self._endpoint, "connecting"):
            await client.connect_socket()
            await client.send_hello()
            bound_messages(client)
        with opening(self._endpoint, "opening the secure channel"):
            await client.open_secure_channel()

    def _check(self, choice: Choice) -> None:
        shown = Shown(_chain(choice.certificate), choice.application_uri, urlsplit(self._endpoint).hostname or "")
        TrustList(self._home.state).check(shown, self._clock.wall())

    async def _open(self, ours: Identity | None, choice: Choice | None, user: _User) -> Session:
        client = self._client()
        if ours and choice:
            _protect(client, ours, choice)
        with ExitStack() as undo:
            undo.callback(abort, client)
            await self._dial(client)
            await self._introduce(client, choice)
            await self._log_in(client, user)
            session = await self._session(client)
            undo.pop_all()
        return session

    async def _introduce(self, client: Client, choice: Choice | None) -> None:
        """Create the session, and see that nobody lied about the endpoints before."""
        with opening(self._endpoint, "opening the session"):
            answer = await client.create_session()
        offered = answer.ServerEndpoints or []
        if choice:
            endpoints.check_unchanged(choice, offered, self._settings)
        # The library takes the first that fits; these are the ones that are safe.
        client._policy_ids = endpoints.tokens(offered, choice, self._settings)  # noqa: SLF001 - it has no other way

    async def _log_in(self, client: Client, user: _User) -> None:
        if user.identity:
            client.user_private_key = user.identity.key
        shown = user.identity.certificate if user.identity else None
        with opening(self._endpoint, f"logging in as {user.name or ('user_cert' if shown else 'anonymous')}"):
            await client.activate_session(user.name, user.password, shown)

    async def _session(self, client: Client) -> Session:
        with opening(self._endpoint, "asking the server for its limits"):
            found = await client.uaclient.read_attributes([_NAMESPACES, _READ_LIMIT, _ITEM_LIMIT], AttributeIds.Value)
            namespaces, read_max, item_max = (result.Value.Value if result.Value else None for result in found)
        limits = (_limit(read_max, NODES_PER_READ), _limit(item_max, ITEMS_PER_CALL))
        names = namespaces if isinstance(namespaces, list) else []
        return Session(self._endpoint, client, names, limits, self._renewed())

    def _renewed(self) -> Callable[[], bool]:
        """Whether our certificate was replaced since now."""
        where = identity.folder(self._home.state)
        now = identity.stamp(where)
        return lambda: identity.stamp(where) != now

    def _client(self) -> Client:
        client = Client(self._endpoint, timeout=self._timeout_s)
        bound_frames(client)
        if self._settings.bind is not None:
            leave_from(client, self._settings.bind, self._timeout_s)
        client.name = client.description = "wardgate"
        client.application_uri = client.product_uri = "urn:wardgate:gateway"
        client.session_timeout = int(SESSION_S * 1000)
        client.secure_channel_timeout = int(CHANNEL_S * 1000)
        return client


def _protect(client: Client, ours: Identity, choice: Choice) -> None:
    """From now on this client speaks with security only."""
    server = _chain(choice.certificate)[0]
    client.application_uri = ours.uri
    policy = _POLICIES[choice.policy](server, ours.certificate, ours.key, choice.mode)
    client.security_policy = policy  # type: ignore[assignment]  # annotated as the one without security
    client.uaclient.set_security(policy)


def _validity(certificate: x509.Certificate) -> Validity:
    return Validity(certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp())


def _chain(encoded: bytes) -> list[x509.Certificate]:
    """One certificate behind the other, the server's own first (OPC 10000-6, 6.2.6). Raises `Unusable`."""
    found = []
    while encoded:
        size = _der_size(encoded)
        found.append(identity.parse(encoded[:size], "what the server shows"))
        encoded = encoded[size:]
    if not found:
        raise Unusable("the server shows no certificate", "give it one")
    return found


def _der_size(encoded: bytes) -> int:
    """Of the DER element at the beginning. Nonsense leads to what is no certificate."""
    length = encoded[1] if len(encoded) > 1 else 0
    if length < _LONG_FORM:
        return 2 + length
    digits = length - _LONG_FORM
    return 2 + digits + int.from_bytes(encoded[2 : 2 + digits], "big")


_LONG_FORM = 0x80


@contextmanager
def _refusals(endpoint: str) -> Iterator[None]:
    """Whatever a person must change leaves as `Refused`."""
    try:
        yield
    except (Unusable, Unsuitable) as error:
        raise Refused(endpoint, error.what, error.hint) from error


def _limit(granted: object, ours: int) -> int:
    """A server's limit; 0 or nothing means that it has none."""
    return min(granted, ours) if isinstance(granted, int) and granted > 0 else ours

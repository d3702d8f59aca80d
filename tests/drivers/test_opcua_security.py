"""Connections with security: what is protected how, who is trusted, and what is said where it is refused."""

from __future__ import annotations

import copy
import stat
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.uaprocessor import UaProcessor
from cryptography import x509
from opcua_certificates import certificate, key, write
from opcua_peer import HOST, SERVER_URI, OpcuaPeer, Secured, driver_for, point, poll_of, until

from config.model import Home
from drivers.errors import Refused, Unreachable
from drivers.opcua import identity
from drivers.opcua.endpoints import POLICIES, POLICY_URI, Unsuitable, choose, tokens
from drivers.opcua.settings import OpcuaLine
from drivers.opcua.trust import TrustList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from drivers.opcua.driver import PollingOpcuaDriver

T: Any = ua.SecurityPolicyType
ALL = [T[f"{policy.replace('_', '')}_{mode}"] for policy in POLICIES for mode in ("Sign", "SignAndEncrypt")]
PASSWORD = "correct horse"


class Users:
    """One name with one password, one certificate, and anybody without either."""

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if username is not None:
            return User(role=UserRole.User) if (username, password) == ("gw", PASSWORD) else None
        # The library shows the application's certificate where there is no user's.
        known = certificate is None or any(name in certificate for name in (b"nurse", b"wardgate", b"renewed"))
        return User(role=UserRole.User) if known else None


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpcuaPeer]:
    folder = tmp_path_factory.mktemp("server")
    cert, pem = write(folder, "server", certificate("server", uri=SERVER_URI, host=HOST))
    every = [ua.AnonymousIdentityToken, ua.UserNameIdentityToken, ua.X509IdentityToken]
    with OpcuaPeer(Secured(cert, pem, [T.NoSecurity, *ALL], every, Users())) as peer:
        yield peer


@contextmanager
def offering(peer: OpcuaPeer, keep: Callable[[ua.EndpointDescription], bool], *tokens: int) -> Iterator[None]:
    """Meanwhile the server has only the endpoints that are kept, with only these kinds of users where any are named."""
    before = peer.server.iserver.endpoints
    kept = [copy.deepcopy(each) for each in before if keep(each)]
    for each in kept if tokens else ():
        each.UserIdentityTokens = [token for token in each.UserIdentityTokens if int(token.TokenType) in tokens]
    peer.server.iserver.endpoints = kept
    try:
        yield
    finally:
        peer.server.iserver.endpoints = before


def policy_of(endpoint: ua.EndpointDescription) -> tuple[str, int]:
    return endpoint.SecurityPolicyUri.removeprefix(POLICY_URI), int(endpoint.SecurityMode)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home("h01-gw-1", tmp_path, tmp_path / "state")


def trust(peer: OpcuaPeer, home: Home) -> None:
    assert peer._secured
    TrustList(home.state).add(identity.parse(peer._secured.certificate.read_bytes(), "the test's server"))


@asynccontextmanager
async def connected(peer: OpcuaPeer, home: Home, **settings: Any) -> AsyncIterator[PollingOpcuaDriver]:
    driver = driver_for(peer.url, home=home, **{"security": "encrypt", "mode": "read", **settings})
    try:
        await driver.connect()
        yield driver
    finally:
        await driver.close()


def channels(peer: OpcuaPeer) -> set[tuple[str, int]]:
    """Policy and mode of what is open at the server."""
    processors = [client.processor for client in peer.listener.clients if isinstance(client.processor, UaProcessor)]
    policies = [processor._connection.security_policy for processor in processors]
    return {(policy.URI.removeprefix(POLICY_URI), int(policy.Mode)) for policy in policies}


@pytest.mark.parametrize("security", ["sign", "encrypt"])
@pytest.mark.parametrize("policy", POLICIES)
async def test_9_policies_up_to_aes256_sha256_rsapss(peer: OpcuaPeer, home: Home, policy: str, security: str) -> None:
    """Each policy that is configured is the one that is spoken, signed or signed and encrypted."""
    trust(peer, home)
    name = f"{policy}.{security}"
    await peer.add({name: ua.Variant(21.5)})
    async with connected(peer, home, policy=policy, security=security) as driver:
        assert (await driver.read(poll_of(point(name)))).values == (21.5,)
        assert channels(peer) == {(policy, 2 if security == "sign" else 3)}
    await until(lambda: not peer.listener.clients)


async def test_9_sign_and_encrypt_by_default_with_the_strongest_policy(peer: OpcuaPeer, home: Home) -> None:
    """A line that says nothing of security has the best that there is."""
    assert OpcuaLine(protocol="opcua", url="opc.tcp://x").security == "encrypt"
    trust(peer, home)
    async with connected(peer, home):
        assert channels(peer) == {("Aes256_Sha256_RsaPss", 3)}


async def test_9_changes_come_over_a_protected_channel_that_is_renewed(
    peer: OpcuaPeer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are replaced while a subscription runs, and nothing of it is lost."""
    monkeypatch.setattr("drivers.opcua.opening.CHANNEL_S", 0.2)
    renewed = 0
    original: Any = UaProcessor.open_secure_channel

    def renew(self: UaProcessor, *arguments: Any) -> Any:
        nonlocal renewed
        renewed += 1
        return original(self, *arguments)

    monkeypatch.setattr(UaProcessor, "open_secure_channel", renew)
    trust(peer, home)
    await peer.add({"r.t": ua.Variant(0.0)})
    async with connected(peer, home, mode="subscribe") as driver:
        readings = driver.changes([poll_of(point("r.t"))])  # type: ignore[attr-defined]  # it subscribes
        assert (await anext(readings)).values == (0.0,)
        for value in range(1, 6):
            seen = renewed
            await until(lambda seen=seen: renewed > seen)  # type: ignore[misc]  # mypy cannot infer a bound default
            await peer.write("r.t", ua.Variant(float(value)))
            assert (await anext(readings)).values == (float(value),)
        await readings.aclose()


async def test_9_certificate_created_at_first_start_with_the_right_uri_and_names(home: Home) -> None:
    """It names this gateway and this host, fits OPC UA's rules, lasts, and is not made twice; its key is ours alone."""
    where = identity.folder(home.state)
    wall = datetime.now(UTC).timestamp()
    first, second = (identity.own(where, home.name, wall) for _ in range(2))
    assert first.der == second.der
    names = identity.alternatives(first.certificate)
    (host,) = names.get_values_for_type(x509.DNSName)
    assert first.uri == f"urn:{host}:wardgate:h01-gw-1"
    assert first.key.key_size == 2048
    left = first.certificate.not_valid_after_utc - datetime.now(UTC)
    assert left > timedelta(days=19 * 365)
    assert stat.S_IMODE((where / identity.KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE(where.stat().st_mode) == 0o700


async def test_9_a_server_that_is_not_trusted_is_refused_and_kept_as_rejected(peer: OpcuaPeer, home: Home) -> None:
    """Nothing is accepted by itself; the refusal names the thumbprint and the command, and then it connects."""
    for _ in range(2):
        with pytest.raises(Refused, match=r"not trusted.*thumbprint.*wardgate opcua trust add"):
            async with connected(peer, home, user="gw", password={"env": "WG_PASSWORD"}):
                pass
    (entry,) = TrustList(home.state).entries()
    assert (entry.state, entry.uri) == ("rejected", SERVER_URI)
    TrustList(home.state).add(identity.parse(entry.path.read_bytes(), entry.path))
    assert [entry.state for entry in TrustList(home.state).entries()] == ["trusted"]
    async with connected(peer, home):
        pass


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WG_PASSWORD", PASSWORD)


@pytest.mark.parametrize("security", ["sign", "encrypt"])
async def test_9_user_name_and_password(
    peer: OpcuaPeer, home: Home, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    """A known user logs in; a wrong password is refused with the next step, and is in no text."""
    trust(peer, home)
    user = {"user": "gw", "password": {"env": "WG_PASSWORD"}, "security": security}
    async with connected(peer, home, **user):
        pass
    monkeypatch.setenv("WG_PASSWORD", "wrong battery")
    with pytest.raises(Refused, match=r"BadUserAccessDenied.*logging in as gw.*see user and password") as raised:
        async with connected(peer, home, **user):
            pass
    assert "battery" not in str(raised.value)


async def test_9_a_password_that_is_not_there(peer: OpcuaPeer, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says where it was looked for."""
    trust(peer, home)
    monkeypatch.delenv("WG_PASSWORD")
    with pytest.raises(Refused, match="WG_PASSWORD is not set"):
        async with connected(peer, home, user="gw", password={"env": "WG_PASSWORD"}):
            pass


async def test_9_user_certificate(peer: OpcuaPeer, home: Home) -> None:
    """A user who is shown by a certificate; relative paths start at the configuration folder."""
    trust(peer, home)
    write(home.config, "nurse", certificate("nurse"))
    async with connected(peer, home, user_cert="nurse.der", user_key={"file": "nurse.pem"}):
        pass
    write(home.config, "other", certificate("other"))
    with pytest.raises(Refused, match="logging in as user_cert"):
        async with connected(peer, home, user_cert="other.der", user_key={"file": "other.pem"}):
            pass
    with pytest.raises(Refused, match="does not fit the certificate"):
        async with connected(peer, home, user_cert="other.der", user_key={"file": "nurse.pem"}):
            pass


async def test_9_anonymous_where_the_server_wants_a_user(peer: OpcuaPeer, home: Home) -> None:
    """The refusal names what the server takes."""
    trust(peer, home)
    with offering(peer, lambda _: True, 1):
        with pytest.raises(Refused, match=r"does not take anonymous.*it takes user and password"):
            async with connected(peer, home):
                pass
        async with connected(peer, home, user="gw", password={"env": "WG_PASSWORD"}):
            pass


async def test_9_anonymous_where_the_server_says_nothing_of_users(peer: OpcuaPeer, home: Home) -> None:
    """Some small servers leave the list of users empty: anonymous is tried, a password is not."""
    trust(peer, home)
    with offering(peer, lambda _: True, 99):
        async with connected(peer, home):
            pass
        with pytest.raises(Refused, match="it takes nobody"):
            async with connected(peer, home, user="gw", password={"env": "WG_PASSWORD"}):
                pass


async def test_9_no_downgrade_to_what_is_not_configured(peer: OpcuaPeer, home: Home) -> None:
    """A server with less than is configured is refused, with what it has; less is spoken only where it is written."""
    trust(peer, home)
    with offering(peer, lambda each: policy_of(each) in {("None", 1), ("Basic256Sha256", 2)}):
        with pytest.raises(Refused, match=r"with security encrypt; it offers Basic256Sha256 \(sign\), None \(none\)"):
            async with connected(peer, home):
                pass
        with pytest.raises(Refused, match="does not offer Aes256_Sha256_RsaPss"):
            async with connected(peer, home, policy="Aes256_Sha256_RsaPss", security="sign"):
                pass
        async with connected(peer, home, security="sign"):
            assert channels(peer) == {("Basic256Sha256", 2)}


async def test_9_a_shortened_list_of_endpoints_is_found(
    peer: OpcuaPeer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody on the way took the strongest endpoint from the unprotected list: the protected one gives it away."""
    trust(peer, home)
    original = Client.get_endpoints

    async def weaker(self: Client) -> list[ua.EndpointDescription]:
        return [each for each in await original(self) if "RsaPss" not in str(each.SecurityPolicyUri)]

    monkeypatch.setattr(Client, "get_endpoints", weaker)
    with pytest.raises(Refused, match="somebody changed the list of endpoints"):
        async with connected(peer, home):
            pass


async def test_9_a_server_that_does_not_own_its_certificate(
    peer: OpcuaPeer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted certificate is public: showing it is not enough, and nobody logs in."""
    logins = 0

    async def log_in(*_: Any, **__: Any) -> None:
        nonlocal logins
        logins += 1

    monkeypatch.setattr(Client, "activate_session", log_in)
    for factory in peer.server._policies:
        monkeypatch.setattr(factory, "private_key", key("thief"))
    trust(peer, home)
    with pytest.raises((Refused, Unreachable)):
        async with connected(peer, home, timeout_s=0.3):
            pass
    assert not logins


@pytest.mark.parametrize(
    ("policy", "mode", "safe"),
    [
        ("None", 2, False),
        ("Basic128Rsa15", 2, False),
        ("Basic256Sha256", 2, True),
        ("", 2, True),
        ("None", 3, True),
    ],
)
def test_9_a_password_is_never_sent_readable(policy: str, mode: int, safe: bool) -> None:
    """Signed messages can be read by all: there the password itself has to be encrypted."""
    token = ua.UserTokenPolicy(TokenType=ua.UserTokenType.UserName, SecurityPolicyUri=policy and POLICY_URI + policy)
    endpoint = ua.EndpointDescription(
        EndpointUrl="opc.tcp://x",
        SecurityMode=ua.MessageSecurityMode(mode),
        SecurityPolicyUri=POLICY_URI + "Basic256Sha256",
        UserIdentityTokens=[token],
    )
    settings = OpcuaLine(
        protocol="opcua",
        url="opc.tcp://x",
        security="sign" if mode == 2 else "encrypt",
        user="gw",
        password={"env": "X"},
    )
    chosen = choose([endpoint], settings)
    if safe:
        assert tokens([endpoint], chosen, settings) == [token]
    else:
        with pytest.raises(Unsuitable, match="readable"):
            tokens([endpoint], chosen, settings)


async def test_8_certificate_renewal_without_a_restart(
    peer: OpcuaPeer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts a new certificate in place: the connection ends, and the next one shows the new one."""
    monkeypatch.setattr("drivers.opcua.session.PROBE_S_MAX", 0.05)
    trust(peer, home)
    async with connected(peer, home) as driver:
        session = driver._session
        assert session is not None
        where = identity.folder(home.state)
        der, pem = write(home.config, "renewed", certificate("renewed", uri="urn:renewed"))
        pem.replace(where / identity.KEY)
        der.replace(where / identity.CERTIFICATE)
        await until(session._keeper.done)
        with pytest.raises(Unreachable):
            await driver.read(poll_of(point("x")))
        await driver.connect()
        assert driver._session is not None
        assert driver._session._client.application_uri == "urn:renewed"


async def test_9_it_is_known_when_the_certificates_of_a_connection_end(peer: OpcuaPeer, home: Home) -> None:
    """Ours, the server's and the user's, so that somebody can renew them in time; without security there are none."""
    trust(peer, home)
    der, pem = write(home.config, "nurse", certificate("nurse", end=timedelta(days=9)))
    user = {"user_cert": der, "user_key": {"file": str(pem)}}
    async with connected(peer, home, **user) as driver:
        found = driver.validities()
    ours = identity.own(identity.folder(home.state), home.name, 0.0).certificate
    assert peer._secured
    servers = identity.parse(peer._secured.certificate.read_bytes(), "the test's server")
    theirs = identity.parse(der.read_bytes(), "the user")
    assert {what: end for what, (_, end) in found.items()} == {
        "the gateway's certificate": ours.not_valid_after_utc.timestamp(),
        "the server's certificate": servers.not_valid_after_utc.timestamp(),
        "the user's certificate": theirs.not_valid_after_utc.timestamp(),
    }
    assert driver_for(peer.url, home=home, security="none", mode="read").validities() == {}

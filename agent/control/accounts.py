"""Who comes in over the network: accounts that prove themselves by password or token, and the sessions of browsers.

Always true: a try counts as failed before it is judged, so that many at once gain nothing; passwords are judged one
after the other; sessions and failures are bounded. Neither a password nor a token nor a name that is no account is
logged or kept: people type their password where the name belongs.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import structlog

from agent.control.desk import Refusal
from agent.control.lockout import Lockout
from agent.events import Actor
from config.proofs import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.control.desk import Desk
    from config.model import Role
    from config.outward import Account

SESSION_S = 12 * 3600.0
"""A shift. Whoever is longer at it logs in again."""

SESSIONS_MAX = 64
SOURCE_WAIT_S_MAX = 900.0
ACCOUNT_WAIT_S_MAX = 60.0
"""Short, because somebody who guesses must not be able to keep the owner of the account out."""

_NOBODY = Proof("$scrypt$ln=15,r=8,p=1$" + "A" * 22 + "$" + "A" * 43)
"""Judged where there is no such account, so that the time an answer takes does not tell."""


class NotProved(Refusal):
    """Nobody is logged in, or what was to prove it is wrong."""

    status = 401


class TooManyTries(Refusal):
    """After `wait_s` it may be tried again."""

    status = 429

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many tries that failed", f"wait {wait_s:.0f} s")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with an account."""

    id: str
    role: Role

    async def actor(self) -> Actor:
        return Actor(type="user", id=self.id, role=self.role)

    def advice(self, needed: Role) -> str:
        return f"log in with an account of the role {needed}"


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody on this machine, where nobody has an account."""

    role: Role = "view"

    async def actor(self) -> Actor:
        return Actor(type="user", id="guest", role=self.role)

    def advice(self, needed: Role) -> str:
        return f"have an account of the role {needed} written under http.accounts, or use the command line"


@dataclass(frozen=True, slots=True)
class _Session:
    member: Member
    until: float


class Accounts:
    """`mono` tells the time. Every method is called from the event loop."""

    def __init__(self, accounts: Mapping[str, Account], desk: Desk, mono: Callable[[], float]) -> None:
        self._accounts = accounts
        self._desk = desk
        self._mono = mono
        self._sources = Lockout(SOURCE_WAIT_S_MAX)
        self._names = Lockout(ACCOUNT_WAIT_S_MAX)
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._log = structlog.get_logger()

    @property
    def are_none(self) -> bool:
        return not self._accounts

    async def log_in(self, name: str, password: str, source: str) -> str:
        """What the browser has to show from now on. Raises `NotProved` and `TooManyTries`."""
        account = self._accounts.get(name)
        known = name if account is not None else ""
        self._begin(source, known)
        proof = account.proof if account is not None and not account.proof.is_token else _NOBODY
        # Shielded, so that whoever hangs up does not let the next one in while their password is still judged.
        fits = await asyncio.shield(self._judge(proof, password))
        if account is None or not fits:
            raise self._refused(source, known)
        self._succeed(source, known)
        member = Member(name, account.role)
        self._desk.let_in(await member.actor(), f"page from {source}")
        return self._remember(member)

    async def _judge(self, proof: Proof, password: str) -> bool:
        async with self._one_at_a_time:
            return await asyncio.to_thread(proof.fits, password)

    def by_session(self, shown: str) -> Member | None:
        """Whose session this is, if it still holds."""
        session = self._sessions.get(_digest(shown))
        return session.member if session is not None and self._mono() < session.until else None

    def by_token(self, token: str, source: str) -> Member:
        """Whose token this is. Raises `NotProved` and `TooManyTries`."""
        self._begin(source, "")
        for name, account in self._accounts.items():
            if account.proof.is_token and account.proof.fits(token):
                self._succeed(source, "")
                return Member(name, account.role)
        raise self._refused(source, "")

    def log_out(self, shown: str) -> None:
        self._sessions.pop(_digest(shown), None)

    def _begin(self, source: str, name: str) -> None:
        now = self._mono()
        wait_s = max(self._sources.wait_s(source, now), self._names.wait_s(name, now) if name else 0.0)
        if wait_s:
            raise TooManyTries(wait_s)
        self._sources.failed(source, now)
        if name:
            self._names.failed(name, now)

    def _succeed(self, source: str, name: str) -> None:
        self._sources.succeeded(source)
        self._names.succeeded(name)

    def _refused(self, source: str, name: str) -> NotProved:
        wait_s = max(self._sources.wait_s(source, self._mono()), self._names.wait_s(name, self._mono()))
        if wait_s:
            self._log.warning("login is locked out", source=source, account=name or "unknown", wait_s=round(wait_s))
        who = Actor(type="user", id=name or "unknown", role="none")
        self._desk.turned_away(who, "login", f"wrong name, password or token, from {source}")
        return NotProved("name, password or token is wrong", "try again; after four tries there is a wait")

    def _remember(self, member: Member) -> str:
        shown = secrets.token_urlsafe(32)
        self._sessions[_digest(shown)] = _Session(member, self._mono() + SESSION_S)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return shown


def source_of(address: str) -> str:
    """Whom failures are counted for: an address, or for IPv6 the network, of which one machine has all addresses."""
    found = ip_address(address.partition("%")[0])
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"


def _digest(shown: str) -> bytes:
    """Looked up by its hash, so that the time a look-up takes tells nothing."""
    return hashlib.sha256(shown.encode()).digest()

"""The audit trail: who did what, with what result, each entry chained to the one before by its hash.

One trail for the gateway. Entries are appended in the order of the calls, and the end of the chain is stored in the
same transaction as its last entry, so that it goes on after a restart where it was. `digest` is what a receiver needs
to check the chain; nothing here reads it back.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.envelope import draft
from agent.events import AUDIT, Actor, Audit, Event

if TYPE_CHECKING:
    import asyncio

    from agent.clock import Clock
    from buffer.journal import Journal

STATE_KEY = "audit/chain"

GENESIS = "0" * 64
"""What the first entry of a gateway names as its predecessor."""

GATEWAY = Actor(type="system", id="wardgate", role="system")
"""The gateway itself, where nobody asked for what happened."""

MINUTE_S = 60.0
ACCESS_PER_MIN = 30
"""Entries about who came in or was turned away. What is beyond is counted: nobody may fill the journal from outside."""

_encode = msgspec.json.Encoder(order="sorted").encode


def digest(entry: Audit) -> str:
    """SHA-256, in hex, over the entry's JSON with sorted keys, no blanks and an empty `hash`."""
    return hashlib.sha256(_encode(msgspec.structs.replace(entry, hash=""))).hexdigest()


class Trail:
    """`append` from the event loop only."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._last = journal.state.get(STATE_KEY, GENESIS.encode()).decode()
        self._access = Quota()

    def append(
        self,
        actor: Actor,
        verb: str,
        target: str,
        *,
        before: str | None = None,
        after: str | None = None,
        reason: str = "",
        result: Literal["done", "refused"] = "done",
        code: str | None = None,
    ) -> asyncio.Future[bool]:
        """One more entry; the future is done when it is stored, as that of `Journal.append`."""
        entry = Audit(
            actor=actor,
            verb=verb,
            target=target,
            before=before,
            after=after,
            reason=reason,
            result=result,
            code=code,
            prev_hash=self._last,
            hash="",
        )
        entry = msgspec.structs.replace(entry, hash=digest(entry))
        self._last = entry.hash
        event = Event(AUDIT, "audit", self._clock.wall(), target, entry)
        return self._journal.append([draft(event, self._clock.state())], {STATE_KEY: self._last.encode()})

    def let_in(self, actor: Actor, where: str) -> None:
        """Somebody has proved who they are."""
        if (left_out := self._access.take(self._clock.mono())) is not None:
            self.append(actor, "login", where, reason=left_out)

    def turned_away(self, actor: Actor, asked: str, why: str) -> None:
        """Somebody may not do what they asked for, or could not prove who they are."""
        if (left_out := self._access.take(self._clock.mono())) is not None:
            reason = f"{why}; {left_out}" if left_out else why
            self.append(actor, "access", asked, reason=reason, result="refused", code="forbidden")


class Quota:
    """So many a minute."""

    def __init__(self, per_min: int = ACCESS_PER_MIN) -> None:
        self._per_min = per_min
        self._since = float("-inf")
        self._taken = 0
        self._left_out = 0

    def take(self, mono: float) -> str | None:
        """None where it is used up; otherwise what there is to say about those that were left out before."""
        if mono - self._since >= MINUTE_S:
            self._since, self._taken = mono, 0
        if self._taken >= self._per_min:
            self._left_out += 1
            return None
        self._taken += 1
        left_out, self._left_out = self._left_out, 0
        return f"{left_out} more were not written down" if left_out else ""

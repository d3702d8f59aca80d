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

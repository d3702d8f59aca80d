"""Who may do what: three roles, each of which may do what those below it may, and what each request needs.

How somebody comes by a role is not decided here but where they come in: on the control socket by their groups
(`agent.control.peer`), on the network by an account (`agent.control.accounts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.control.desk import Refusal
from config.model import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.events import Actor
    from agent.rules.commands import AlarmVerb
    from config.model import Role

NEEDED: Mapping[str, Role] = {
    "GET /v1/status": "view",
    "GET /v1/config": "view",
    "GET /v1/points": "view",
    "GET /v1/watch": "view",
    "GET /v1/tail": "view",
    "GET /v1/history": "view",
    "GET /v1/alarms/history": "view",
    "GET /v1/alarms/occurrence": "view",
    "GET /metrics": "view",
    "GET /healthz": "view",
    "GET /readyz": "view",
    "POST /v1/read": "acknowledge",  # it loads the line of the device
    "POST /v1/alarms/order": "acknowledge",  # and `ORDERS`, by verb
    "POST /v1/maintenance/start": "acknowledge",
    "POST /v1/maintenance/end": "acknowledge",
    "POST /v1/journal/backup": "configure",
    "POST /v1/config/reload": "configure",
}
"""A route that is not in here cannot be built."""

ORDERS: Mapping[AlarmVerb, Role] = {
    "ack": "acknowledge",
    "reset": "acknowledge",
    "shelve": "acknowledge",
    "unshelve": "acknowledge",
    "out-of-service": "configure",  # it has no end by itself
    "in-service": "configure",
}

LOCAL = frozenset({"POST /v1/journal/backup"})
"""What names files of this machine is taken from this machine only."""


class Caller(Protocol):
    """Somebody who asks. Without a role nothing is allowed."""

    @property
    def role(self) -> Role | None:
        """The highest one that they have."""

    async def actor(self) -> Actor:
        """How records name them."""

    def advice(self, needed: Role) -> str:
        """What they can do to be allowed what `needed` allows."""


class Forbidden(Refusal):
    """Somebody asked for what their role does not allow."""

    status = 403


def allows(role: Role | None, needed: Role) -> bool:
    return role is not None and ROLES.index(role) >= ROLES.index(needed)


async def require(caller: Caller, needed: Role, what: str) -> None:
    """Raises `Forbidden`, which says who they are, what is needed and what to do."""
    if allows(caller.role, needed):
        return
    who = (await caller.actor()).id
    has = f"has the role {caller.role}" if caller.role else "has no role here"
    raise Forbidden(f"{who} {has}; {what} needs {needed}", caller.advice(needed))

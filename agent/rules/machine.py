"""The alarm states of ISA-18.2 / IEC 62682 as one table. Data, not code: the tests derive from it.

NORM normal; UNACK active, not acknowledged; ACKED active, acknowledged; RTNUN returned to normal, not acknowledged;
LTUNK and LTACK latched after the return, not acknowledged and acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from agent.events import Action, AlarmState

Trigger = Literal["true", "false", "up", "down", "ack", "reset"]
"""`true` and `false`: the condition after deadband and delays; `up` and `down`: its level, while it stays true."""


class Row(NamedTuple):
    """From a state, on a trigger, to a state; `latching` and `ack_required` are guards where they are not None."""

    state: AlarmState
    trigger: Trigger
    to: AlarmState
    action: Action
    latching: bool | None = None
    ack_required: bool | None = None


TABLE = (
    Row("NORM", "true", "UNACK", "raise", ack_required=True),
    Row("NORM", "true", "ACKED", "raise", ack_required=False),
    Row("UNACK", "ack", "ACKED", "ack"),
    Row("UNACK", "false", "RTNUN", "clear", latching=False),
    Row("UNACK", "false", "LTUNK", "clear_latched", latching=True),
    Row("ACKED", "false", "NORM", "clear", latching=False),
    Row("ACKED", "false", "LTACK", "clear_latched", latching=True),
    Row("RTNUN", "ack", "NORM", "ack"),
    Row("RTNUN", "true", "UNACK", "retrigger"),
    Row("LTUNK", "true", "UNACK", "retrigger"),
    Row("LTACK", "true", "UNACK", "retrigger"),
    Row("LTUNK", "ack", "LTACK", "ack"),
    Row("LTACK", "reset", "NORM", "reset"),
    Row("UNACK", "up", "UNACK", "escalate"),
    Row("ACKED", "up", "UNACK", "escalate"),
    Row("UNACK", "down", "UNACK", "deescalate"),
    Row("ACKED", "down", "ACKED", "deescalate"),
)


def transition(state: AlarmState, trigger: Trigger, *, latching: bool, ack_required: bool) -> Row | None:
    """The one row that applies, or None: the trigger means nothing in this state, or is refused."""
    for row in TABLE:
        if (
            row.state == state
            and row.trigger == trigger
            and row.latching in (None, latching)
            and row.ack_required in (None, ack_required)
        ):
            return row
    return None

"""The alarm states of ISA-18.2 / IEC 62682 as one table. Data, not code: the tests and the picture derive from it.

NORM normal; UNACK active, not acknowledged; ACKED active, acknowledged; RTNUN returned to normal, not acknowledged;
LTUNK and LTACK latched after the return, not acknowledged and acknowledged. Whether an alarm is hidden (shelved,
suppressed, out of service) is not part of its state: the state moves on behind it, and is told when it shows again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.events import Action, AlarmState

Trigger = Literal[
    "true",
    "false",
    "up",
    "down",
    "ack",
    "reset",
    "overdue",
    "realarm",
    "overlay",
    "unhide",
    "bad",
    "usable",
    "restart",
    "removed",
]
"""What can happen to an alarm.

`true` and `false`: the condition after deadband and delays; `up` and `down`: its level, while it stays true. `overdue`
and `realarm`: a timer of the response ran out. `overlay`: it is hidden, or hidden in another way; `unhide`: no more.
`bad`: its source was unusable for longer than the alarm allows; `usable`: an alarm that stands because of that is found
to be true. `restart`: the gateway starts again. `removed`: the configuration has the alarm no more.
"""

Silent = Literal["refused", "hold", "snapshot"]
"""What is no event: a command that is refused; a state that is held; a state that a start finds and shows."""

STATES: tuple[AlarmState, ...] = ("NORM", "UNACK", "ACKED", "RTNUN", "LTUNK", "LTACK")
ACTIVE: tuple[AlarmState, ...] = ("UNACK", "ACKED")
"""The states in which the condition is true."""

RETURNED: tuple[AlarmState, ...] = ("RTNUN", "LTUNK", "LTACK")
LATCHED: tuple[AlarmState, ...] = ("LTUNK", "LTACK")

SILENT: frozenset[str] = frozenset(get_args(Silent))
ANNOUNCING: frozenset[str] = frozenset({"raise", "retrigger", "escalate", "realarm", "unhide_raise", "unhide_latched"})
"""Actions that call for people anew: whoever acknowledged before has not seen this."""


class Guards(NamedTuple):
    """What decides between rows: how the alarm is configured, and whether its condition is known to be over."""

    latching: bool
    ack_required: bool
    fail_safe: bool = False
    is_over: bool = True


class Row(NamedTuple):
    """From a state, on a trigger, to a state; the other fields are guards where they are not None."""

    state: AlarmState
    trigger: Trigger
    to: AlarmState
    action: Action | Silent
    latching: bool | None = None
    ack_required: bool | None = None
    fail_safe: bool | None = None
    is_over: bool | None = None

    def fits(self, guards: Guards) -> bool:
        """Whether this row is the one for an alarm like this."""
        return all(wanted is None or wanted == found for wanted, found in zip(self[4:], guards, strict=True))


def _annunciated(states: Sequence[AlarmState], trigger: Trigger, action: Action) -> tuple[Row, ...]:
    """To the active state that asks for an acknowledgement, or, where none is required, to the one that does not."""
    return tuple(
        row
        for state in states
        for row in (
            Row(state, trigger, "UNACK", action, ack_required=True),
            Row(state, trigger, "ACKED", action, ack_required=False),
        )
    )


TABLE = (
    *_annunciated(["NORM"], "true", "raise"),
    Row("UNACK", "ack", "ACKED", "ack"),
    Row("UNACK", "false", "RTNUN", "clear", latching=False),
    Row("UNACK", "false", "LTUNK", "clear_latched", latching=True),
    Row("ACKED", "false", "NORM", "clear", latching=False),
    Row("ACKED", "false", "LTACK", "clear_latched", latching=True),
    Row("RTNUN", "ack", "NORM", "ack"),
    *_annunciated(RETURNED, "true", "retrigger"),
    Row("LTUNK", "ack", "LTACK", "ack"),
    Row("LTUNK", "reset", "LTUNK", "refused"),
    Row("LTACK", "reset", "NORM", "reset", is_over=True),
    Row("LTACK", "reset", "LTACK", "refused", is_over=False),
    *_annunciated(ACTIVE, "up", "escalate"),
    Row("UNACK", "down", "UNACK", "deescalate"),
    Row("ACKED", "down", "ACKED", "deescalate"),
    Row("UNACK", "overdue", "UNACK", "ack_overdue"),
    Row("ACKED", "realarm", "UNACK", "realarm", ack_required=True),
    *(Row(state, "overlay", state, "overlay") for state in STATES),
    *_annunciated(ACTIVE, "unhide", "unhide_raise"),
    *(Row(state, "unhide", "NORM", "unhide", latching=False) for state in RETURNED),
    Row("RTNUN", "unhide", "LTUNK", "unhide_latched", latching=True),
    Row("LTUNK", "unhide", "LTUNK", "unhide_latched", latching=True),
    Row("LTACK", "unhide", "LTUNK", "unhide_latched", latching=True, ack_required=True),
    Row("LTACK", "unhide", "LTACK", "unhide_latched", latching=True, ack_required=False),
    Row("NORM", "unhide", "NORM", "unhide"),
    Row("NORM", "bad", "UNACK", "raise", ack_required=True, fail_safe=True),
    Row("NORM", "bad", "ACKED", "raise", ack_required=False, fail_safe=True),
    Row("NORM", "bad", "NORM", "hold", fail_safe=False),
    *(Row(state, "bad", state, "hold") for state in STATES if state != "NORM"),
    Row("UNACK", "usable", "UNACK", "cause_changed"),
    Row("ACKED", "usable", "ACKED", "cause_changed"),
    *(Row(state, "restart", state, "snapshot") for state in STATES),
    *(Row(state, "removed", "NORM", "removed") for state in STATES),
)

_ROWS: dict[tuple[AlarmState, Trigger], tuple[Row, ...]] = {
    (row.state, row.trigger): tuple(each for each in TABLE if each[:2] == row[:2]) for row in TABLE
}


def transition(state: AlarmState, trigger: Trigger, guards: Guards) -> Row | None:
    """The one row that applies, or None: the trigger means nothing in this state."""
    return next((row for row in _ROWS.get((state, trigger), ()) if row.fits(guards)), None)

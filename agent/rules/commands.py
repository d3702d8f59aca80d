"""What operators may order, and the refusal of an order that means nothing or must not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AlarmVerb = Literal["ack", "reset", "shelve", "unshelve", "out-of-service", "in-service"]
Scope = Literal["local", "platform"]
RefusalCode = Literal["unknown", "wrong_state", "forbidden", "malformed"]


@dataclass(frozen=True, slots=True)
class AlarmCommand:
    """What an operator, or the platform in his name, wants of an alarm.

    `until` (seconds since the epoch) ends a shelving; `work_order` and `owner` belong to `out-of-service`.
    """

    verb: AlarmVerb
    alarm_id: str
    actor: str
    comment: str = ""
    scope: Scope = "local"
    until: float | None = None
    work_order: str = ""
    owner: str = ""


class Refused(Exception):
    """A command that is not carried out; the message says why, for the person who gave it.

    `code`: `unknown` names what is not there, `wrong_state` means nothing now, `forbidden` must never be, `malformed`
    leaves something out.
    """

    def __init__(self, message: str, code: RefusalCode = "wrong_state") -> None:
        super().__init__(message)
        self.code = code

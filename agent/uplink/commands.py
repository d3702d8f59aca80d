"""What the platform asks for, read and checked: each command is carried out at most once, and every one is answered.

Pure: what is done about a command is `dialogue`'s business. None of them reaches a field device.

| code | means |
| --- | --- |
| malformed | it cannot be read, or names what there cannot be |
| expired | `expires_at` has passed by the clock of this gateway |
| repeated | its `cmd_id` was another command's; the same command again is given the first answer instead |
| not_allowed | the site does not allow this verb |
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from agent.events import COMMANDS, Actor, Command, CommandCode, CommandResult, rfc3339

if TYPE_CHECKING:
    from typing import Any

PAYLOAD_BYTES_MAX = 64 * 1024
REMEMBERED_MAX = 1000

ALLOWED = frozenset({"confirm", "resend", "evidence", "snapshot", "ping"})
"""What a platform may ask for unless its site says otherwise: nothing that changes an alarm or a device."""

NOBODY = Actor(type="platform", id="", role="")

_Kind = TypeVar("_Kind", bound=msgspec.Struct)

_AS_IN_THE_SCHEMA = "write it as its schema says"


class Refused(Exception):
    """A command that is not carried out; the message says why and what to do, `known` what can be said of it."""

    def __init__(self, code: CommandCode, message: str, **args: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.known = args
        self.is_audited = False
        """Whether it is in the audit trail by now."""


class Head(msgspec.Struct, frozen=True):
    """As much of a command as is needed to answer it."""

    cmd_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    actor: Actor = NOBODY


@dataclass(frozen=True, slots=True)
class Received:
    """A message below `cmd/`."""

    verb: str
    payload: bytes
    retained: bool = False


def read_head(received: Received) -> Head:
    """Who asks, and under which id. Raises `Refused`."""
    if received.retained:
        raise Refused("malformed", "a retained command would be repeated at every connect; publish it without retain")
    if len(received.payload) > PAYLOAD_BYTES_MAX:
        raise Refused("malformed", f"a command has at most {PAYLOAD_BYTES_MAX} bytes; send several")
    return _decode(received.payload, Head)


def read(received: Received, wall: float, allowed: frozenset[str] = ALLOWED) -> Command:
    """The whole command, allowed and in time. Raises `Refused`."""
    kind = COMMANDS.get(received.verb)
    if kind is None or received.verb not in allowed:
        raise Refused("not_allowed", f"{received.verb} is not allowed here; allowed are {', '.join(sorted(allowed))}")
    command = _decode(received.payload, kind)
    issued, expires = moment(command.issued_at, "issued_at"), moment(command.expires_at, "expires_at")
    if issued > expires:
        raise Refused("malformed", "it expires before it was issued; issue it anew")
    if expires <= wall:
        raise Refused("expired", f"it expired at {command.expires_at}, here it is {rfc3339(wall)}; compare the clocks")
    return command


def _decode(payload: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("malformed", f"{error}; {_AS_IN_THE_SCHEMA}") from error


def moment(text: str, name: str) -> float:
    """Epoch seconds of an RFC 3339 time. Raises `Refused`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Refused("malformed", f"{name} is no time with a zone; write it as 2026-11-21T03:15:07.412Z")
    return found.timestamp()


class Memory:
    """The last commands with their answers, so that none is carried out twice. None while it is under way."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[bytes, CommandResult | None]] = OrderedDict()

    def known(self, cmd_id: str, received: Received) -> bool:
        """Whether this command came before. Raises `Refused` where its id was another one's."""
        before = self._answers.get(cmd_id)
        if before is not None and before[0] != _digest(received):
            raise Refused("repeated", f"{cmd_id} was another command; give every command an id of its own")
        return before is not None

    def answer(self, cmd_id: str) -> CommandResult | None:
        """What was answered to it."""
        return self._answers[cmd_id][1]

    def begin(self, cmd_id: str, received: Received) -> None:
        self._answers[cmd_id] = (_digest(received), None)
        if len(self._answers) > REMEMBERED_MAX:
            self._answers.popitem(last=False)

    def end(self, answer: CommandResult) -> None:
        """It was answered, if it is still remembered."""
        before = self._answers.get(answer.cmd_id)
        if before is not None:
            self._answers[answer.cmd_id] = (before[0], answer)


def _digest(received: Received) -> bytes:
    return hashlib.sha256(received.verb.encode() + b"\0" + received.payload).digest()

"""What operators may order, and the refusal of an order that means nothing or must not be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from config.duty import PRESETS, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from config.duty import Preset

AlarmVerb = Literal["ack", "reset", "shelve", "unshelve", "out-of-service", "in-service"]
MaintenanceVerb = Literal["maintenance-start", "maintenance-end"]
AckScope = Literal["local", "platform"]
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
    scope: AckScope = "local"
    until: float | None = None
    work_order: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class MaintenanceCommand:
    """Begin maintenance of what `scope` means until `until` (seconds since the epoch), or end the one called `id`.

    With `is_test` nothing is hidden: what is told is marked as a test.
    """

    verb: MaintenanceVerb
    actor: str
    reason: str = ""
    scope: Scope = field(default_factory=Scope)
    until: float | None = None
    is_test: bool = False
    id: str = ""


class Refused(Exception):
    """A command that is not carried out; the message says why, for the person who gave it.

    `code`: `unknown` names what is not there, `wrong_state` means nothing now, `forbidden` must never be, `malformed`
    leaves something out.
    """

    def __init__(self, message: str, code: RefusalCode = "wrong_state") -> None:
        super().__init__(message)
        self.code = code


class Wanted(Protocol):
    """What is to be maintained, as it is asked for: lists of names, or a preset."""

    @property
    def reason(self) -> str: ...
    @property
    def device(self) -> Iterable[str]: ...
    @property
    def system(self) -> Iterable[str]: ...
    @property
    def building(self) -> Iterable[str]: ...
    @property
    def floor(self) -> Iterable[str]: ...
    @property
    def space(self) -> Iterable[str]: ...
    @property
    def preset(self) -> Preset | None: ...


def start_of_maintenance(wanted: Wanted, actor: str, until: float) -> MaintenanceCommand:
    """The command for it. Raises `Refused` where a preset is not alone."""
    scope = Scope(
        device=frozenset(wanted.device),
        system=frozenset(wanted.system),
        building=frozenset(wanted.building),
        floor=frozenset(wanted.floor),
        space=frozenset(wanted.space),
    )
    if wanted.preset is not None and scope.named():
        raise Refused(f"{wanted.preset} means what it means; name nothing beside it", "malformed")
    scope = PRESETS[wanted.preset] if wanted.preset is not None else scope
    is_test = wanted.preset is not None
    return MaintenanceCommand("maintenance-start", actor, wanted.reason, scope, until, is_test=is_test)

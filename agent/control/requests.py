"""What may be asked of the control API in a body or a query, by type. Unknown fields are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from agent.control.desk import Refusal
from agent.rules import AlarmCommand, MaintenanceCommand, Refused
from agent.rules.commands import AlarmVerb, start_of_maintenance
from config.duty import Preset

if TYPE_CHECKING:
    from agent.events import Actor


class ReadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: str
    points: list[str] = []
    orders: bool = False


class HistoryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    point: str
    from_s: float
    to_s: float
    every_s: Annotated[float, msgspec.Meta(gt=0)] | None = None


class AlarmHistoryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_s: float
    to_s: float
    alarm_id: str | None = None


class OccurrenceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm_id: str
    occurrence_id: str | None = None


class BackupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str


class ReloadRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = ""


class AlarmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verb: AlarmVerb
    alarm_id: str
    comment: str = ""
    until_s: float | None = None
    work_order: str = ""
    owner: str = ""

    def command(self, actor: Actor) -> AlarmCommand:
        return AlarmCommand(
            self.verb,
            self.alarm_id,
            actor.id,
            self.comment,
            until=self.until_s,
            work_order=self.work_order,
            owner=self.owner,
        )


class MaintenanceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`preset` instead of the lists."""

    reason: str
    until_s: float
    device: list[str] = []
    system: list[str] = []
    building: list[str] = []
    floor: list[str] = []
    space: list[str] = []
    preset: Preset | None = None

    def command(self, actor: Actor) -> MaintenanceCommand:
        try:
            return start_of_maintenance(self, actor.id, self.until_s)
        except Refused as refused:
            raise Refusal(str(refused)) from refused


class EndRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    reason: str = ""


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    password: str

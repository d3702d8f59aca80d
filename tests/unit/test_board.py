"""The order in which an operator sees alarms."""

from __future__ import annotations

from condition_bench import Room, alarm
from event_gallery import TIME
from msgspec.structs import replace

from agent.board import AlarmBoard
from agent.events import ALARM_TRANSITION, Event
from config.judgement import Level, Limit


def test_what_nobody_has_acknowledged_stands_before_what_somebody_has() -> None:
    """Within its colour, however new; a worse colour stands above both."""
    yellow, red = (Limit((Level("H", 20.0, colour),)) for colour in ("yellow", "red"))
    room = Room(alarm(yellow), alarm(yellow, point="sp"), alarm(red, key="red"))
    raised = [*room.read(25.0, after_s=1.0), *room.read(25.0, point="sp", after_s=1.0)]
    seen = [replace(body, state="ACKED" if body.point == "sp" else "UNACK") for body in raised]
    board = AlarmBoard(room.rules)
    board.on_stored([Event(ALARM_TRANSITION, "alarm", TIME, body.alarm_id, body) for body in seen])
    assert [view.alarm_id for view in board.views()] == ["or/or-1/t#red", "or/or-1/t#key", "or/or-1/sp#key"]

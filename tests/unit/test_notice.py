"""Which alarms nobody upstream has, what people read of them, and how often."""

from __future__ import annotations

import json

import pytest
from notice_rig import Platform, body_of, happened

from agent.notice.message import LINES_MAX, compose
from agent.notice.notifier import BURST, Budget
from agent.notice.unheard import ENTRIES_MAX, Unheard

AFTER_S = 10.0


def unheard(*uplinks: Platform) -> Unheard:
    return Unheard(uplinks, AFTER_S, 0.0)


def due(alarms: Unheard, mono: float) -> list[tuple[str, int]]:
    alarms.look(mono)
    return [(body.occurrence_id, body.n) for body in alarms.due(mono)]


def test_an_alarm_that_a_connected_uplink_does_not_deliver_is_due_in_time() -> None:
    """A link may be silent, a broker may hold: what counts is whether it was delivered."""
    alarms = unheard(Platform("main", "connected"))
    alarms.look(100.0)
    alarms.take(happened(), 100.0)
    assert due(alarms, 109.9) == []
    assert due(alarms, 110.0) == [("o/1", 1)]


def test_an_alarm_is_due_at_once_where_nobody_has_been_connected_for_long() -> None:
    """There is nothing to wait for."""
    alarms = unheard(Platform("main", "waiting"), Platform("second", "refused"))
    alarms.look(50.0)
    alarms.take(happened(), 50.0)
    assert due(alarms, 50.0) == [("o/1", 1)]


def test_a_short_break_of_the_connection_is_waited_for() -> None:
    """The time counts from the moment at which the last uplink went."""
    platform = Platform("main", "connected")
    alarms = unheard(platform)
    alarms.look(100.0)
    platform.state = "connecting"
    alarms.look(101.0)
    alarms.take(happened(), 103.0)
    assert due(alarms, 110.9) == []
    assert due(alarms, 111.0) == [("o/1", 1)]


def test_uplinks_may_come_and_go() -> None:
    """Where the one that wanted it is gone, nobody upstream can have it; one that is new is waited for like any."""
    main, second = Platform("main", "connected"), Platform("second", "waiting")
    present = [main]
    alarms = Unheard(present, AFTER_S, 0.0)
    alarms.take(happened(), 100.0)
    present[:] = [second]
    assert due(alarms, 101.0) == [("o/1", 1)]
    alarms.take(happened(n=2), 102.0)
    assert due(alarms, 103.0) == []
    second.waiting = 0
    assert due(alarms, 200.0) == []


def test_what_one_platform_has_is_not_told() -> None:
    """One of them is enough."""
    first, second = Platform("main", "waiting"), Platform("second", "connected")
    alarms = unheard(first, second)
    alarms.take(happened(), 0.0)
    second.waiting = 0
    assert due(alarms, 1000.0) == []
    second.waiting = 1
    assert due(alarms, 2000.0) == []


def test_a_platform_that_does_not_want_the_alarm_does_not_count() -> None:
    """That it has delivered everything, which is nothing, helps nobody."""
    alarms = unheard(Platform("main", "connected", waiting=0, wanted=False))
    alarms.take(happened(), 0.0)
    assert due(alarms, 0.0) == [("o/1", 1)]


def test_without_any_uplink_all_of_them_are_told() -> None:
    """Then nobody ever hears."""
    alarms = unheard()
    alarms.take(happened(), 0.0)
    assert due(alarms, 0.0) == [("o/1", 1)]


@pytest.mark.parametrize(
    "event",
    [happened(stream="alarm"), happened(hidden=True), happened(action="ack"), happened(action="ack_overdue")],
    ids=["not critical", "hidden", "acknowledged", "nothing new"],
)
def test_not_everything_is_told(event: object) -> None:
    """People are called for what is critical, not hidden, and news."""
    alarms = unheard()
    alarms.take(event, 0.0)  # type: ignore[arg-type] # an Event, as pytest keeps it
    assert due(alarms, 100.0) == []


def test_of_one_occurrence_the_latest_is_told_once() -> None:
    """Also where it ends before anybody was told that it began, and again where something happens after that."""
    alarms = unheard()
    alarms.take(happened(1, 1), 0.0)
    alarms.take(happened(1, 2, action="clear", ended=True), 1.0)
    assert due(alarms, 2.0) == [("o/1", 2)]
    told = alarms.due(2.0)
    alarms.take(happened(1, 3, action="raise"), 3.0)
    alarms.told(told)
    assert due(alarms, 4.0) == [("o/1", 3)]
    alarms.told(alarms.due(4.0))
    assert due(alarms, 5.0) == []


def test_there_is_a_limit_and_what_is_beyond_it_is_counted() -> None:
    """The oldest go: they are in the journal and on the board still."""
    alarms = unheard()
    for number in range(ENTRIES_MAX + 3):
        alarms.take(happened(number), 0.0)
    assert (len(due(alarms, 0.0)), alarms.forgotten) == (ENTRIES_MAX, 3)


def test_the_message_has_the_texts_of_the_alarm_in_both_languages() -> None:
    """What it is, where, since when, what to do; as words and as the data of the event."""
    events = [happened(1), happened(2, action="clear", test=True)]
    message = compose("h01", "gw-1", [body_of(event) for event in events])
    assert message.subject == "[h01/gw-1] 2 条关键报警未送达平台 / 2 critical alarms have not reached the platform"
    first, second = message.text.split("\n\n")
    lines = first.splitlines()
    assert lines[:2] == ["红色 报警: 氧气压力低", "red alarm: Oxygen pressure low"]
    assert lines[2].endswith("Z  medgas.area/icu-3/o2_p#low = 315 kPa (限值 limit 320)")
    assert lines[3:] == ["icu-3", "更换气瓶", "Change the cylinder"]
    assert second.startswith("[测试 TEST] 红色 恢复: 氧气压力低\n[测试 TEST] red over: Oxygen pressure low\n")
    payload = json.loads(message.payload)
    assert (payload["site"], payload["gateway"], payload["text"], payload["more"]) == ("h01", "gw-1", message.text, 0)
    assert [(each["occurrence_id"], each["action"]) for each in payload["alarms"]] == [
        ("o/1", "raise"),
        ("o/2", "clear"),
    ]


def test_a_flood_is_one_message_of_limited_length() -> None:
    """The newest are written out, the others counted."""
    message = compose("h01", "gw-1", [body_of(happened(number)) for number in range(LINES_MAX + 5)], forgotten=2)
    assert "32" not in message.subject
    assert f" {LINES_MAX + 7} critical alarms" in message.subject
    assert message.text.endswith("另有 7 条，见 wardgate alarms / and 7 more, see wardgate alarms\n")
    assert json.loads(message.payload)["alarms"][0]["occurrence_id"] == "o/5"


def test_messages_are_limited_by_the_hour() -> None:
    """A few at once, then evenly."""
    budget = Budget(60, 0.0)
    sent = 0
    for second in range(600):
        if budget.allows(float(second)):
            budget.spend()
            sent += 1
    assert sent == BURST + 9
    assert not Budget(1, 0.0).allows(-1.0)

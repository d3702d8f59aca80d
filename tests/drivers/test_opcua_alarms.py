"""Source alarms: what a server's conditions say becomes values of points."""

from __future__ import annotations

import struct
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.ua import ua_binary
from hypothesis import given, settings
from hypothesis import strategies as st
from opcua_peer import OpcuaPeer, driver_for, point, poll_of

from config.errors import ConfigProblem
from drivers.contract import Grade, Quality
from drivers.opcua import decode
from drivers.opcua.conditions import (
    FIELDS,
    HIDDEN,
    HIDDEN_FIELDS,
    LEVEL_FIELDS,
    LEVELS,
    REFRESH_END,
    REFRESH_START,
    Conditions,
    Following,
)
from drivers.opcua.settings import OpcuaPoint
from drivers.opcua.walk import Undecodable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from drivers.contract import Poll, Reading
    from drivers.opcua.decode import Fields
    from drivers.opcua.driver import SubscribingOpcuaDriver

V = ua.VariantType
ALARM = 2915
SHELVING = "ShelvingState/CurrentState/Id"
T2026 = 134_082_009_000_000_000


class Plant:
    """A server with one source and two alarms on it, raised and cleared by the test."""

    def __init__(self, peer: OpcuaPeer) -> None:
        self.peer = peer
        self._alarms: dict[str, Any] = {}

    async def build(self) -> None:
        self.peer.server.iserver.bind_condition_methods = True
        await self.peer.server.iserver.setup_condition_methods()
        self.source = await self.peer.server.nodes.objects.add_object(self.peer.node("gas"), "gas")
        for name in ("Low", "Leak"):
            generator = await self.peer.server.get_event_generator(ALARM)
            event = generator.event
            event.SourceNode, event.ConditionName = self.source.nodeid, name
            event.NodeId = self.peer.node(f"gas.{name}")
            self._alarms[name] = generator

    async def say(self, name: str, *, active: bool, severity: int = 500, **more: Any) -> None:
        await self.peer.run(self._say(name, active, severity, more))

    async def _say(self, name: str, active: bool, severity: int, more: dict[str, Any]) -> None:
        generator = self._alarms[name]
        acked = more.pop("acked", True)
        values = {"ActiveState/Id": active, "AckedState/Id": acked, "EnabledState/Id": True, "Severity": severity}
        values |= {"Retain": active or not acked, "Quality": ua.StatusCode(), **more}
        generator.event.data_types.setdefault(SHELVING, V.NodeId)
        for field, value in values.items():
            setattr(generator.event, field, value)
        await generator.trigger(message=f"{name} is {'on' if active else 'off'}")


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with OpcuaPeer() as peer:
        plant = Plant(peer)
        peer._wait(plant.build())
        yield plant


def alarm_point(plant: Plant, name: str, facet: str, *, condition: str | None = None, node: str = "gas") -> Any:
    value = {"acked": "bool", "severity": "integer", "message": "string", "hidden": "enum"}.get(facet, "bool")
    spec = {"node": plant.peer.node(node).to_string(), "value": value, "alarm": facet, "condition": condition}
    states = HIDDEN if facet == "hidden" else {}
    return point(name, type=value, states=states, spec={key: one for key, one in spec.items() if one is not None})


@asynccontextmanager
async def following(plant: Plant, poll: Poll) -> AsyncIterator[AsyncIterator[Reading]]:
    driver = cast("SubscribingOpcuaDriver", driver_for(plant.peer.url))
    await driver.connect()
    try:
        async with aclosing(driver.changes([poll])) as readings:
            yield readings
    finally:
        await driver.close()


async def test_9_alarms_and_conditions_events_refresh_and_states(plant: Plant) -> None:
    """What stands at the connect is asked for; then each event changes the points that follow its condition."""
    await plant.say("Low", active=True, severity=700, acked=False)
    points = [alarm_point(plant, facet, facet) for facet in ("active", "acked", "severity", "message")]
    poll = poll_of(*points, alarm_point(plant, "leak", "active", condition="Leak"))
    async with following(plant, poll) as readings:
        first = await anext(readings)
        await plant.say("Leak", active=True, severity=900)
        second = await anext(readings)
        await plant.say("Low", active=False)
        third = await anext(readings)
        await plant.say("Leak", active=False)
        last = await anext(readings)
    assert first.values == (True, False, 700, "Low is on", False)
    assert second.values == (True, False, 900, "Leak is on", True)
    assert third.values == (True, True, 900, "Leak is on", True)
    assert last.values == (False, True, 0, "", False)
    assert all(not reading.flaws for reading in (first, second, third, last))
    assert first.source_times[0]


def shelving(state: int) -> dict[str, Any]:
    return {SHELVING: ua.NodeId(cast("Any", state)), "SuppressedOrShelved": state != 2930}


async def test_9_an_alarm_that_the_server_hides_stays_active_and_says_so(plant: Plant) -> None:
    """Shelved by somebody at the server: active as before, and hidden; as it happens, and at the next connect."""
    await plant.say("Low", active=True)
    poll = poll_of(*(alarm_point(plant, facet, facet, condition="Low") for facet in ("active", "hidden")))
    async with following(plant, poll) as readings:
        shown = await anext(readings)
        await plant.say("Low", active=True, **shelving(2932))
        hidden = await anext(readings)
    async with following(plant, poll) as readings:
        again = await anext(readings)
    await plant.say("Low", active=False, **shelving(2930))
    assert shown.values == (True, "no")
    assert hidden.values == again.values == (True, "shelved")
    assert not hidden.flaws


async def test_9_what_happened_while_the_line_was_down_is_reconciled(plant: Plant) -> None:
    """The alarm went while nobody listened: after the next connect it is not active."""
    await plant.say("Low", active=True)
    poll = poll_of(alarm_point(plant, "low", "active"))
    async with following(plant, poll) as readings:
        assert (await anext(readings)).values == (True,)
    await plant.say("Low", active=False)
    async with following(plant, poll) as readings:
        assert (await anext(readings)).values == (False,)


async def test_9_a_person_may_read_what_the_events_said(plant: Plant) -> None:
    """While the subscription runs `read` shows the alarm beside the values; without one it says why it cannot."""
    await plant.say("Leak", active=True)
    await plant.peer.add({"a.t": ua.Variant(1.5)})
    poll = poll_of(alarm_point(plant, "leak", "active"), point("a.t"))
    driver = cast("SubscribingOpcuaDriver", driver_for(plant.peer.url))
    await driver.connect()
    alone = await driver.read(poll)
    async with aclosing(driver.changes([poll])) as readings:
        await anext(readings)
        beside = await driver.read(poll)
    await plant.say("Leak", active=False)
    await driver.close()
    assert alone.values == (None, 1.5)
    assert alone.flaws == {0: Quality(Grade.BAD, "not_available", "reported by events only")}
    assert beside.values == (True, 1.5)
    assert not beside.flaws


async def test_9_a_server_without_alarms_costs_only_the_points(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no refresh: the alarm says so, the value beside it is good."""

    async def call(*_: Any) -> None:
        raise ServiceError(0x800B_0000)

    monkeypatch.setattr(InternalSession, "call", call)
    await plant.peer.add({"b.t": ua.Variant(1.5)})
    async with following(plant, poll_of(alarm_point(plant, "low", "active"), point("b.t"))) as readings:
        first = await anext(readings)
    assert first.values == (None, 1.5)
    assert first.flaws[0].reason == "config_error"
    assert "BadServiceUnsupported" in first.flaws[0].raw


async def test_9_a_source_that_is_not_there(plant: Plant) -> None:
    """Silence of a node that does not exist is no good news."""
    async with following(plant, poll_of(alarm_point(plant, "x", "active", node="nothing"))) as readings:
        first = await anext(readings)
    assert first.flaws == {0: Quality(Grade.BAD, "config_error", "0x80340000")}


def test_9_alarms_on_a_line_that_only_reads_are_refused(plant: Plant) -> None:
    """At the start, with the point and what to write."""
    poll = poll_of(alarm_point(plant, "x", "active"))
    with pytest.raises(ConfigProblem, match="write mode: subscribe") as raised:
        driver_for("opc.tcp://plc", mode="read", devices=(poll.device,))
    assert (raised.value.device, raised.value.point, raised.value.field) == ("or-1", "x", "alarm")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"alarm": "active"}, "write value: bool"),
        ({"alarm": "severity", "value": "number"}, "write value: integer"),
        ({"condition": "Low"}, "write alarm: active"),
        ({"alarm": "active", "value": "bool", "sampling": "1s"}, "remove part, publishing, sampling"),
    ],
)
def test_a_point_of_an_alarm_that_cannot_be_is_refused(more: dict[str, Any], said: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=said):
        OpcuaPoint.model_validate({"node": "i=1", **more})


# --- pure -------------------------------------------------------------------------------------------------------------

SOURCE, OTHER = (2, "gas"), (2, "other")
POINTS = [
    Following(0, SOURCE, "", "active"),
    Following(1, SOURCE, "a", "active"),
    Following(2, (2, "c/b"), "", "active"),
]


def node(key: tuple[int, Any]) -> tuple[int, object]:
    return 17, ua_binary.nodeid_to_binary(ua.NodeId(key[1], cast("Any", key[0])))


def event(name: str, *, active: bool, source: tuple[int, Any] = SOURCE, **fields: tuple[int, object]) -> Fields:
    every = {
        "EventType": node((0, ALARM)),
        "SourceNode": node(source),
        "Time": (13, T2026),
        "Severity": (5, 500),
        "Message": (21, "text"),
        "": node((2, f"c/{name}")),
        "BranchId": (0, None),
        "ConditionName": (12, name),
        "Retain": (1, active),
        "EnabledState/Id": (1, True),
        "Quality": (19, 0),
        "AckedState/Id": (1, True),
        "ActiveState/Id": (1, active),
    } | fields
    return tuple(every[field] for field, _ in FIELDS)


LIMITS = Following(0, SOURCE, "", "level")
STATE = {(0, 9335): "low_low", (0, 9333): "low", (0, 9331): "high", (0, 9329): "high_high"}


def of_limits(name: str, *levels: tuple[int, object], active: bool = True, severity: int = 500) -> Fields:
    """With what a limit alarm says of its limits: exclusive state, then low-low, low, high, high-high."""
    said = [*levels, *[(0, None)] * (len(LEVEL_FIELDS) - len(levels))]
    return (*event(name, active=active, Severity=(5, severity)), *said)


def level(*events: Fields) -> str:
    conditions = Conditions([LIMITS])
    (wide,) = {len(each) for each in events}
    start, end = ((*bound, *[(0, None)] * (wide - len(bound))) for bound in (START, END))
    return LEVELS[cast("int", values(conditions, start, *events, end)[0])]


@pytest.mark.parametrize(("state", "wanted"), STATE.items())
def test_9_the_level_of_an_exclusive_alarm_is_its_state(state: tuple[int, int], wanted: str) -> None:
    """One state at a time, by the standard's nodes, whatever the server calls them."""
    assert level(of_limits("a", node(state))) == wanted


def test_9_the_level_is_the_outer_limit_of_the_most_severe_alarm() -> None:
    """Several states at once: the outer one counts. No alarm is normal, one that knows no limits is another."""
    on, off = (1, True), (1, False)
    none: tuple[int, object] = (0, None)
    assert level(of_limits("a", none, off, off, on, on)) == "high_high"
    assert level(of_limits("a", none, on, on, off, off)) == "low_low"
    assert level(of_limits("a", none, off, on, off, off)) == "low"
    mild, worse = of_limits("a", none, off, off, on, off, severity=300), of_limits("b", node((0, 9335)), severity=800)
    assert level(mild, worse) == "low_low"
    assert level(of_limits("a", active=False)) == "normal"
    assert level(of_limits("a")) == "other"
    assert level(of_limits("a", node((2, "own")))) == "other"


def test_9_limits_and_what_hides_are_asked_for_only_where_somebody_wants_them() -> None:
    """Small servers do not know these types; a point that follows them needs no states of its own."""
    assert Conditions(POINTS).fields == FIELDS
    assert Conditions([*POINTS, LIMITS]).fields == FIELDS + LEVEL_FIELDS
    assert Conditions([*POINTS, Following(3, SOURCE, "", "hidden")]).fields == FIELDS + HIDDEN_FIELDS
    for facet, states in (("level", LEVELS), ("hidden", HIDDEN)):
        spec = OpcuaPoint.model_validate({"node": "i=1", "alarm": facet})
        assert (spec.value, spec.states) == ("enum", states)


def of_hiding(name: str, **said: tuple[int, object]) -> Fields:
    """An active alarm with what the server says of how it hides it."""
    return (*event(name, active=True), *(said.get(key.split("/")[0], (0, None)) for key, _ in HIDDEN_FIELDS))


def hidden(*events: Fields) -> str:
    conditions = Conditions([Following(0, SOURCE, "", "hidden")])
    start, end = ((*bound, *[(0, None)] * len(HIDDEN_FIELDS)) for bound in (START, END))
    return HIDDEN[cast("int", values(conditions, start, *events, end)[0])]


ON, OFF = (1, True), (1, False)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, "no"),
        ({"SuppressedState": OFF, "OutOfServiceState": OFF, "SuppressedOrShelved": OFF}, "no"),
        ({"ShelvingState": node((0, 2930))}, "no"),
        ({"ShelvingState": node((0, 2932)), "SuppressedOrShelved": ON}, "shelved"),
        ({"ShelvingState": node((0, 2933))}, "shelved"),
        ({"SuppressedState": ON, "ShelvingState": node((0, 2932))}, "suppressed"),
        ({"OutOfServiceState": ON, "SuppressedState": ON}, "out_of_service"),
        ({"SuppressedOrShelved": ON}, "suppressed"),
    ],
)
def test_9_how_the_server_hides_an_alarm_is_told(said: dict[str, tuple[int, object]], wanted: str) -> None:
    """Shelved, suppressed, out of service; a server that says neither hides nothing."""
    assert hidden(of_hiding("a", **said)) == wanted


def test_9_an_alarm_that_is_shown_outweighs_those_that_are_hidden() -> None:
    """Of several of one source, all have to be hidden; without any alarm there is nothing to hide."""
    shelved, suppressed = of_hiding("a", ShelvingState=node((0, 2932))), of_hiding("b", SuppressedState=ON)
    assert hidden(shelved, suppressed) == "suppressed"
    assert hidden(shelved, of_hiding("c")) == "no"
    assert hidden() == "no"


START, END = ((node(kind), *[(0, None)] * (len(FIELDS) - 1)) for kind in (REFRESH_START, REFRESH_END))


def values(conditions: Conditions, *events: Fields) -> dict[int, object]:
    """The last value of each point."""
    return {handle: value for handle, _, value, _, _ in conditions.take(events)}


def test_9_nothing_is_said_before_the_refresh_is_over() -> None:
    """An alarm that is reported before may stand beside others that are not yet: the end of the refresh tells all."""
    conditions = Conditions(POINTS)
    assert values(conditions, event("a", active=True), START, event("b", active=True)) == {}
    assert values(conditions, END) == {0: True, 1: False, 2: True}


def test_9_a_second_refresh_forgets_what_it_does_not_mention() -> None:
    """The event that ended an alarm was lost: the refresh after the overflow shows that it is over."""
    conditions = Conditions(POINTS)
    values(conditions, START, event("a", active=True), END)
    overflow = (node((0, 3035)), *[(0, None)] * (len(FIELDS) - 1))
    assert values(conditions, overflow) == {}
    assert conditions.refresh_wanted
    assert conditions.overflows == 1
    assert values(conditions, START, END) == {0: False, 1: False, 2: False}


def test_9_branches_and_events_that_are_no_conditions_change_nothing() -> None:
    """A branch is an earlier state that waits for its acknowledgement; an audit event is nobody's alarm."""
    conditions = Conditions(POINTS)
    values(conditions, START, END)
    branch = event("a", active=True, BranchId=(15, b"\x01"))
    audit = event("a", active=True, Retain=(0, None))
    foreign = event("z", active=True, source=OTHER)
    assert values(conditions, event("a", active=True, BranchId=node((1, "old"))), audit, foreign) == {}
    assert values(conditions, branch) == {0: True, 1: True}


def test_9_a_condition_for_which_there_is_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a silent drop: what is followed is bounded, and what is beyond it is among the overflows of the line."""
    monkeypatch.setattr("drivers.opcua.conditions.CONDITIONS_MAX", 1)
    conditions = Conditions(POINTS)
    values(conditions, START, END, event("a", active=True), event("a", active=True))
    assert conditions.overflows == 0
    values(conditions, event("b", active=True))
    assert conditions.overflows == 1


def test_9_quality_and_disabling_of_a_condition_go_with_it() -> None:
    """A condition that judges bad data is bad itself, one that is switched off is out of service."""
    conditions = Conditions(POINTS[:1])
    conditions.take([START, END])
    for fields, status in (
        ({"Quality": (19, 0x808C_0000)}, 0x808C_0000),
        ({"EnabledState/Id": (1, False)}, 0x808D_0000),
    ):
        ((_, _, _, found, ticks),) = conditions.take([event("a", active=False, **cast("Any", fields))])
        assert (found, ticks) == (status, T2026)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), max_size=20))
def test_9_points_always_show_what_was_said_last(said: list[tuple[str, bool, bool]]) -> None:
    """Any order of events and refreshes in between: active is what the last event of each condition said."""
    conditions = Conditions(POINTS)
    shown = values(conditions, START, END)
    active = {"a": False, "b": False}
    for name, is_active, refreshed in said:
        active[name] = is_active
        shown |= values(conditions, event(name, active=is_active))
        if refreshed:
            standing = [event(each, active=True) for each in active if active[each]]
            shown |= values(conditions, START, *standing, END)
        assert shown == {0: any(active.values()), 1: active["a"], 2: active["b"]}


def test_events_decode_as_the_library_decodes_them() -> None:
    """Handle and fields of each event of a notification, beside values in the same one."""
    texts = ua.Variant("x"), ua.Variant(ua.LocalizedText("y"))
    fields = [ua.Variant(ua.NodeId(cast("Any", 5))), *texts, ua.Variant()]
    events = ua.EventNotificationList([ua.EventFieldList(cast("Any", 7), fields)] * 2)
    message = ua.NotificationMessage(SequenceNumber=cast("Any", 3), NotificationData=[cast("Any", events)])
    result = ua.PublishResult(SubscriptionId=cast("Any", 9), NotificationMessage=message)
    found = decode.publication(ua_binary.struct_to_binary(ua.PublishResponse(Parameters=result)))
    assert not found.keep_alive
    assert [handle for handle, _ in found.events] == [7, 7]
    assert found.events[0][1] == ((17, b"\x00\x05"), (12, "x"), (21, "y"), (0, None))


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_12_damaged_events_are_refused_or_taken_but_never_crash(data: st.DataObject) -> None:
    """Bytes changed anywhere in a notification of events."""
    fields = [ua.Variant(ua.NodeId(cast("Any", 2041))), *(ua.Variant(Value=True) for _ in FIELDS[1:])]
    events = ua.EventNotificationList([ua.EventFieldList(cast("Any", 7), fields)] * 2)
    message = ua.NotificationMessage(NotificationData=[cast("Any", events)])
    result = ua.PublishResult(NotificationMessage=message)
    body = bytearray(ua_binary.struct_to_binary(ua.PublishResponse(Parameters=result)))
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    conditions = Conditions(POINTS)
    with suppress(Undecodable, struct.error):
        conditions.take(each for _, each in decode.publication(bytes(body)).events)

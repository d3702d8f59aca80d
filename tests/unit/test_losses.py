"""Lost devices and lines: one alarm for a loss, nothing beside it that it explains, and life safety always in view."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from one_line import config_of

from agent.clock import Now
from agent.events import AlarmTransition
from agent.rules import AlarmCommand, DeviceChange, Rules, Tick, step
from config.files import AddressSpec, LineSpec, PointSpec
from config.judgement import Level, Limit, Offline, State
from config.losses import FAULT_S, LINE_S, loss_alarms
from config.model import Alarm, Device, Line, Place, Point, Text
from drivers.contract import Grade, Poll, Quality, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.events import DeviceCondition
    from agent.rules.steps import Item

NAME = Text("", "")
LOST = Quality(Grade.BAD, "comm_lost")
HIGH = Limit((Level("HH", 90.0, "orange"), Level("H", 80.0, "yellow")))


def device(name: str, line: str, *, system: str = "water", vital: bool = False) -> Device:
    """With a level that has limits, and, where it is vital, a fire beside it."""
    points = (
        Point("level", name, system, NAME, "number", "%", 1.0, PointSpec()),
        Point("fire", name, system, NAME, "bool", "1", 1.0, PointSpec()),
    )
    alarms = [Alarm(f"{system}/{name}/level#high", "high", name, system, "level", HIGH, NAME, NAME)]
    if vital:
        alarms.append(
            Alarm(
                f"{system}/{name}/fire#fire",
                "fire",
                name,
                system,
                "fire",
                State((True,), "red"),
                NAME,
                NAME,
                life_safety=True,
                shelvable=False,
            )
        )
    return Device(name, Text(name, name), system, line, AddressSpec(), Place(), points, tuple(alarms))


def lines() -> tuple[Line, ...]:
    on = {"bus": [device("tank-1", "bus"), device("tank-2", "bus")], "solo": [device("hall", "solo", vital=True)]}
    return tuple(
        Line(name, Text(name, name), "test", LineSpec(protocol="test"), tuple(devices), 1.0, 1)
        for name, devices in on.items()
    )


class Site:
    """Two tanks on one line, a hall on another; `said` is action, alarm and whether it was hidden, of each event."""

    def __init__(self, stored: Mapping[str, bytes] | None = None, mono: float = 100.0) -> None:
        kept = lines()
        self.config = config_of(lines=kept, losses=tuple(loss_alarms(kept)))
        self.polls = {each.id: Poll(each, each.points, 1.0) for each in self.config.devices}
        self.rules = Rules.build(self.config, stored or {})
        self.stored = dict(stored or {})
        self.mono = mono
        self.bodies: list[AlarmTransition] = []

    def _step(self, item: Item) -> list[tuple[str, str, bool]]:
        outcome = step(self.rules, item, Now(1_000.0 + self.mono, self.mono))
        self.stored |= outcome.states
        bodies = [event.body for event in outcome.events if isinstance(event.body, AlarmTransition)]
        self.bodies += bodies
        return [(body.action, body.alarm_id.partition("/")[2], body.hidden) for body in bodies]

    def read(self, name: str, level: float | None, fire: bool | None = False) -> list[tuple[str, str, bool]]:
        flaws = dict.fromkeys((0, 1), LOST) if level is None else {}
        return self._step(Reading(self.polls[name], self.mono, self.mono, (level, fire), flaws, ((0, 2),)))

    def turns(self, name: str, state: DeviceCondition) -> list[tuple[str, str, bool]]:
        return self._step(DeviceChange(name, state))

    def wait(self, seconds: float) -> list[tuple[str, str, bool]]:
        self.mono += seconds
        return self._step(Tick())

    def all_answer(self) -> Site:
        for name in self.polls:
            assert self.read(name, 50.0) == []
            assert self.turns(name, "online") == []
        return self


def test_3_a_device_offline_is_one_alarm_with_the_highest_colour_of_its_children() -> None:
    """Its own, at once where it is alone on its line; what was at rest on it says nothing."""
    site = Site().all_answer()
    assert site.read("hall", None, None) == []
    assert site.turns("hall", "offline") == [("raise", "hall#offline", False)]
    assert (site.bodies[-1].colour, site.bodies[-1].kind, site.bodies[-1].point) == ("red", "offline", "")
    site.read("hall", 50.0)
    assert site.turns("hall", "online") == [("clear", "hall#offline", False)]


def test_3_what_stood_on_a_lost_device_is_suppressed_and_told_again_when_it_is_back() -> None:
    """It is not known meanwhile, and shows as it is found then."""
    site = Site().all_answer()
    assert site.read("hall", 95.0) == [("raise", "hall/level#high", False)]
    site.read("hall", None, None)
    assert site.turns("hall", "offline") == [("raise", "hall#offline", False), ("overlay", "hall/level#high", True)]
    body = site.bodies[-1]
    assert (body.state, body.condition_known, body.overlay) == ("UNACK", False, ["DSUPR"])
    assert [(info.by, info.until) for info in body.overlay_info] == [("device/hall", None)]
    site.read("hall", 95.0)
    assert site.turns("hall", "online") == [
        ("clear", "hall#offline", False),
        ("unhide_raise", "hall/level#high", False),
    ]


def test_3_what_is_over_when_the_device_is_back_ends() -> None:
    """The value that cleared it came while it was still hidden."""
    site = Site().all_answer()
    site.read("hall", 95.0)
    site.read("hall", None, None)
    site.turns("hall", "offline")
    assert site.read("hall", 50.0) == [("clear", "hall/level#high", True)]
    assert ("unhide", "hall/level#high", False) in site.turns("hall", "online")


def test_3_life_safety_is_never_hidden_by_a_lost_device() -> None:
    """It stands as it stood, and its condition is not known."""
    site = Site().all_answer()
    site.read("hall", 50.0, fire=True)
    site.read("hall", None, None)
    assert site.turns("hall", "offline") == [("raise", "hall#offline", False)]
    run = site.rules.runs["water/hall/fire#fire"]
    assert (run.state, run.is_hidden, run.known) == ("UNACK", False, False)


def test_3_a_line_that_goes_down_is_one_alarm_for_the_line() -> None:
    """Its devices wait a moment for each other; what they would say is hidden behind it."""
    site = Site().all_answer()
    assert site.turns("tank-1", "offline") == []
    assert site.wait(LINE_S - 1) == []
    assert site.turns("tank-2", "offline") == [("raise", "bus#line", False)]
    assert (site.bodies[-1].alarm_id, site.bodies[-1].colour) == ("gw/bus#line", "orange")
    said = site.wait(LINE_S)
    assert said == [("raise", "tank-1#offline", True), ("raise", "tank-2#offline", True)]


def test_3_a_line_that_comes_back_shows_who_does_not() -> None:
    """One tank answers: the line is up, and the other one is an alarm of its own."""
    site = Site().all_answer()
    site.turns("tank-1", "offline")
    site.turns("tank-2", "offline")
    site.wait(LINE_S)
    site.read("tank-1", 50.0)
    said = site.turns("tank-1", "online")
    assert ("clear", "bus#line", False) in said
    assert ("unhide_raise", "tank-2#offline", False) in said
    assert ("raise", "tank-1#offline", False) not in said


def test_3_one_of_several_devices_is_an_alarm_after_a_moment() -> None:
    """The line is well."""
    site = Site().all_answer()
    site.turns("tank-1", "offline")
    assert site.wait(LINE_S) == [("raise", "tank-1#offline", False)]


def test_3_a_source_fault_is_an_alarm_of_its_own() -> None:
    """Some points without a value: said once for the device, and over when all have one again."""
    site = Site().all_answer()
    site.turns("tank-1", "degraded")
    assert site.wait(FAULT_S - 1) == []
    assert site.wait(1) == [("raise", "tank-1#fault", False)]
    assert (site.bodies[-1].colour, site.bodies[-1].kind) == ("yellow", "fault")
    site.turns("tank-1", "online")
    assert site.wait(FAULT_S) == [("clear", "tank-1#fault", False)]


def test_3_a_fault_is_hidden_while_its_device_is_lost() -> None:
    """Nobody knows then whether there is one."""
    site = Site().all_answer()
    site.turns("hall", "degraded")
    assert site.wait(FAULT_S) == [("raise", "hall#fault", False)]
    assert site.turns("hall", "offline") == [("raise", "hall#offline", False), ("overlay", "hall#fault", True)]
    assert site.wait(FAULT_S) == []


def test_3_a_restart_while_a_device_is_lost_says_nothing_twice() -> None:
    """What is hidden stays hidden until the device is heard of."""
    site = Site().all_answer()
    site.read("hall", 95.0)
    site.read("hall", None, None)
    site.turns("hall", "offline")
    site._step(AlarmCommand("ack", "water/hall#offline", "li"))
    again = Site(site.stored, mono=5.0)
    assert again.wait(0.0) == []
    assert again.turns("hall", "offline") == []
    assert again.rules.runs["water/hall/level#high"].is_hidden
    again.read("hall", 95.0)
    assert ("unhide_raise", "hall/level#high", False) in again.turns("hall", "online")


def test_3_an_offline_alarm_that_is_written_takes_the_place_of_ours() -> None:
    """One loss, one alarm."""
    (line,) = [line for line in lines() if line.id == "solo"]
    (hall,) = line.devices
    own = Alarm("water/hall#gone", "gone", "hall", "water", "", Offline("blue"), NAME, NAME)
    written = replace(line, devices=(replace(hall, alarms=(*hall.alarms, own)),))
    assert [alarm.key for alarm in loss_alarms([written])] == ["fault"]


def test_3_contact_with_the_fire_system_is_never_hidden() -> None:
    """Neither by an operator nor by the line."""
    panel = device("panel", "bus", system="fire")
    line = replace(lines()[0], devices=(panel, device("tank-1", "bus")))
    assert {alarm.id: alarm.shelvable for alarm in loss_alarms([line])} == {
        "fire/panel#offline": False,
        "fire/panel#fault": False,
        "water/tank-1#offline": True,
        "water/tank-1#fault": True,
        "gw/bus#line": False,
    }

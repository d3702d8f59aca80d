"""Issue line 3: what a reload leaves alone, counted; on a clock that the test moves, with drivers that count."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from one_line import config_of

from agent.audit import Trail
from agent.board import AlarmBoard
from agent.clock import ManualClock
from agent.control.desk import Refusal
from agent.events import Actor, AlarmTransition, Event
from agent.health import Health
from agent.lines import Lines
from agent.part import NotReady
from agent.pipeline import End, Pipeline
from agent.reload import Change, Reload
from agent.rules import Rules
from agent.uplink.uplinks import Uplinks
from buffer.journal import Journal
from buffer.retention import Limits
from config import outward
from config.errors import ConfigInvalid, Problem
from config.files import AddressSpec, LineSpec, PointSpec
from config.judgement import Level, Limit
from config.kept import all_kept
from config.model import Alarm, Config, Device, Home, Line, Place, Point, Text
from config.secrets import Secret
from drivers.contract import Identity, Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AsyncExitStack
    from pathlib import Path

    from agent.part import Turn
    from agent.uplink.uplink import Uplink
    from drivers.contract import Poll

NAME = Text("设备", "Device")
ANNA = Actor(type="user", id="anna", role="configure")
GOOD_BYE_S = 2.0
HIGH = Limit((Level("H", 0.5, "orange"),))


class CountingDriver:
    """Answers 1.0 for ever; knows when it was asked and how often it was opened and closed."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.asked: list[float] = []
        self.opened = self.closed = 0

    async def connect(self) -> None:
        self.opened += 1

    async def read(self, poll: Poll) -> Reading:
        self.asked.append(self.clock.mono())
        return Reading(poll, self.clock.wall(), self.clock.mono(), (1.0,) * len(poll.points))

    async def identify(self, device: Device) -> Identity:
        return Identity()

    async def close(self) -> None:
        self.closed += 1


def uplink(name: str, **settings: Any) -> outward.Uplink:
    made = outward.Uplink(name, (outward.Broker("127.0.0.1", 1, tls=False),), "5", name, None, None, 15, 32, 200.0)
    return replace(made, **settings)


def line(name: str, *, poll_s: float = 1.0, alarms: tuple[str, ...] = ("a",)) -> Line:
    """With one device that has one point, and alarms on it that all stand at once."""
    device = f"m{name[1:]}"
    point = Point("p", device, "pwr.lv", NAME, "number", "V", poll_s, PointSpec())
    made = tuple(Alarm(f"pwr.lv/{device}/p#{key}", key, device, "pwr.lv", "p", HIGH, NAME, NAME) for key in alarms)
    found = Device(device, NAME, "pwr.lv", name, AddressSpec(), Place(), (point,), made)
    return Line(name, NAME, "test", LineSpec(protocol="test"), (found,), 1.0, 1)


class Talking:
    """An uplink: it runs until it is told to stop, and then takes its time to say good-bye."""

    def __init__(self, settings: outward.Uplink, clock: ManualClock) -> None:
        self.id = settings.id
        self.clock = clock
        self.began = self.ended = 0
        self.versions: list[str] = []

    def renew(self, cfg_ver: str) -> None:
        self.versions.append(cfg_ver)

    async def run(self, stop: asyncio.Event) -> None:
        self.began += 1
        await stop.wait()
        await self.clock.sleep_until(self.clock.mono() + GOOD_BYE_S)
        self.ended += 1


@dataclass
class Site:
    """A gateway whose uplinks only talk. `wanted` is what its folder holds; `told` everything that was stored."""

    wanted: Config
    journal: Journal
    clock: ManualClock
    health: Health = field(default_factory=Health)
    random: Random = field(default_factory=lambda: Random(1))
    site: str = "h01"
    told: list[Event] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    welcomed: list[Uplink] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    drivers: dict[str, list[CountingDriver]] = field(default_factory=dict)
    talking: list[Talking] = field(default_factory=list)

    def __post_init__(self) -> None:
        config, drivers = self.accept()
        self.rules = Rules.build(config, self.journal.state)
        self.pipeline = Pipeline(self.rules, self.journal, self.clock, 0.5, config.version)
        self.board = AlarmBoard(self.rules)
        self.pipeline.listeners += [self.board.on_stored, self.told.extend]
        self.lines = Lines(config, drivers, self)
        trail = Trail(self.journal, self.clock)
        self.reload = Reload(
            self.accept, config, self.lines, self.pipeline, self.journal.state, trail, self.health, self.clock
        )
        self.reload.followers.append(self.changes.append)
        self.uplinks = Uplinks(config, self.journal, self.talk)
        self.uplinks.welcomers.append(self.welcomed.append)
        self.reload.parts.append(self.uplinks)

    def talk(self, settings: outward.Uplink) -> Uplink:
        self.talking.append(Talking(settings, self.clock))
        return self.talking[-1]  # type: ignore[return-value]  # all of it that is used here

    def accept(self) -> tuple[Config, Sequence[CountingDriver]]:
        if self.problems:
            raise ConfigInvalid(self.problems, [])
        made = [CountingDriver(self.clock) for _ in self.wanted.lines]
        for each, driver in zip(self.wanted.lines, made, strict=True):
            self.drivers.setdefault(each.id, []).append(driver)
        return self.wanted, made

    async def emit(self, item: Reading | Event) -> None:
        await self.pipeline.put(item)

    def want(self, *lines: Line, gateway: str = "gw", uplinks: tuple[outward.Uplink, ...] = ()) -> None:
        """Another version of the configuration, with these lines."""
        version = f"c-{int(self.wanted.version.removeprefix('c-')) + 1:08}"
        self.wanted = replace(self.wanted, version=version, lines=lines, gateway=gateway, uplinks=uplinks)

    async def run(self, seconds: float) -> None:
        """Let time pass; everybody who is due acts."""
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)
            for _ in range(30):
                await asyncio.sleep(0)
        await self.journal.append([], {"test": b""})
        await asyncio.sleep(0)  # who listens is called before this goes on

    def actions(self) -> Counter[tuple[str, str]]:
        bodies = [event.body for event in self.told if isinstance(event.body, AlarmTransition)]
        return Counter((body.alarm_id, body.action) for body in bodies)

    async def records(self, stream: str) -> list[dict[str, object]]:
        return [json.loads(record.body) for record in await self.journal.read(stream, 0, 1000)]


@asynccontextmanager
async def site(folder: Path, *lines: Line, uplinks: tuple[outward.Uplink, ...] = ()) -> AsyncIterator[Site]:
    """Polling, until the block ends."""
    clock = ManualClock()
    home = Home(config=folder, state=folder / "state")
    config = config_of(window_s=0.5, version="c-00000001", uplinks=uplinks, lines=lines, home=home)
    journal = await Journal.open(
        folder / "journal", Limits(2**24, 3600.0), wall=clock.wall, cursors=[each.id for each in uplinks]
    )
    made = Site(config, journal, clock)
    async with asyncio.TaskGroup() as stages:
        made.uplinks.start(stages)
        running = [stages.create_task(made.reload.run()), stages.create_task(made.pipeline.run())]
        async with asyncio.TaskGroup() as sources:
            made.lines.start(sources)
            yield made
            made.lines.stop()
        await made.pipeline.put(End())
        running[0].cancel()
        made.uplinks.stop()
        await made.run(GOOD_BYE_S + 1.0)
    await journal.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path


async def test_3_other_lines_miss_no_poll_and_no_alarm_changes(folder: Path) -> None:
    """Each poll of a line that is the same comes when it is due, on the same connection; its alarm says nothing."""
    async with site(folder, line("l1"), line("l2"), line("l3")) as gateway:
        await gateway.run(10.0)
        before = gateway.actions()
        gateway.want(line("l1"), line("l2", poll_s=0.5), line("l3", alarms=("a", "b")))
        view = await gateway.reload(ANNA, "order 4711")
        await gateway.run(10.0)
        assert (view.kept, view.renewed, view.opened, view.closed) == (["l1", "l3"], ["l2"], [], [])
        for name in ("l1", "l3"):
            first, never_used = gateway.drivers[name]
            assert {round(after - asked, 6) for asked, after in pairwise(first.asked)} == {1.0}
            assert len(first.asked) == 20
            assert (first.opened, first.closed, never_used.opened) == (1, 0, 0)
        old, new = gateway.drivers["l2"]
        assert (old.opened, old.closed, new.opened, len(new.asked)) == (1, 1, 1, 20)
        raised = {(f"pwr.lv/m{n}/p#a", "raise"): 1 for n in (1, 2, 3)}
        assert before == raised
        assert gateway.actions() == {**raised, ("pwr.lv/m3/p#b", "raise"): 1}
        worker = gateway.lines.of("m3")
        assert [alarm.key for alarm in worker.devices["m3"].device.alarms] == ["a", "b"]
        reading = await worker.read_now(gateway.wanted.devices[2], [])
        assert reading.poll.device is worker.line.devices[0], "the driver knows that one"


async def test_3_lines_miss_no_poll_while_an_uplink_changes(folder: Path) -> None:
    """It takes its time to say good-bye, and meanwhile every poll comes when it is due; the other uplinks notice no
    more than that there is another version, and the journal's account is that of those which are configured.
    """
    before = uplink("main"), uplink("second"), uplink("old")
    async with site(folder, line("l1"), line("l2"), uplinks=before) as gateway:
        began = gateway.clock.mono()
        await gateway.run(10.0)
        main, second, old = gateway.talking
        wanted = uplink("main", window=9), uplink("second"), uplink("new")
        gateway.want(line("l1"), line("l2"), uplinks=wanted)
        asked = asyncio.create_task(gateway.reload(ANNA))
        while not asked.done():
            await gateway.run(1.0)
        view = await asked
        await gateway.run(3.0)
        assert view.settings == ["uplink main", "uplink new", "uplink old"]
        for name in ("l1", "l2"):
            driver = gateway.drivers[name][0]
            assert {round(after - asked, 6) for asked, after in pairwise(driver.asked)} == {1.0}
            assert (len(driver.asked), driver.opened, driver.closed) == (round(gateway.clock.mono() - began), 1, 0)
        anew, new = gateway.talking[3:]
        assert (anew.id, new.id) == ("main", "new")
        ran = [(each.id, each.began, each.ended) for each in (main, second, old, anew, new)]
        assert ran == [("main", 1, 1), ("second", 1, 0), ("old", 1, 1), ("main", 1, 0), ("new", 1, 0)]
        assert second.versions == ["c-00000002"]
        assert [id(each) for each in gateway.welcomed] == [id(anew), id(new)]
        assert [each.id for each in gateway.uplinks] == ["main", "second", "new"]
        assert [each.name for each in gateway.journal.stats().cursors] == ["main", "second", "new"]


async def test_3_an_uplink_that_cannot_be_had_stops_everything(folder: Path) -> None:
    """No line is touched, and no account is kept for one that was to come beside it."""
    async with site(folder, line("l1"), uplinks=(uplink("main"),)) as gateway:
        await gateway.run(3.0)
        locked = uplink("main", password=Secret("env", "NO_SUCH_SECRET"))
        gateway.want(line("l1", poll_s=0.5), uplinks=(uplink("new"), locked))
        with pytest.raises(Refusal, match=r"uplink main: environment variable NO_SUCH_SECRET is not set.*nothing has"):
            await gateway.reload(ANNA)
        gateway.want(line("l1", poll_s=0.5), uplinks=(uplink("main"), uplink("new")))
        gateway.reload.parts.append(Reluctant())
        with pytest.raises(Refusal, match="there is no room; make some; nothing has changed"):
            await gateway.reload(ANNA)
        assert [each.id for each in gateway.uplinks] == ["main"]
        assert [each.name for each in gateway.journal.stats().cursors] == ["main"]
        assert gateway.drivers["l1"][0].closed == 0


class Reluctant:
    async def prepare(self, config: Config, undo: AsyncExitStack) -> Turn:
        raise NotReady("there is no room", "make some")


async def test_3_a_line_that_goes_on_sends_nothing_again(folder: Path) -> None:
    """What telemetry has of its points is still known: the next sample is the next change or heartbeat."""
    async with site(folder, line("l1", alarms=()), line("l2", alarms=())) as gateway:
        await gateway.run(5.0)
        gateway.want(line("l1", alarms=()), line("l2", poll_s=2.0, alarms=()))
        await gateway.reload(ANNA)
        await gateway.run(5.0)
        batches = [each["data"] for each in await gateway.records("telemetry")]
    versions = [(each["device"], each["meta_ver"]) for each in batches]  # type: ignore[index]  # JSON
    assert sorted(versions) == [("m1", "c-00000001"), ("m2", "c-00000001"), ("m2", "c-00000002")]


async def test_3_lines_come_and_go(folder: Path) -> None:
    """What is gone is closed, and its alarm ends; what is new is opened; everybody who follows hears of both."""
    async with site(folder, line("l1"), line("l2")) as gateway:
        await gateway.run(3.0)
        gateway.health.hold("line_down", "l2", 0.0, "x")
        gateway.health.hold("device_offline", "m2", 0.0, "x")
        gateway.want(line("l1"), line("l3"))
        view = await gateway.reload(ANNA)
        await gateway.run(3.0)
        assert (view.opened, view.closed, view.ended) == (["l3"], ["l2"], ["pwr.lv/m2/p#a"])
        assert gateway.actions()["pwr.lv/m2/p#a", "removed"] == 1
        assert {each.alarm_id for each in gateway.board.views()} == {"pwr.lv/m1/p#a", "pwr.lv/m3/p#a"}
        assert [presence.device.id for presence in gateway.lines.devices] == ["m1", "m3"]
        (change,) = gateway.changes
        assert ([each.line.id for each in change.closed], [each.line.id for each in change.opened]) == (["l2"], ["l3"])
        assert list(gateway.health.views()) == []


async def test_3_who_wanted_it_is_in_the_audit_trail_whatever_came_of_it(folder: Path) -> None:
    """Done with both versions and what it did; refused with the first mistake, or with what needs a restart."""
    async with site(folder, line("l1"), line("l2")) as gateway:
        gateway.want(line("l1"), line("l2", poll_s=2.0))
        await gateway.reload(ANNA, "slower")
        gateway.problems = [Problem("lines.yaml", at, 5, "lines.l1", "is wrong", "write it right") for at in (3, 4)]
        with pytest.raises(Refusal, match=r"lines.yaml:3:5: lines.l1: is wrong; write it right\n.*nothing has changed"):
            await gateway.reload(ANNA)
        assert [(view.code, view.detail) for view in gateway.health.views()] == [
            ("config_refused", "lines.yaml:3:5: lines.l1: is wrong; write it right (and 1 more)")
        ]
        gateway.problems = []
        gateway.want(line("l1"), gateway="gw-2")
        with pytest.raises(Refusal, match="cannot take over: gateway; restart the service"):
            await gateway.reload(ANNA, "new name")
        await gateway.run(1.0)
        entries = [each["data"] for each in await gateway.records("audit")]
        assert gateway.reload.config.version == "c-00000002"
    told = ("verb", "target", "before", "after", "reason", "result", "code")
    assert [tuple(entry[name] for name in told) for entry in entries] == [  # type: ignore[index]  # JSON
        (
            "config_reload",
            "configuration",
            "c-00000001",
            "c-00000002",
            "slower, lines opened anew: l2",
            "done",
            None,
        ),
        (
            "config_reload",
            "configuration",
            "c-00000002",
            None,
            "lines.yaml:3:5: lines.l1: is wrong; write it right (and 1 more)",
            "refused",
            "malformed",
        ),
        (
            "config_reload",
            "configuration",
            "c-00000002",
            None,
            "a running gateway cannot take over: gateway; asked because: new name",
            "refused",
            "wrong_state",
        ),
    ]
    (kept,) = all_kept(folder / "state")
    assert (kept.version, kept.by) == ("c-00000002", "anna")


async def test_3_two_who_want_it_at_once_are_served_one_after_the_other(folder: Path) -> None:
    """The second finds nothing left to do; nobody is asked twice for what is the same."""
    async with site(folder, line("l1")) as gateway:
        gateway.want(line("l1", poll_s=2.0))
        first, second = await asyncio.gather(gateway.reload(ANNA), gateway.reload(ANNA))
        assert (first.renewed, second.renewed, second.kept) == (["l1"], [], ["l1"])
